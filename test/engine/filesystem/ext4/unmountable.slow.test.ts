/** Filesystems that this kernel does not mount, or not for writing: held against the host's directory, debugfs and what can be mounted. */
import assert from 'node:assert/strict';
import { chmodSync, lutimesSync, mkdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { Ext4 } from '../../../../src/engine/filesystem/ext4/ext4.js';
import { FileSource } from '../../../../src/engine/io/file.js';
import { EngineError } from '../../../../src/engine/util/errors.js';
import { makeExt4, withTemporary } from '../../../builders/ext4.js';
import { debugfs, debugfsDump, debugfsWrite } from '../../../oracles/debugfs.js';
import { walkHost, withMount, type KernelEntry } from '../../../oracles/mount.js';
import { run } from '../../../oracles/run.js';
import { walkFilesystem } from '../compare-tree.js';

suite('ext4 that this kernel does not mount', () => {
	for (const [name, mke2fs] of [
		['64 KiB blocks', '-t ext4 -b 65536'],
		['64 KiB blocks, no checksums', '-t ext4 -b 65536 -O ^metadata_csum'],
		['16 KiB blocks, ext3', '-t ext3 -b 16384'],
		['16 KiB blocks, inline data', '-t ext4 -b 16384 -O inline_data'],
		['64 KiB blocks, inodes of 1 KiB', '-t ext4 -b 65536 -I 1024'],
		['casefold', '-t ext4 -O casefold -E encoding=utf8'],
		['project and quota', '-t ext4 -O project,quota'],
		['verity', '-t ext4 -O verity'],
	] as const) {
		test(name, () => holdsAgainstHost(mke2fs.split(' ')));
	}

	test('a casefold directory keeps names as they are stored', () => {
		withImage(
			['-t', 'ext4', '-O', 'casefold', '-E', 'encoding=utf8'],
			(filesystem, image) => {
				const directory = filesystem.inode(filesystem.lookup(filesystem.inode(2), 'directory')!);
				assert.deepEqual(directory.attributes, ['casefold']);
				assert.deepEqual(
					[...filesystem.entries(directory)].map(entry => entry.name),
					['MiXed'],
				);
				assert.equal(filesystem.lookup(directory, 'mixed'), undefined);
				assert.match(debugfs(image, 'ls -p /directory'), /MiXed/);
			},
			['mkdir directory', 'set_inode_field directory flags 0x40080000', 'write package.json directory/MiXed'],
		);
	});

	test('a verity file ends where its content does', () => {
		withImage(
			['-t', 'ext4', '-O', 'verity'],
			(filesystem, image) => {
				const inode = filesystem.inode(filesystem.lookup(filesystem.inode(2), 'file')!);
				assert.deepEqual(inode.attributes, ['verity']);
				const bytes = Buffer.alloc(inode.size);
				filesystem.openFile(inode).read(0, bytes);
				assert.deepEqual(bytes, readFileSync('package.json'));
				assert.deepEqual(debugfsDump(image, 'file'), bytes);
			},
			['write package.json file', 'set_inode_field file flags 0x180000'],
		);
	});

	test('projects are told', () => {
		withImage(
			['-t', 'ext4', '-O', 'project,quota', '-I', '256'],
			filesystem => {
				assert.equal(filesystem.inode(filesystem.lookup(filesystem.inode(2), 'file')!).project, 70000);
			},
			['write package.json file', 'set_inode_field file projid 70000'],
		);
	});

	for (const [flags, how] of [
		[1, 'signed'],
		[2, 'unsigned'],
	] as const) {
		test(`encrypted directories show names as Linux does without a key, and no content; ${how} hashes`, () =>
			showsEncrypted(flags));
	}
});

function holdsAgainstHost(mke2fs: readonly string[]): void {
	withTemporary(directory => {
		const tree = join(directory, 'tree');
		makeTree(tree);
		// mke2fs loses a hole at the end of a file where it may keep content in inodes.
		if (!mke2fs.includes('inline_data')) truncateSync(join(tree, 'a', 'size-100'), 3_000_000);
		setTimes(tree);
		const image = join(directory, 'image');
		makeExt4(image, { size: '128M', mke2fs: [...mke2fs, '-N', '2048'], from: tree });
		using source = FileSource.open(image);
		using filesystem = Ext4.open(source);
		const actual = strip(walkFilesystem(filesystem));
		actual.delete(Buffer.from('/lost+found').toString('hex'));
		assert.deepEqual(actual, strip(walkHost(tree)));
		assert.deepEqual(filesystem.problems, []);
	});
}

/** `flags` are those of the superblock: 1 for signed hashes, 2 for unsigned ones. */
function showsEncrypted(flags: number): void {
	withTemporary(directory => {
		const image = join(directory, 'image');
		makeExt4(image, { size: '64M', mke2fs: ['-t', 'ext4', '-O', 'encrypt', '-I', '256'] });
		debugfsWrite(image, [`set_super_value flags ${flags}`]);
		withMount(image, 'rw,test_dummy_encryption=v2', mounted => {
			mkdirSync(join(mounted, 'secret'));
			for (let i = 0; i < 300; i++) writeFileSync(join(mounted, 'secret', `file ${i} ${'x'.repeat(i % 220)}`), `${i}`);
			mkdirSync(join(mounted, 'secret', 'below'));
			writeFileSync(join(mounted, 'secret', 'below', 'content'), 'cannot be read');
			symlinkSync('target', join(mounted, 'secret', 'link'));
		});
		const expected = withMount(image, 'ro,noatime', walkHost);
		using source = FileSource.open(image);
		using filesystem = Ext4.open(source);
		const secret = filesystem.inode(filesystem.lookup(filesystem.inode(2), 'secret')!);
		assert.deepEqual(secret.attributes, ['encrypted']);
		const names = [...filesystem.entries(secret)].map(entry => entry.name);
		const kernel = [...expected.keys()]
			.map(path => Buffer.from(path, 'hex').toString())
			.filter(path => /^\/secret\/[^/]*$/.test(path));
		assert.deepEqual(names.map(name => `/secret/${name}`).sort(), kernel.sort());
		for (const name of names) {
			const inode = filesystem.inode(filesystem.lookup(secret, name)!);
			assert.ok(inode.attributes.includes('encrypted'));
			if (inode.kind === 'file')
				assert.throws(
					() => filesystem.openFile(inode),
					(e: unknown) => EngineError.is(e, 'ERR_ENCRYPTED'),
				);
			if (inode.kind === 'symlink')
				assert.throws(
					() => filesystem.readLink(inode),
					(e: unknown) => EngineError.is(e, 'ERR_ENCRYPTED'),
				);
		}
		assert.deepEqual(filesystem.problems, []);
	});
}

/** What `mke2fs -d` carries over. */
function makeTree(tree: string): void {
	for (const folder of ['', 'a', 'a/b', 'many', 'empty']) mkdirSync(join(tree, folder));
	for (const size of [0, 1, 60, 100, 5000, 65535, 65536, 65537, 700_000])
		writeFileSync(join(tree, 'a', `size-${size}`), pattern(size));
	for (let i = 0; i < 600; i++)
		writeFileSync(join(tree, 'many', `name-${i}-${'z'.repeat(100 + (i % 90))}`), i % 100 === 0 ? `${i}` : '');
	symlinkSync('short', join(tree, 'short-link'));
	symlinkSync('l'.repeat(300), join(tree, 'long-link'));
	writeFileSync(Buffer.concat([Buffer.from(`${tree}/`), Buffer.from([0xff, 0x0a, 0xfe])]), 'bytes');
	run('mkfifo', [join(tree, 'fifo')]);
	run('mknod', [join(tree, 'device'), 'b', '300', '70000']);
	run('setfattr', ['-n', 'user.name', '-v', 'value', join(tree, 'a')]);
	run('setfattr', ['-n', 'user.larger', '-v', 'v'.repeat(300), join(tree, 'a', 'size-60')]);
	chmodSync(join(tree, 'a', 'b'), 0o1751);
}

/** mke2fs keeps whole seconds alone. */
function setTimes(tree: string): void {
	run('find', [tree, '-exec', 'touch', '-h', '-d', '@1700000000', '{}', '+']);
	lutimesSync(join(tree, 'a', 'size-1'), 1, 1);
}

function pattern(size: number): Buffer {
	return Buffer.from(Uint8Array.from({ length: size }, (_, i) => ((i * 31 + (i >> 8)) & 0xff) | 1));
}

/** Without what differs between a filesystem and its copy. */
function strip(entries: Map<string, KernelEntry>): Map<string, Partial<KernelEntry>> {
	return new Map(
		[...entries].map(([path, { inode: _inode, links, size, atime: _atime, ctime: _ctime, mtime, ...rest }]) => {
			const isRoot = path === '2f';
			return [
				path,
				rest.type === 4 ? { ...rest, mtime: isRoot ? '' : mtime } : { ...rest, mtime, links, size },
			] as const;
		}),
	);
}

function withImage(mke2fs: string[], check: (filesystem: Ext4, image: string) => void, commands: string[]): void {
	withTemporary(directory => {
		const image = join(directory, 'image');
		makeExt4(image, { size: '16M', mke2fs });
		debugfsWrite(image, commands);
		using source = FileSource.open(image);
		using filesystem = Ext4.open(source);
		check(filesystem, image);
		assert.deepEqual(filesystem.problems, []);
	});
}
