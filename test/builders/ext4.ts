/** Makes ext2, ext3 and ext4 images with mke2fs, and fills them through the kernel. */
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../oracles/run.js';
import { withMount } from '../oracles/mount.js';

export interface Ext4Options {
	/** Of the image: '16M'. */
	readonly size: string;
	/** Arguments of mke2fs: `['-t', 'ext4', '-b', '1024']`. */
	readonly mke2fs?: readonly string[];
	/** A directory of the host to copy in. */
	readonly from?: string;
}

/** The same every time, so that a failure can be seen again. */
const FIXED = ['-U', '6b8b4567-327b-43c6-a6f5-9f0d2e8a1c37', '-E', 'hash_seed=1d1f2d3e-4c5b-4a69-8877-665544332211'];

/** Make an image in a new file at `path`. */
export function makeExt4(path: string, options: Ext4Options): void {
	writeFileSync(path, '');
	truncateSync(path, bytesOf(options.size));
	const given = options.mke2fs ?? ['-t', 'ext4'];
	const from = options.from === undefined ? [] : ['-d', options.from];
	run('mke2fs', ['-q', '-F', ...FIXED, ...given, ...from, path]);
}

/** The bytes of a small image. */
export function buildExt4(options: Ext4Options): Buffer {
	return withTemporary(directory => {
		const path = join(directory, 'image');
		makeExt4(path, options);
		return readFileSync(path);
	});
}

/** Fill an image through the kernel with every kind of file; options as ext4-populate.py takes them. */
export function populate(image: string, options: readonly string[], mountOptions = 'rw'): void {
	withMount(image, mountOptions, directory =>
		run('python3', ['test/builders/ext4-populate.py', directory, ...options]),
	);
}

/** A directory of the host that is gone when `use` returns. */
export function withTemporary<T>(use: (directory: string) => T): T {
	const directory = mkdtempSync(join(tmpdir(), 'strata-ext4-'));
	try {
		return use(directory);
	} finally {
		rmSync(directory, { recursive: true, force: true });
	}
}

function bytesOf(size: string): number {
	const match = /^(\d+)([KMG])$/.exec(size);
	if (!match) throw new TypeError(`"${size}" is no size`);
	return Number(match[1]) * 1024 ** ' KMG'.indexOf(match[2]!);
}
