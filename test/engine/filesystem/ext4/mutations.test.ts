/** One wrong field at a time: which code, which field. Then every truncation, and flipped bits. */
import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { Ext4 } from '../../../../src/engine/filesystem/ext4/ext4.js';
import type { Filesystem } from '../../../../src/engine/filesystem/filesystem.js';
import { MemorySource } from '../../../../src/engine/io/memory.js';
import { EngineError, type ErrorCode } from '../../../../src/engine/util/errors.js';
import { buildExt4, withTemporary } from '../../../builders/ext4.js';
import { run } from '../../../oracles/run.js';
import { readEverything } from '../read-everything.js';

const SUPERBLOCK = 1024;
/** 1 KiB blocks, so the descriptors are in block 2. */
const DESCRIPTORS = 2048;

const good = withTemporary(directory => {
	const tree = join(directory, 'tree');
	mkdirSync(tree);
	mkdirSync(join(tree, 'directory'));
	writeFileSync(join(tree, 'directory', 'below'), 'below');
	writeFileSync(join(tree, 'file'), Buffer.alloc(5000, 'content '));
	symlinkSync('target', join(tree, 'link'));
	symlinkSync('t'.repeat(100), join(tree, 'long'));
	run('setfattr', ['-n', 'user.small', '-v', 'value', join(tree, 'file')]);
	run('setfattr', ['-n', 'user.large', '-v', 'v'.repeat(300), join(tree, 'file')]);
	return buildExt4({
		size: '1M',
		mke2fs: ['-t', 'ext4', '-b', '1024', '-I', '256', '-N', '32', '-O', '^has_journal'],
		from: tree,
	});
});

type Spoil = (bytes: Buffer, clean: Ext4) => void;
const u8 =
	(at: number, value: number): Spoil =>
	bytes =>
		void (bytes[SUPERBLOCK + at] = value);
const u16 =
	(at: number, value: number): Spoil =>
	bytes =>
		void bytes.writeUInt16LE(value, SUPERBLOCK + at);
const u32 =
	(at: number, value: number): Spoil =>
	bytes =>
		void bytes.writeUInt32LE(value, SUPERBLOCK + at);
const or =
	(at: number, value: number): Spoil =>
	bytes =>
		void bytes.writeUInt32LE((bytes.readUInt32LE(SUPERBLOCK + at) | value) >>> 0, SUPERBLOCK + at);

function open(bytes: Buffer): Ext4 {
	return Ext4.open(new MemorySource(bytes));
}

function spoiled(spoil: Spoil): Ext4 {
	const bytes = Buffer.from(good);
	spoil(bytes, open(good));
	return open(bytes);
}

function throwsWith(code: ErrorCode, field: string, action: () => unknown): void {
	assert.throws(action, (error: unknown) => {
		assert.ok(EngineError.is(error), String(error));
		assert.deepEqual([error.code, error.details.field], [code, field], error.message);
		return true;
	});
}

function child(filesystem: Filesystem, name: string) {
	return filesystem.inode(filesystem.lookup(filesystem.inode(2), name)!); // OK: the builder put it there.
}

