/** ext4 as a filesystem, and held against debugfs and dumpe2fs. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { Ext4 } from '../../../../src/engine/filesystem/ext4/ext4.js';
import { COMPAT, INCOMPAT, RO_COMPAT, featureNames } from '../../../../src/engine/filesystem/ext4/features.js';
import { FileSource } from '../../../../src/engine/io/file.js';
import type { ByteSource } from '../../../../src/engine/io/source.js';
import { makeExt4 } from '../../../builders/ext4.js';
import {
	debugfs,
	debugfsAll,
	debugfsBlocks,
	debugfsDump,
	debugfsWrite,
	superblockField,
} from '../../../oracles/debugfs.js';
import { run } from '../../../oracles/run.js';
import { runFilesystemSuite } from '../filesystem-suite.js';

const directory = mkdtempSync(join(tmpdir(), 'strata-ext4-'));
after(() => rmSync(directory, { recursive: true, force: true }));
const tree = join(directory, 'tree');
for (const folder of ['', 'many', 'sub']) mkdirSync(join(tree, folder));
for (let i = 0; i < 150; i++) writeFileSync(join(tree, 'many', `name-${i}-${'n'.repeat(i)}`), `${i}`);
writeFileSync(join(tree, 'file'), Buffer.alloc(50_001, 'some content '));
writeFileSync(join(tree, 'sub', 'sparse'), 'begin');
run('truncate', ['-s', '500000', join(tree, 'sub', 'sparse')]);
writeFileSync(join(tree, 'sub', 'sparse'), 'end', { flag: 'a' });
symlinkSync('target', join(tree, 'link'));
run('mkfifo', [join(tree, 'fifo')]);
run('setfattr', ['-n', 'user.comment', '-v', 'value', join(tree, 'file')]);
run('setfattr', ['-n', 'user.large', '-v', 'v'.repeat(600), join(tree, 'file')]);

for (const [name, mke2fs] of [
	['ext2', '-t ext2 -b 1024 -L label-1'],
	['ext4', '-t ext4 -b 1024 -I 256 -L a-label'],
	['ext4-inline', '-t ext4 -O inline_data,metadata_csum_seed -b 4096'],
] as const) {
	const image = join(directory, name);
	makeExt4(image, { size: '24M', mke2fs: mke2fs.split(' '), from: tree });
	debugfsWrite(image, [
		'set_inode_field file generation 4000000000',
		'set_inode_field file crtime 20010203040506',
		`set_inode_field file flags ${name === 'ext2' ? '0x10' : '0x80010'}`,
	]);
	const source = FileSource.open(image);
	after(() => source[Symbol.dispose]());
	runFilesystemSuite(name, () => Ext4.open(source));
	suite(`${name} against e2fsprogs`, () => againstE2fsprogs(name, image, Ext4.open(source)));
}

function againstE2fsprogs(name: string, image: string, filesystem: Ext4): void {
	const { superblock } = filesystem;
	const inodeOf = (path: string) => {
		let inode = filesystem.inode(2);
		for (const part of path.split('/')) inode = filesystem.inode(filesystem.lookup(inode, part)!); // OK: it is there.
		return inode;
	};

	test('the superblock', () => {
		const features = [
			...featureNames(COMPAT, superblock.featureCompat),
			...featureNames(INCOMPAT, superblock.featureIncompat),
			...featureNames(RO_COMPAT, superblock.featureRoCompat),
		];
		assert.deepEqual(features.sort(), superblockField(image, 'Filesystem features')!.split(/\s+/).sort());
		const field = (label: string) => superblockField(image, label);
		assert.equal(filesystem.uuid, field('Filesystem UUID'));
		assert.equal(filesystem.label || '<none>', field('Filesystem volume name'));
		assert.equal(filesystem.type, name.slice(0, 4));
		for (const [label, value] of [
			['Block size', filesystem.blockSize],
			['Block count', superblock.blockCount],
			['Inode count', superblock.inodesCount],
			['Inode size', filesystem.inodeSize],
			['Inodes per group', filesystem.inodesPerGroup],
			['Blocks per group', superblock.blocksPerGroup],
			['First block', filesystem.firstDataBlock],
			['First inode', superblock.firstInode],
			['Inode blocks per group', superblock.tableBlocks],
		] as const) {
			assert.equal(String(value), field(label), label);
		}
	});

	test('the groups', () => {
		const text = run('dumpe2fs', [image]).toString();
		const tables = [...text.matchAll(/Inode table at (\d+)-/g)].map(match => Number(match[1]));
		assert.deepEqual(
			tables,
			Array.from({ length: filesystem.groupCount }, (_, group) => filesystem.inodeTableBlock(group)),
		);
		const unused = [...text.matchAll(/(\d+) unused inodes/g)].map(match => Number(match[1]));
		if (unused.length > 0)
			assert.deepEqual(
				unused,
				Array.from(tables, (_, group) => filesystem.itableUnused(group)),
			);
		const numbers = Array.from({ length: superblock.inodesCount / 8 }, (_, i) => 1 + i * 8);
		const answers = debugfsAll(
			image,
			numbers.map(number => `testi <${number}>`),
		);
		const live = [...answers.matchAll(/^Inode \d+ is (marked|not) in use/gm)].map(match => match[1] === 'marked');
		assert.deepEqual(
			numbers.map(number => filesystem.isLive(number)),
			live,
		);
	});

	for (const path of ['file', 'sub/sparse', 'many', 'link', 'sub']) {
		test(`the inode of ${path}`, () => {
			const inode = filesystem.inode(inodeOf(path).number);
			const text = debugfs(image, `stat ${path}`);
			const field = (pattern: RegExp) => pattern.exec(text)?.[1];
			assert.equal(String(inode.number), field(/Inode: (\d+)/));
			assert.equal(String(inode.generation), field(/Generation: (\d+)/));
			assert.equal(inode.mode.toString(8).padStart(4, '0'), field(/Mode: +(\d+)/));
			assert.equal(`0x${inode.flags.toString(16)}`, field(/Flags: (\S+)/));
			assert.equal(String(inode.size), field(/Size: (\d+)/));
			assert.equal(String(inode.links), field(/Links: (\d+)/));
			assert.equal(String(inode.allocated / 512), field(/Blockcount: (\d+)/));
			assert.equal(String(inode.xattrBlock), field(/File ACL: (\d+)/));
			for (const time of ['ctime', 'atime', 'mtime', 'crtime'] as const) {
				const [, sec, extra] = new RegExp(`^ *${time}: 0x(\\w+)(?::(\\w+))?`, 'm').exec(text) ?? [];
				if (sec === undefined) continue;
				const expected = { sec: parseInt(sec, 16), nsec: parseInt(extra ?? '0', 16) >>> 2 };
				assert.deepEqual(inode[time], expected, time);
			}
			if (path === 'file') assert.deepEqual(inode.attributes, ['immutable']);
		});

		test(`the blocks of ${path}`, () => {
			const inode = inodeOf(path);
			const map = filesystem.mapBlocks(inode);
			const blocks = map.runs.flatMap(({ physical, count }) => Array.from({ length: count }, (_, i) => physical + i));
			// debugfs gives the blocks of the map among those of the content.
			const expected =
				/inline|^target/.test(debugfs(image, `stat ${path}`)) || inode.kind === 'symlink'
					? []
					: debugfsBlocks(image, path);
			assert.deepEqual([...blocks, ...map.metadata].sort(), expected.sort());
		});
	}

	test('content and attributes', () => {
		for (const path of ['file', 'sub/sparse']) {
			const content = filesystem.openFile(inodeOf(path));
			const bytes = Buffer.alloc(content.size, 0xaa);
			content.read(0, bytes);
			assert.ok(bytes.equals(debugfsDump(image, path)), path);
		}
		assert.match(debugfs(image, 'ea_list file'), /user\.comment \(5\)[^]*user\.large \(600\)/);
		const xattrs = filesystem
			.xattrs(inodeOf('file'))
			.map(({ name, value }) => `${name}=${Buffer.from(value).toString()}`);
		assert.deepEqual(xattrs, ['user.comment=value', `user.large=${'v'.repeat(600)}`]);
	});
}

test('listing one directory of 10 GiB reads little', () => {
	const image = join(directory, 'ten');
	makeExt4(image, { size: '10G', from: tree });
	using source = FileSource.open(image);
	let [reads, bytes] = [0, 0];
	const counting: ByteSource = {
		size: source.size,
		read: (offset, into) => {
			reads++;
			bytes += into.byteLength;
			source.read(offset, into);
		},
		[Symbol.dispose]: () => undefined,
	};
	const filesystem = Ext4.open(counting);
	const many = filesystem.inode(filesystem.lookup(filesystem.inode(2), 'many')!); // OK: it is there.
	const sizes = [...filesystem.entries(many)].map(entry => filesystem.inode(entry.inode).size);
	assert.equal(sizes.length, 150);
	assert.ok(reads <= 20 && bytes <= 400_000, `${reads} reads, ${bytes} bytes`);
});
