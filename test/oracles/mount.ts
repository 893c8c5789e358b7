/** The kernel's own reader as an oracle. Needs root. */
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from './run.js';

/** One path as the kernel shows it; see walk-tree.py. Bytes are hexadecimal, times nanoseconds. */
export interface KernelEntry {
	readonly path: string;
	readonly type: number;
	readonly mode: number;
	readonly uid: number;
	readonly gid: number;
	readonly links: number;
	readonly inode: number;
	readonly size: number;
	readonly mtime: string;
	readonly atime: string;
	readonly ctime: string;
	readonly device: string;
	readonly target?: string;
	readonly sha256?: string;
	/** Why the content could not be read: `ENOKEY`. */
	readonly error?: string;
	readonly xattrs: Readonly<Record<string, string>>;
}

/** Mount the image, call `use` with the place, unmount. `options` as mount(8) takes them; `loop` is added. */
export function withMount<T>(image: string, options: string, use: (directory: string) => T): T {
	const directory = mkdtempSync(join(tmpdir(), 'strata-mount-'));
	try {
		run('mount', ['-t', 'ext4', '-o', `loop,${options}`, image, directory]);
		try {
			return use(directory);
		} finally {
			run('umount', [directory]);
		}
	} finally {
		rmdirSync(directory);
	}
}

/** Every path below a directory of the host, the directory itself as `/`; by path in hexadecimal. */
export function walkHost(directory: string): Map<string, KernelEntry> {
	const lines = run('python3', ['test/oracles/walk-tree.py', directory]).toString().trimEnd().split('\n');
	return new Map(
		lines.map(line => {
			const entry = JSON.parse(line) as KernelEntry;
			return [entry.path, entry] as const;
		}),
	);
}