suite('superblock', () => {
	for (const [what, spoil, code, field] of [
		['magic', u16(0x38, 0), 'ERR_CORRUPT', 's_magic'],
		['block size', u32(0x18, 7), 'ERR_CORRUPT', 's_log_block_size'],
		['block size of 2^32', u32(0x18, 0xffffffff), 'ERR_CORRUPT', 's_log_block_size'],
		['inode size', u16(0x58, 300), 'ERR_CORRUPT', 's_inode_size'],
		['inode size above a block', u16(0x58, 2048), 'ERR_CORRUPT', 's_inode_size'],
		['inode size of 64', u16(0x58, 64), 'ERR_CORRUPT', 's_inode_size'],
		['descriptor size', u16(0xfe, 65), 'ERR_CORRUPT', 's_desc_size'],
		['descriptor size of 32', u16(0xfe, 32), 'ERR_CORRUPT', 's_desc_size'],
		['blocks per group', u32(0x20, 0), 'ERR_CORRUPT', 's_blocks_per_group'],
		['more blocks per group than a bitmap has', u32(0x20, 8193), 'ERR_CORRUPT', 's_blocks_per_group'],
		['inodes per group', u32(0x28, 0), 'ERR_CORRUPT', 's_inodes_per_group'],
		['more inodes per group than a bitmap has', u32(0x28, 8200), 'ERR_CORRUPT', 's_inodes_per_group'],
		['blocks', u32(0x4, 1), 'ERR_CORRUPT', 's_blocks_count'],
		['blocks above 2^53 bytes', u32(0x150, 0xffffffff), 'ERR_CORRUPT', 's_blocks_count'],
		['first data block', u32(0x14, 0), 'ERR_CORRUPT', 's_first_data_block'],
		['first data block far away', u32(0x14, 2), 'ERR_CORRUPT', 's_first_data_block'],
		['inodes', u32(0x0, 31), 'ERR_CORRUPT', 's_inodes_count'],
		['checksum type', u8(0x175, 2), 'ERR_UNSUPPORTED', 's_checksum_type'],
		['compression', or(0x60, 0x1), 'ERR_UNSUPPORTED', 's_feature_incompat'],
		['a journal device', or(0x60, 0x8), 'ERR_UNSUPPORTED', 's_feature_incompat'],
		['an unknown incompatible feature', or(0x60, 0x800000), 'ERR_UNSUPPORTED', 's_feature_incompat'],
		[
			'cluster size',
			(bytes, clean) => {
				or(0x64, 0x200)(bytes, clean);
				u32(0x1c, 21)(bytes, clean);
			},
			'ERR_CORRUPT',
			's_log_cluster_size',
		],
	] as readonly (readonly [string, Spoil, ErrorCode, string])[]) {
		test(`${what} is refused by name`, () => throwsWith(code, field, () => spoiled(spoil)));
	}

	test('unknown incompatible features are named', () => {
		assert.throws(() => spoiled(or(0x60, 0x800001)), /compression, unknown bit 0x800000/);
	});

	for (const [what, spoil, field] of [
		['a wrong checksum', u32(0x3fc, 1), 's_checksum'],
		['an unknown compatible feature', or(0x5c, 0x80000000), 's_feature_compat'],
		['an unknown read-only compatible feature', or(0x64, 0x40000000), 's_feature_ro_compat'],
		['more blocks than the volume has', u32(0x4, 8000), 's_blocks_count'],
		[
			'a journal that is elsewhere',
			(bytes, clean) => {
				or(0x60, 4)(bytes, clean);
				u32(0xe0, 0)(bytes, clean);
				u32(0xe4, 0x801)(bytes, clean);
			},
			's_journal_dev',
		],
		['recovery without a journal', or(0x60, 4), 's_journal_inum'],
	] as readonly (readonly [string, Spoil, string])[]) {
		test(`${what} is told, and reading goes on`, () => {
			const filesystem = spoiled(spoil);
			assert.ok(
				filesystem.problems.some(problem => problem.details.field === field),
				JSON.stringify(filesystem.problems),
			);
			assert.equal(child(filesystem, 'file').size, 5000);
		});
	}
});

suite('groups', () => {
	test('an inode table outside the filesystem is refused by name', () => {
		const filesystem = spoiled(bytes => bytes.writeUInt32LE(5000, DESCRIPTORS + 8));
		throwsWith('ERR_CORRUPT', 'bg_inode_table of group 0', () => filesystem.inode(2));
	});

	for (const [what, at] of [
		['descriptor', DESCRIPTORS + 0xc],
		['descriptor checksum', DESCRIPTORS + 0x1e],
	] as const) {
		test(`a flipped bit in a ${what} is told, and reading goes on`, () => {
			const filesystem = spoiled(bytes => void (bytes[at]! ^= 1));
			assert.equal(child(filesystem, 'file').size, 5000);
			assert.deepEqual(
				filesystem.problems.map(problem => problem.details.field),
				['bg_checksum of group 0'],
			);
		});
	}

	test('a damaged inode bitmap is told; inodes with a name are read', () => {
		const filesystem = spoiled((bytes, clean) => {
			const bitmap = bytes.readUInt32LE(DESCRIPTORS + 4);
			bytes.fill(0, bitmap * 1024, bitmap * 1024 + clean.inodesPerGroup / 8);
		});
		assert.equal(child(filesystem, 'file').size, 5000);
		assert.equal(filesystem.isLive(31), false);
		assert.deepEqual(
			filesystem.problems.map(problem => problem.details.field),
			['checksum of bg_inode_bitmap of group 0'],
		);
	});

	test('an inode that is not in use does not exist', () => {
		const filesystem = open(good);
		throwsWith('ERR_CORRUPT', 'bg_inode_bitmap for inode 31', () => filesystem.inode(31));
		throwsWith('ERR_CORRUPT', 'inode number', () => filesystem.inode(0));
		throwsWith('ERR_CORRUPT', 'inode number', () => filesystem.inode(33));
		throwsWith('ERR_CORRUPT', 'inode number', () => filesystem.inode(2 ** 32));
	});

	test('inodes that the table never had are not there, whatever its bytes say', () => {
		const filesystem = spoiled((bytes, clean) => {
			const number = child(clean, 'file').number;
			bytes.writeUInt16LE(clean.inodesPerGroup - number + 1, DESCRIPTORS + 0x1c);
		});
		const names = [...filesystem.entries(filesystem.inode(2))];
		const { inode } = names.find(entry => entry.name === 'file')!;
		assert.equal(filesystem.isLive(inode), false);
	});
});

