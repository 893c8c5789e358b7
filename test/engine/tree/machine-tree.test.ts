import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { FileTree, TreeEntry } from '../../../src/engine/tree/file-tree.js';
import { openMachineTree } from '../../../src/engine/tree/machine-tree.js';
import { isoTime, listRecord } from '../../../src/engine/tree/records.js';
import type { FilesystemDriver } from '../../../src/engine/tree/registry.js';
import { walk } from '../../../src/engine/tree/walk.js';
import { EngineError } from '../../../src/engine/util/errors.js';
import { joinRaw } from '../../../src/engine/util/names.js';
import { cancelled, type Work } from '../../../src/engine/util/work.js';
import { MemoryDisk } from '../../builders/disk-view.js';
import { LINUX_FILESYSTEM, writeGpt, writeMbr } from '../../builders/partition-table.js';
import { MemoryFilesystem, type Node } from '../compare/memory-filesystem.js';

/** A disk with a memory filesystem on p1, swap on p2, XFS on p3, LUKS on p4, and a broken filesystem on p10. */
function disk(): MemoryDisk {
	const bytes = Buffer.alloc(2048 * 512);
	const at = (number: number) => 64 + number * 100;
	const entries = Array.from({ length: 10 }, (_, index) => {
		const used = [1, 2, 3, 4, 10].includes(index + 1);
		return used ? { type: LINUX_FILESYSTEM, firstLba: at(index + 1), lastLba: at(index + 1) + 99 } : undefined;
	});
	writeGpt(bytes, entries);
	bytes.writeUInt16LE(0xef53, at(1) * 512 + 1024 + 0x38);
	bytes.write('SWAPSPACE2', at(2) * 512 + 4086);
	bytes.write('XFSB\0\0\x10\0', at(3) * 512, 'latin1');
	bytes.write('LUKS\xba\xbe\0\x02', at(4) * 512, 'latin1');
	bytes.write('hsqs', at(10) * 512);
	return new MemoryDisk(bytes);
}

function drivers(root: Readonly<Record<string, Node>>): FilesystemDriver[] {
	return [
		{ types: ['ext2'], open: () => new MemoryFilesystem(root) },
		{
			types: ['squashfs3'],
			open: () => {
				throw new EngineError('ERR_CORRUPT', 'squashfs: inode_table is 0', { format: 'squashfs' });
			},
		},
	];
}

const FILES: Readonly<Record<string, Node>> = {
	etc: { children: { hosts: { content: '127.0.0.1' }, 'motd\xff\n': { content: 'x' } } },
	'etc.d': { children: {} },
	link: { target: '/etc/hosts' },
	dev: { children: { sda: { kind: 'blockdev', device: { major: 8, minor: 0 } } } },
	broken: { broken: 'inode' },
	'no-names': { broken: 'names', children: {} },
};
const open = (root = FILES) => openMachineTree([disk()], drivers(root));
const code =
	(expected: string, message = /./) =>
	(error: unknown) =>
		EngineError.is(error) && error.code === expected && message.test(error.message);

