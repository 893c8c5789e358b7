/** Hashes of names, held against debugfs; blocks of entries made by hand. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { decodeEntries, findEntry, type DirectoryContext } from '../../../../src/engine/filesystem/ext4/directory.js';
import { directoryHash } from '../../../../src/engine/filesystem/ext4/dirhash.js';
import { INCOMPAT } from '../../../../src/engine/filesystem/ext4/features.js';
import type { Superblock } from '../../../../src/engine/filesystem/ext4/superblock.js';
import type { Dirent } from '../../../../src/engine/filesystem/filesystem.js';
import { run } from '../../../oracles/run.js';

/** The versions with unsigned characters, which debugfs does not know, are held against the kernel (unmountable.slow.test.ts). */
const VERSIONS = ['legacy', 'half_md4', 'tea'];

suite('hashes of names', () => {
	const seed = '1d1f2d3e-4c5b-4a69-8877-665544332211';
	const names = [
		'a',
		'abc',
		'name-0001',
		'x'.repeat(31),
		'x'.repeat(32),
		'x'.repeat(33),
		'grüße',
		'\u00ff\u20ac'.repeat(20),
		'q'.repeat(255),
	];
	for (const [version, name] of VERSIONS.entries()) {
		for (const seeded of [false, true]) {
			test(`${name}${seeded ? ' with a seed' : ''}`, () => {
				const bytes = seeded ? Buffer.from(seed.replaceAll('-', ''), 'hex') : Buffer.alloc(16);
				const command = names.map(text => `dx_hash -h ${name} ${seeded ? `-s ${seed}` : ''} ${text}`);
				const output = command.map(line => run('debugfs', ['-R', line]).toString());
				const expected = output.map(line =>
					/0x([0-9a-f]+) \(minor 0x([0-9a-f]+)\)/
						.exec(line)!
						.slice(1)
						.map(word => parseInt(word, 16)),
				);
				assert.deepEqual(
					names.map(text => directoryHash(version, bytes, Buffer.from(text))),
					expected,
				);
			});
		}
	}

	test('plain text has one hash, whether its characters are signed or not', () => {
		for (const version of [0, 1, 2]) {
			const name = Buffer.from('plain');
			assert.deepEqual(
				directoryHash(version + 3, Buffer.alloc(16), name),
				directoryHash(version, Buffer.alloc(16), name),
			);
		}
	});

	test('a hash that needs a key is not guessed', () => {
		assert.equal(directoryHash(6, Buffer.alloc(16), Buffer.from('a')), undefined);
	});
});

suite('entries of a directory', () => {
	const context = (blockSize: number, hasType = true): DirectoryContext => ({
		superblock: { blockSize, featureIncompat: hasType ? INCOMPAT.filetype : 0 } as Superblock, // OK: no more is asked for.
		inode: 2,
		seed: 0,
		shownName: undefined,
		report: problem => assert.fail(problem.message),
	});
	const block = (size: number, entries: readonly (readonly [number, number, string, number])[]): Buffer => {
		const bytes = Buffer.alloc(size);
		let at = 0;
		for (const [inode, length, name, type] of entries) {
			bytes.writeUInt32LE(inode, at);
			bytes.writeUInt16LE(length & 0xffff, at + 4);
			bytes[at + 6] = Buffer.byteLength(name, 'latin1');
			bytes[at + 7] = type;
			bytes.write(name, at + 8, 'latin1');
			at += length;
		}
		return bytes;
	};
	const decode = (bytes: Buffer, given = context(bytes.byteLength)) => {
		const list: Dirent[] = [];
		const damage = decodeEntries(given, bytes, 0, bytes.byteLength, 0, list);
		return [list.map(entry => `${entry.inode} ${entry.name} ${entry.kind}`), damage?.details.field] as const;
	};

	test('unused ones, dots and the checksum are passed over', () => {
		const bytes = block(1024, [
			[2, 12, '.', 2],
			[2, 12, '..', 2],
			[0, 16, 'gone', 1],
			[12, 20, 'file', 1],
			[13, 952, 'new\nline', 7],
			[0, 12, '', 0xde],
		]);
		assert.deepEqual(decode(bytes), [['12 file file', '13 new\nline symlink'], undefined]);
		assert.equal(findEntry(bytes, 0, 1024, Buffer.from('file')), 12);
		assert.equal(findEntry(bytes, 0, 1024, Buffer.from('gone')), undefined);
	});

	for (const written of [65535, 0]) {
		test(`an entry over a whole block of 64 KiB is written as ${written}`, () => {
			const bytes = block(65536, [[12, 65536, 'alone', 1]]);
			bytes.writeUInt16LE(written, 4);
			assert.deepEqual(decode(bytes), [['12 alone file'], undefined]);
		});
	}

	test('without types, the byte that would tell one is not looked at, as in Linux', () => {
		const bytes = block(1024, [[12, 1024, 'file', 1]]);
		assert.deepEqual(decode(bytes, context(1024, false)), [['12 file undefined'], undefined]);
	});

	for (const [what, field, entries] of [
		[
			'too short',
			'rec_len',
			[
				[12, 16, 'good', 1],
				[13, 8, 'a', 1],
			],
		],
		[
			'not aligned',
			'rec_len',
			[
				[12, 16, 'good', 1],
				[13, 18, 'a', 1],
			],
		],
		[
			'leaving the block',
			'rec_len',
			[
				[12, 16, 'good', 1],
				[13, 2000, 'a', 1],
			],
		],
		[
			'shorter than its name',
			'rec_len',
			[
				[12, 16, 'good', 1],
				[13, 12, 'a longer name', 1],
			],
		],
		[
			'with a slash',
			'name',
			[
				[12, 16, 'good', 1],
				[13, 1008, '../up', 1],
			],
		],
		[
			'with a zero byte',
			'name',
			[
				[12, 16, 'good', 1],
				[13, 1008, 'a\0b', 1],
			],
		],
		[
			'without a name',
			'name',
			[
				[12, 16, 'good', 1],
				[13, 1008, '', 1],
			],
		],
	] as const) {
		test(`an entry ${what} is damage, and those before it are given`, () => {
			const bytes = Buffer.concat([block(2048, entries)]).subarray(0, 1024);
			assert.deepEqual(decode(bytes), [['12 good file'], `${field} of directory 2`]);
		});
	}
});