suite('inodes and what they hold', () => {
	/** Spoil the inode of a name at the top. */
	const inode =
		(name: string, spoil: (raw: Buffer) => void): Spoil =>
		(bytes, clean) => {
			const { number } = child(clean, name);
			spoil(bytes.subarray(clean.inodeOffset(number), clean.inodeOffset(number) + 256));
		};

	test('a flipped bit is told with the inode, which is read all the same', () => {
		const filesystem = spoiled(inode('file', raw => void (raw[2]! ^= 1)));
		const file = child(filesystem, 'file');
		assert.equal(file.uid, 1);
		assert.equal(file.problem?.details.field, `i_checksum of inode ${file.number}`);
	});

	for (const [what, field, spoil] of [
		['a type that there is not', 'i_mode', raw => raw.writeUInt16LE(0x3000, 0)],
		['no type', 'i_mode', raw => raw.writeUInt16LE(0, 0)],
		['a size of 2^63', 'i_size', raw => raw.writeUInt32LE(0x80000000, 0x6c)],
	] as readonly (readonly [string, string, (raw: Buffer) => void])[]) {
		test(`${what} is refused by name`, () => {
			const { number } = child(open(good), 'file');
			throwsWith('ERR_CORRUPT', `${field} of inode ${number}`, () => child(spoiled(inode('file', spoil)), 'file'));
		});
	}

	test('an impossible i_extra_isize is told', () => {
		const file = child(spoiled(inode('file', raw => raw.writeUInt16LE(500, 0x80))), 'file');
		assert.equal(file.problem?.details.field, `i_extra_isize of inode ${file.number}`);
	});

	test('a short link as long as its place is refused', () => {
		const filesystem = spoiled(inode('link', raw => raw.writeUInt32LE(60, 4)));
		const link = child(filesystem, 'link');
		throwsWith('ERR_CORRUPT', `i_size of inode ${link.number}`, () => filesystem.readLink(link));
	});

	test('a long link above a block is refused', () => {
		const filesystem = spoiled(inode('long', raw => raw.writeUInt32LE(1025, 4)));
		const link = child(filesystem, 'long');
		throwsWith('ERR_CORRUPT', `i_size of inode ${link.number}`, () => filesystem.readLink(link));
	});

	test('a wrong extent is refused when content is read', () => {
		const filesystem = spoiled(inode('file', raw => raw.writeUInt32LE(5000, 0x28 + 12 + 8)));
		const file = child(filesystem, 'file');
		throwsWith('ERR_CORRUPT', `ee_start of inode ${file.number}`, () =>
			filesystem.openFile(file).read(0, Buffer.alloc(1)),
		);
	});

	test('a directory is no file, a file no directory, a file no link', () => {
		const filesystem = open(good);
		assert.throws(
			() => filesystem.openFile(child(filesystem, 'directory')),
			(e: unknown) => EngineError.is(e, 'ERR_IS_A_DIRECTORY'),
		);
		assert.throws(
			() => [...filesystem.entries(child(filesystem, 'file'))],
			(e: unknown) => EngineError.is(e, 'ERR_NOT_A_DIRECTORY'),
		);
		assert.throws(
			() => filesystem.readLink(child(filesystem, 'file')),
			(e: unknown) => EngineError.is(e, 'ERR_USAGE'),
		);
		assert.throws(
			() => filesystem.openFile(child(filesystem, 'link')),
			(e: unknown) => EngineError.is(e, 'ERR_USAGE'),
		);
	});

	test('a flipped bit in a directory block is told, and its names are read', () => {
		const filesystem = spoiled((bytes, clean) => {
			const [run] = [...clean.blockRuns(child(clean, 'directory'))];
			bytes[run!.physical * 1024 + 24 + 8]! ^= 1; // the first letter of the first name after "." and ".."
		});
		const directory = child(filesystem, 'directory');
		assert.deepEqual(
			[...filesystem.entries(directory)].map(entry => entry.name),
			['celow'],
		);
		assert.deepEqual(
			filesystem.problems.map(problem => problem.details.field),
			[`checksum of directory ${directory.number}`],
		);
	});

	test('a damaged directory gives the names before the damage, then throws', () => {
		const filesystem = spoiled((bytes, clean) => {
			const [run] = [...clean.blockRuns(2)];
			const block = bytes.subarray(run!.physical * 1024, run!.physical * 1024 + 1024);
			block.writeUInt16LE(3, block.indexOf('link') - 4);
		});
		const seen: string[] = [];
		throwsWith('ERR_CORRUPT', 'rec_len of directory 2', () => {
			for (const entry of filesystem.entries(filesystem.inode(2))) seen.push(entry.name);
		});
		assert.ok(seen.length > 0 && !seen.includes('link'));
		assert.equal(child(filesystem, seen[0]!).number > 0, true);
		throwsWith('ERR_CORRUPT', 'rec_len of directory 2', () => filesystem.lookup(filesystem.inode(2), 'link'));
	});

	for (const [what, field, spoil] of [
		['a block outside the filesystem', 'i_file_acl', (_, raw) => raw.writeUInt32LE(5000, 0x68)],
		['no magic', 'h_magic', block => block.writeUInt32LE(0, 0)],
		['two blocks', 'h_blocks', block => block.writeUInt32LE(2, 8)],
		['a name that leaves the inode', 'e_name_len', (_, raw) => void (raw[164] = 255)],
		['a value that leaves the block', 'e_value_offs', block => block.writeUInt16LE(1000, 32 + 2)],
		['a value in the header', 'e_value_offs', block => block.writeUInt16LE(8, 32 + 2)],
		['a value above 64 KiB', 'e_value_size', block => block.writeUInt32LE(65537, 32 + 8)],
	] as readonly (readonly [string, string, (block: Buffer, raw: Buffer) => void])[]) {
		test(`attributes: ${what} is refused by name`, () => {
			const filesystem = spoiled((bytes, clean) => {
				const { number, xattrBlock } = clean.inode(child(clean, 'file').number);
				const at = clean.inodeOffset(number);
				spoil(bytes.subarray(xattrBlock * 1024, xattrBlock * 1024 + 1024), bytes.subarray(at, at + 256));
			});
			const file = child(filesystem, 'file');
			throwsWith('ERR_CORRUPT', `${field} of inode ${file.number}`, () => filesystem.xattrs(file));
		});
	}

	test('attributes with a wrong checksum are told, and read', () => {
		const filesystem = spoiled((bytes, clean) => {
			bytes[clean.inode(child(clean, 'file').number).xattrBlock * 1024 + 0x10]! ^= 1;
		});
		const file = child(filesystem, 'file');
		assert.deepEqual(
			filesystem.xattrs(file).map(({ name }) => name),
			['user.large', 'user.small'],
		);
		assert.deepEqual(
			filesystem.problems.map(problem => problem.details.field),
			[`h_checksum of inode ${file.number}`],
		);
	});
});

