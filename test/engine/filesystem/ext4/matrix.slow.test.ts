/** Every path of filesystems of all kinds, held against the kernel that made them. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { Ext4 } from '../../../../src/engine/filesystem/ext4/ext4.js';
import { FileSource } from '../../../../src/engine/io/file.js';
import { makeExt4, populate, withTemporary } from '../../../builders/ext4.js';
import { walkHost, withMount, type KernelEntry } from '../../../oracles/mount.js';
import { run } from '../../../oracles/run.js';
import { walkFilesystem } from '../compare-tree.js';

/** Name, size, arguments of mke2fs, options of the filler, options of the mount that fills. */
const MATRIX: readonly (readonly [string, string, string, string, string?])[] = [
	['ext2', '160M', '-t ext2 -I 128', 'sparse-far'],
	['ext2 without file types, revision 1', '160M', '-t ext2 -b 1024 -O ^filetype,^dir_index', 'sparse-far'],
	['ext2 of 1993: no features', '160M', '-t ext2 -b 1024 -O none -I 128', 'sparse-far'],
	['ext3, 1 KiB blocks', '200M', '-t ext3 -b 1024 -I 256', 'sparse-far times-34bit names=6000'],
	['ext4 as mke2fs makes it', '200M', '-t ext4', 'sparse-far times-34bit names=20000'],
	['ext4, 1 KiB blocks', '200M', '-t ext4 -b 1024', 'sparse-far times-34bit names=6000'],
	['ext4, 2 KiB blocks', '200M', '-t ext4 -b 2048', 'sparse-far times-34bit'],
	['block maps', '160M', '-t ext4 -O ^extents,^64bit,^flex_bg', 'times-34bit'],
	['bigalloc', '400M', '-t ext4 -O bigalloc -C 65536', 'times-34bit'],
	['bigalloc, 1 KiB blocks', '400M', '-t ext4 -O bigalloc -b 1024 -C 16384', 'times-34bit'],
	['inline data', '160M', '-t ext4 -O inline_data -I 256', 'times-34bit'],
	['inline data, inodes of 1 KiB', '160M', '-t ext4 -O inline_data -I 1024', 'times-34bit big-xattr', ''],
	['meta_bg', '300M', '-t ext4 -b 1024 -O meta_bg,^resize_inode', 'times-34bit'],
	[
		'meta_bg, 64bit off, without checksums',
		'300M',
		'-t ext4 -b 1024 -O meta_bg,^resize_inode,^64bit,^metadata_csum',
		'times-34bit',
	],
	['group checksums (crc16)', '160M', '-t ext4 -O ^metadata_csum,uninit_bg', 'times-34bit'],
	['group checksums (crc16) without 64bit', '160M', '-t ext4 -O ^metadata_csum,uninit_bg,^64bit', 'times-34bit'],
	['64bit off', '160M', '-t ext4 -O ^64bit', 'times-34bit'],
	['attributes in inodes', '160M', '-t ext4 -O ea_inode', 'times-34bit big-xattr'],
	[
		'checksum seed, orphan file, sparse_super2',
		'160M',
		'-t ext4 -O metadata_csum_seed,orphan_file,sparse_super2',
		'times-34bit',
	],
	['large directories, inodes of 1 KiB', '160M', '-t ext4 -O large_dir -I 1024', 'times-34bit'],
	['data journalled', '160M', '-t ext4 -O fast_commit,mmp', 'times-34bit', 'rw,data=journal'],
];

suite('ext2, ext3, ext4 against the kernel', () => {
	for (const [name, size, mke2fs, options, mountOptions] of MATRIX) {
		test(name, () => {
			withTemporary(directory => {
				const image = join(directory, 'image');
				makeExt4(image, { size, mke2fs: mke2fs.split(' ') });
				const given = options.split(' ').filter(option => !mke2fs.includes('inline') || option !== 'big-xattr');
				populate(image, given, mountOptions || 'rw');
				const expected = withMount(image, 'ro,noatime', walkHost);
				assertSame(image, expected);
			});
		});
	}
});

function assertSame(image: string, expected: Map<string, KernelEntry>): void {
	using source = FileSource.open(image);
	using filesystem = Ext4.open(source);
	assert.deepEqual(filesystem.problems, []);
	const actual = walkFilesystem(filesystem);
	for (const [path, entry] of expected)
		assert.deepEqual(actual.get(path), entry, Buffer.from(path, 'hex').toString('latin1'));
	assert.equal(actual.size, expected.size);
	assert.deepEqual(filesystem.problems, []);
	assertDeep(filesystem);
	run('e2fsck', ['-fn', image]);
}

/** The file of 1,500 runs needs index blocks: the matrix would prove little if it did not. */
function assertDeep(filesystem: Ext4): void {
	const sparse = filesystem.inode(filesystem.lookup(filesystem.inode(2), 'sparse')!); // OK: the filler put it there.
	const { metadata, runs } = filesystem.mapBlocks(filesystem.lookup(sparse, 'many-runs')!); // OK: as above.
	const perBlock = Math.floor(filesystem.blockSize / 12);
	assert.ok(metadata.length >= Math.min(3, 1500 / perBlock), `${metadata.length} index blocks`);
	assert.equal(runs.length, 1500);
}
