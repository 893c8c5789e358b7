/** A small real machine for tests: a GPT disk with one ext4, in a qcow2, made by the tools that everybody uses. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { EXPORT_OFFSET, debugfsScript, withWritableVolume } from './machine-edit.js';

export interface MachineOptions {
	/** Text paths below the volume's root to content, or to a function of the folder for what is no plain file. */
	readonly files: Readonly<Record<string, string | Uint8Array>>;
	/** MiB of the whole disk. Default 32. */
	readonly sizeMb?: number;
	readonly mke2fs?: readonly string[];
	readonly createOptions?: readonly string[];
}

/** Makes `path`. Needs mke2fs, sfdisk, qemu-img. */
export function makeMachine(path: string, options: MachineOptions): void {
	const work = `${path}.work`;
	const root = join(work, 'root');
	mkdirSync(root, { recursive: true });
	try {
		for (const [name, content] of Object.entries(options.files)) {
			mkdirSync(dirname(join(root, name)), { recursive: true });
			writeFileSync(join(root, name), content);
		}
		const sizeMb = options.sizeMb ?? 32;
		const part = join(work, 'part.raw');
		const disk = join(work, 'disk.raw');
		execFileSync('mke2fs', [
			'-q',
			'-F',
			'-t',
			'ext4',
			'-L',
			'root',
			...(options.mke2fs ?? []),
			'-d',
			root,
			part,
			`${sizeMb - 2}M`,
		]);
		execFileSync('truncate', ['-s', `${sizeMb}M`, disk]);
		execFileSync('sfdisk', ['-q', '--no-tell-kernel', disk], {
			input: `label: gpt\nstart=2048, size=${(sizeMb - 2) * 2048}, type=L\n`,
		});
		execFileSync('dd', [`if=${part}`, `of=${disk}`, 'bs=1M', 'seek=1', 'conv=notrunc,sparse', 'status=none']);
		const create = options.createOptions?.length ? ['-o', options.createOptions.join(',')] : [];
		execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', ...create, disk, path]);
	} finally {
		rmSync(work, { recursive: true, force: true });
	}
}

/** Changes files of the machine's current state, as a guest would, through QEMU: `commands` are debugfs's. */
export async function editMachine(path: string, commands: readonly string[]): Promise<void> {
	await withWritableVolume(path, device => debugfsScript(`${device}?offset=${EXPORT_OFFSET}`, commands));
}