suite('the journal', () => {
	const mke2fs = ['-t', 'ext4', '-b', '1024', '-I', '128', '-N', '32', '-J', 'size=1', '-O', '^metadata_csum'];
	const journaled = buildExt4({ size: '4M', mke2fs });
	or(0x60, 4)(journaled, open(journaled));

	test('an empty one needs no replay', () => {
		const filesystem = open(journaled);
		assert.deepEqual(filesystem.problems, []);
		assert.equal(filesystem.replay?.needed, false);
	});

	test('it is found by the copy of its inode when that is gone, which is told', () => {
		const bytes = Buffer.from(journaled);
		bytes.fill(0, open(journaled).inodeOffset(8), open(journaled).inodeOffset(9));
		const filesystem = open(bytes);
		assert.deepEqual(
			filesystem.problems.map(problem => problem.details.field),
			['i_mode of inode 8'],
		);
		assert.equal(filesystem.replay?.needed, false);
	});

	test('without either, reading goes on as it is stored', () => {
		const bytes = Buffer.from(journaled);
		bytes.fill(0, open(journaled).inodeOffset(8), open(journaled).inodeOffset(9));
		bytes[SUPERBLOCK + 0xfd] = 0;
		const filesystem = open(bytes);
		assert.deepEqual(
			filesystem.problems.map(problem => problem.details.field),
			['i_mode of inode 8'],
		);
		assert.equal(filesystem.replay, undefined);
		assert.equal(filesystem.inode(2).kind, 'directory');
	});
});

suite('damage anywhere', () => {
	test('every truncation gives a filesystem that says so, or an error', () => {
		for (let size = 0; size < good.byteLength; size += size < 8192 ? 97 : 4099) {
			const bytes = good.subarray(0, size);
			try {
				const filesystem = open(bytes);
				assert.ok(
					filesystem.problems.some(problem => problem.details.field === 's_blocks_count'),
					`${size}`,
				);
				readEverything(filesystem);
			} catch (error) {
				if (!EngineError.is(error)) throw error;
			}
		}
	});
});