suite('one disk', () => {
	test('the top level is its volumes, by number', () => {
		using tree = open();
		assert.deepEqual(
			tree.list('/').map(entry => [entry.path, entry.kind, entry.volume?.type, entry.volume?.readable]),
			[
				['/p1', 'directory', 'ext2', true],
				['/p2', 'directory', 'swap', false],
				['/p3', 'directory', 'xfs', false],
				['/p4', 'directory', 'crypto_LUKS', false],
				['/p10', 'directory', 'squashfs3', true],
			],
		);
		assert.deepEqual(
			tree.mounts.map(mount => mount.path),
			['/p1', '/p2', '/p3', '/p4', '/p10'],
		);
		assert.equal(tree.stat('/').kind, 'directory');
	});

	test('children are sorted by bytes, and a damaged one is listed', () => {
		using tree = open();
		assert.deepEqual(
			tree.list('/p1').map(entry => [entry.name, entry.kind, entry.problem?.code]),
			[
				['broken', 'file', 'ERR_CORRUPT'],
				['dev', 'directory', undefined],
				['etc', 'directory', undefined],
				['etc.d', 'directory', undefined],
				['link', 'symlink', undefined],
				['no-names', 'directory', undefined],
			],
		);
	});

	test('files are found by path, also a second time and with spare slashes', () => {
		using tree = open();
		for (const path of ['/p1/etc/hosts', '/p1/etc/hosts', '//p1//etc/hosts']) {
			assert.equal(tree.stat(path).inode?.size, 9);
			assert.equal(tree.stat(path).path, '/p1/etc/hosts');
		}
		using source = tree.openFile('/p1/etc/hosts');
		assert.equal(source.size, 9);
		assert.equal(tree.readLink('/p1/link'), '/etc/hosts');
	});

	test('what is not there says so', () => {
		using tree = open();
		for (const path of ['/p7', '/p1/nothing', '/p1/etc/..', '/p1/.', '/p1/etc/nothing/below', '/etc/hosts']) {
			assert.throws(() => tree.stat(path), code('ERR_NOT_FOUND'), path);
		}
		assert.throws(() => tree.stat('/p1/etc/hosts/x'), code('ERR_NOT_A_DIRECTORY'));
		assert.throws(() => tree.stat('/p1/link/x'), code('ERR_NOT_A_DIRECTORY'));
		assert.throws(() => tree.list('/p1/etc/hosts'), code('ERR_NOT_A_DIRECTORY'));
		assert.throws(() => tree.openFile('/p1/etc'), code('ERR_IS_A_DIRECTORY'));
		assert.throws(() => tree.openFile('/'), code('ERR_IS_A_DIRECTORY'));
		assert.throws(() => tree.readLink('/p1/etc/hosts'), code('ERR_USAGE'));
	});

	test('volumes that cannot be read say what they are', () => {
		using tree = open();
		assert.throws(() => tree.list('/p2'), code('ERR_UNSUPPORTED', /^p2: swap space cannot be read yet$/));
		assert.throws(() => tree.list('/p3'), code('ERR_UNSUPPORTED', /^p3: XFS cannot be read yet$/));
		assert.throws(() => tree.list('/p4'), code('ERR_ENCRYPTED', /LUKS/));
		assert.throws(() => tree.list('/p10'), code('ERR_CORRUPT', /squashfs/));
		assert.equal(tree.stat('/p10').problem?.code, 'ERR_CORRUPT');
		assert.throws(() => tree.stat('/p3/etc'), code('ERR_UNSUPPORTED'));
	});

	test('a disk whose table is lost says so when it is listed', () => {
		const bytes = disk().bytes;
		bytes[600] = 1;
		bytes[bytes.byteLength - 512 + 88] = 1;
		using tree = openMachineTree([new MemoryDisk(bytes)]);
		assert.throws(() => tree.list('/'), code('ERR_CORRUPT', /gpt/));
		assert.equal(tree.tables[0]?.problem?.code, 'ERR_CORRUPT');
		assert.deepEqual(
			[...walk(tree)].map(item => ('error' in item ? item.error.code : item.entry.path)),
			['/', 'ERR_CORRUPT'],
		);
	});
});

test('several disks have a level of their own', () => {
	const bytes = Buffer.alloc(65536);
	bytes.writeUInt16LE(0xef53, 1024 + 0x38);
	using tree = openMachineTree([disk(), new MemoryDisk(bytes)], drivers(FILES));
	assert.deepEqual(
		tree.list('/').map(entry => entry.path),
		['/disk1', '/disk2'],
	);
	assert.deepEqual(
		tree.list('/disk2').map(entry => entry.path),
		['/disk2/disk'],
	);
	assert.equal(tree.stat('/disk1/p1/etc/hosts').inode?.size, 9);
	assert.equal(tree.stat('/disk2/disk/etc/hosts').inode?.size, 9);
	assert.equal(tree.mountOf('/disk2/disk/etc')?.path, '/disk2/disk');
	assert.equal(tree.mountOf('/disk2'), undefined);
	assert.throws(() => tree.stat('/p1'), code('ERR_NOT_FOUND'));
});

test('an extended partition is a volume without files', () => {
	const bytes = Buffer.alloc(2048 * 512);
	writeMbr(bytes, [{ type: 5, firstLba: 100, sectorCount: 500 }]);
	writeMbr(bytes, [{ type: 0x83, firstLba: 8, sectorCount: 50 }], 100 * 512);
	using tree = openMachineTree([new MemoryDisk(bytes)]);
	assert.deepEqual(
		tree.list('/').map(entry => [entry.name, entry.volume?.type]),
		[
			['p1', 'extended'],
			['p5', 'empty'],
		],
	);
	assert.throws(() => tree.list('/p1'), code('ERR_UNSUPPORTED', /logical/));
});

