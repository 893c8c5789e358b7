/** A machine whose current state differs from its snapshot in thousands of files. Needs mke2fs and qemu-img. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeExt4 } from './ext4.js';

const FILES_PER_FOLDER = 100;

/** Writes `path`, a qcow2 with the snapshot `before`: of `count` files each has another content since. */
export function makeManyChanges(path: string, count: number): void {
	const work = `${path}.work`;
	mkdirSync(work);
	try {
		const disk = (content: string) => {
			const root = join(work, content);
			for (let index = 0; index < count; index++) {
				const folder = join(root, 'srv', `folder${Math.floor(index / FILES_PER_FOLDER)}`);
				if (index % FILES_PER_FOLDER === 0) mkdirSync(folder, { recursive: true });
				writeFileSync(join(folder, `file${index}`), `${content} ${index}\n`);
			}
			const raw = join(work, `${content}.raw`);
			const size = `${Math.ceil(count / 100) + 32}M`;
			makeExt4(raw, { size, mke2fs: ['-t', 'ext4', '-b', '4096', '-i', '4096'], from: root });
			return raw;
		};
		execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', disk('before'), path]);
		execFileSync('qemu-img', ['snapshot', '-c', 'before', path]);
		execFileSync('qemu-img', ['convert', '-n', '-f', 'raw', '-O', 'qcow2', disk('after'), path]);
	} finally {
		rmSync(work, { recursive: true, force: true });
	}
}
