/** A walk of a partitioned image held against the kernel's own mount of it. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
	chmodSync,
	closeSync,
	lchownSync,
	linkSync,
	lstatSync,
	mkdirSync,
	mkdtempSync,
	openSync,
	readFileSync,
	readlinkSync,
	readdirSync,
	rmSync,
	symlinkSync,
	truncateSync,
	utimesSync,
	writeFileSync,
	writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openImage } from '../../../src/engine/image/open-image.js';
import { readBytes } from '../../../src/engine/io/source.js';
import { openMachineTree } from '../../../src/engine/tree/machine-tree.js';
import { listRecord } from '../../../src/engine/tree/records.js';
import { walk } from '../../../src/engine/tree/walk.js';
import { rawFromText } from '../../../src/engine/util/names.js';

const MIB = 1024 * 1024;
const OFFSET = MIB;

/** Make `path` a disk with one ext4 partition, and fill it through a mount. */
function makeMachine(folder: string): string {
	const path = join(folder, 'machine.img');
	writeFileSync(path, '');
	truncateSync(path, 66 * MIB);
	execFileSync('sfdisk', ['-q', '--no-tell-kernel', path], { input: 'label: gpt\nstart=2048, size=64MiB\n' });
	execFileSync('mkfs.ext4', ['-q', '-F', '-E', `offset=${OFFSET}`, path, '64M'], { stdio: 'ignore' });
	mounted(path, folder, [], fill);
	return path;
}

function mounted<T>(path: string, folder: string, options: readonly string[], action: (mount: string) => T): T {
	const mount = mkdtempSync(join(folder, 'mount-'));
	execFileSync('mount', ['-o', ['loop', `offset=${OFFSET}`, `sizelimit=${64 * MIB}`, ...options].join(), path, mount]);
	try {
		return action(mount);
	} finally {
		execFileSync('umount', [mount]);
	}
}

function fill(mount: string): void {
	mkdirSync(join(mount, 'etc'));
	writeFileSync(join(mount, 'etc/hosts'), '127.0.0.1 localhost\n');
	writeFileSync(join(mount, 'etc/hosts.old'), 'older');
	mkdirSync(join(mount, 'etc.d'));
	writeFileSync(Buffer.concat([Buffer.from(`${mount}/etc.d/`), Buffer.from([0xff, 0x0a, 0x5c])]), 'strange');
	symlinkSync('../etc/hosts', join(mount, 'etc.d/link'));
	symlinkSync('x'.repeat(200), join(mount, 'etc.d/long-link'));
	linkSync(join(mount, 'etc/hosts'), join(mount, 'hard'));
	writeFileSync(join(mount, 'setuid'), '#!', { mode: 0o755 });
	lchownSync(join(mount, 'setuid'), 1000, 70000);
	chmodSync(join(mount, 'setuid'), 0o4755);
	utimesSync(join(mount, 'setuid'), 5, 4_000_000_000);
	execFileSync('mknod', [join(mount, 'null'), 'c', '1', '3']);
	execFileSync('mkfifo', [join(mount, 'pipe')]);
	const sparse = openSync(join(mount, 'sparse'), 'w');
	writeSync(sparse, 'end', 5 * MIB);
	closeSync(sparse);
	mkdirSync(join(mount, 'many'));
	for (let n = 0; n < 2000; n++) writeFileSync(join(mount, 'many', `file-${n}`), `${n}`);
}

/** What the kernel says of everything below a mount, in our words. */
function kernelListing(mount: string): string[] {
	const lines: string[] = [];
	const visit = (path: Buffer, shown: string) => {
		const stat = lstatSync(path, { bigint: true });
		const kind = stat.isDirectory()
			? 'directory'
			: stat.isSymbolicLink()
				? 'symlink'
				: stat.isFile()
					? 'file'
					: stat.isFIFO()
						? 'fifo'
						: 'chardev';
		const sha = kind === 'file' ? createHash('sha256').update(readFileSync(path)).digest('hex') : '';
		const target = kind === 'symlink' ? readlinkSync(path) : '';
		const mode = (stat.mode & 0o7777n).toString(8).padStart(4, '0');
		const device = kind === 'chardev' ? '1:3' : '';
		const size = kind === 'directory' ? 0 : stat.size;
		lines.push(
			[shown, kind, size, mode, stat.uid, stat.gid, stat.nlink, stat.ino, stat.mtimeNs, target, device, sha].join(' '),
		);
		if (kind !== 'directory') return;
		for (const name of readdirSync(path, { encoding: 'buffer' }).sort((a, b) => a.compare(b))) {
			const text = name
				.toString('latin1')
				.replace(/[\xff\n\\]/g, byte => `\\x${byte.charCodeAt(0).toString(16).padStart(2, '0')}`);
			visit(Buffer.concat([path, Buffer.from('/'), name]), `${shown}/${text}`);
		}
	};
	visit(Buffer.from(mount), '/p1');
	return lines;
}

test('a walk lists what the kernel lists', () => {
	const folder = mkdtempSync(join(tmpdir(), 'strata-kernel-'));
	try {
		const path = makeMachine(folder);
		using image = openImage(path, { format: 'raw' });
		using tree = openMachineTree([image.current()]);
		const ours: string[] = [];
		for (const item of walk(tree, '/p1')) {
			assert.ok('entry' in item, 'nothing is damaged');
			const { entry, filesystem } = item;
			const record = listRecord(tree, entry);
			const inode = entry.inode!; // OK: everything below p1 has one.
			let sha = '';
			if (entry.kind === 'file') {
				using source = filesystem!.openFile(inode); // OK: p1 is read.
				sha = createHash('sha256')
					.update(readBytes(source, 0, source.size))
					.digest('hex');
				using again = tree.openFile(rawFromText(record.path));
				assert.equal(again.size, source.size);
			}
			const mtimeNs = BigInt(inode.mtime.sec) * 1_000_000_000n + BigInt(inode.mtime.nsec);
			assert.equal(Date.parse(record.mtime), Number(mtimeNs / 1_000_000n), record.mtime);
			const size = entry.kind === 'directory' ? 0 : record.size;
			ours.push(
				[record.path, record.type, size, record.mode, record.uid, record.gid, record.links, record.inode, mtimeNs]
					.concat([record.target ?? '', record.device ?? '', sha])
					.join(' '),
			);
		}
		const kernel = mounted(path, folder, ['ro'], kernelListing);
		assert.deepEqual(ours, kernel);
		assert.ok(2000 < ours.length);
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
});