suite('walking', () => {
	const show = (items: Iterable<ReturnType<typeof walk> extends Generator<infer T> ? T : never>) =>
		[...items].map(item => ('error' in item ? `! ${item.path} ${item.error.code}` : item.entry.path));

	test('depth first, in the order of bytes, around damage, not into what cannot be read', () => {
		using tree = open();
		assert.deepEqual(show(walk(tree)), [
			'/',
			'/p1',
			'/p1/broken',
			'/p1/dev',
			'/p1/dev/sda',
			'/p1/etc',
			'/p1/etc/hosts',
			'/p1/etc/motd\xff\n',
			'/p1/etc.d',
			'/p1/link',
			'/p1/no-names',
			'! /p1/no-names ERR_CORRUPT',
			'/p2',
			'/p3',
			'/p4',
			'/p10',
			'! /p10 ERR_CORRUPT',
		]);
		assert.deepEqual(show(walk(tree, '/p1/etc')), ['/p1/etc', '/p1/etc/hosts', '/p1/etc/motd\xff\n']);
		assert.deepEqual(show(walk(tree, '/p1/etc/hosts')), ['/p1/etc/hosts']);
		assert.deepEqual(show(walk(tree, '/', undefined, { depth: 1 })), ['/', '/p1', '/p2', '/p3', '/p4', '/p10']);
		assert.throws(() => [...walk(tree, '/p1/nothing')], code('ERR_NOT_FOUND'));
	});

	test('a loop and a second link of a directory end', () => {
		const tree = open({
			a: { inode: 50, children: { up: { inode: 2, kind: 'directory' } } },
			b: { inode: 50, kind: 'directory' },
		});
		assert.deepEqual(show(walk(tree, '/p1')), [
			'/p1',
			'/p1/a',
			'/p1/a/up',
			'! /p1/a/up ERR_CORRUPT',
			'/p1/b',
			'! /p1/b ERR_CORRUPT',
		]);
	});

	test('a line of too many directories ends', () => {
		// A tree without inodes, in which every directory holds another one.
		const entry = (path: string): TreeEntry => ({
			path,
			name: 'd',
			kind: 'directory',
			inode: undefined,
			volume: undefined,
			problem: undefined,
		});
		const endless = { stat: entry, list: (path: string) => [entry(joinRaw(path, 'd'))] } as unknown as FileTree; // OK: all that is used.
		const items = show(walk(endless, '/p1'));
		assert.equal(items.length, 4098);
		assert.match(items.at(-1)!, /^! .* ERR_LIMIT$/); // OK: not empty.
	});

	test('is cancelled', () => {
		const work: Work = {
			throwIfCancelled: () => {
				throw cancelled();
			},
			report: () => undefined,
		};
		assert.throws(() => [...walk(open(), '/', work)], code('ERR_CANCELLED'));
	});
});

suite('records', () => {
	test('of files, links, devices and volumes', () => {
		using tree = open();
		const record = (path: string) => listRecord(tree, tree.stat(path));
		assert.equal(record('/p1/etc/motd\xff\n').path, '/p1/etc/motd\\xff\\x0a');
		assert.equal(record('/p1/link').target, '/etc/hosts');
		assert.equal(record('/p1/dev/sda').device, '8:0');
		assert.equal(record('/p1/etc/hosts').mode, '0644');
		assert.equal(record('/p1').volume?.type, 'ext2');
		assert.equal(record('/p10').error, 'ERR_CORRUPT');
		assert.equal(listRecord(tree, tree.list('/p1')[0]!).error, 'ERR_CORRUPT'); // OK: `broken`.
	});

	test('times before 1970, after 2038, and beyond all dates', () => {
		assert.equal(isoTime({ sec: 1_700_000_000, nsec: 123 }), '2023-11-14T22:13:20.000000123Z');
		assert.equal(isoTime({ sec: -1, nsec: 999_999_999 }), '1969-12-31T23:59:59.999999999Z');
		assert.equal(isoTime({ sec: 15_032_385_535, nsec: 0 }), '2446-05-10T22:38:55.000000000Z');
		for (let sec = -5e9; sec < 2e10; sec += 86_399 * 977) {
			assert.equal(isoTime({ sec, nsec: 0 }), new Date(sec * 1000).toISOString().replace('.000Z', '.000000000Z'));
		}
		assert.equal(isoTime({ sec: 400_000_000_000, nsec: 1 }), '+014645-06-30T15:06:40.000000001Z');
		assert.equal(isoTime({ sec: 2 ** 53, nsec: 5 }), '@9007199254740992.000000005');
	});
});
