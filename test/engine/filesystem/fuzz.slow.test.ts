/** Damaged filesystems: nothing but `EngineError`, no endless loop, no unbounded memory. */
import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { Ext4 } from '../../../src/engine/filesystem/ext4/ext4.js';
import { MemorySource } from '../../../src/engine/io/memory.js';
import { EngineError } from '../../../src/engine/util/errors.js';
import { buildExt4, withTemporary } from '../../builders/ext4.js';
import { run } from '../../oracles/run.js';
import { readEverything } from './read-everything.js';

const CASES = 40_000;
const SEED = 20261127;
/** Bytes that one change touches at most, from a multiple of 4. */
const TOUCHED = 64;
const MAX_RSS = 256 * 1024 * 1024;

/** Tiny, each with another set of structures. */
const IMAGES = {
	ext4: ['-t', 'ext4', '-b', '1024', '-I', '256', '-N', '64', '-O', '^has_journal,ea_inode'],
	'ext4 without checksums, inline data': [
		'-t',
		'ext4',
		'-b',
		'1024',
		'-I',
		'256',
		'-N',
		'64',
		'-O',
		'^has_journal,^metadata_csum,inline_data',
	],
	ext2: ['-t', 'ext2', '-b', '1024', '-I', '128', '-N', '64'],
	'ext4, bigalloc, meta_bg, 4 KiB': [
		'-t',
		'ext4',
		'-b',
		'4096',
		'-N',
		'64',
		'-O',
		'^has_journal,^resize_inode,^metadata_csum,bigalloc,meta_bg',
	],
	'ext4, needs recovery': ['-t', 'ext4', '-b', '1024', '-N', '64', '-J', 'size=1', '-O', '^metadata_csum'],
} as const;

/** What a hostile or damaged field holds more often than chance would. */
const EXTREMES = [0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff];

suite('damaged filesystems', () => {
	for (const [name, mke2fs] of Object.entries(IMAGES)) {
		test(name, () => {
			const good = build(name, mke2fs);
			const places = interesting(good);
			const bytes = Buffer.from(good);
			const count = Math.floor(CASES / Object.keys(IMAGES).length);
			for (let number = 0; number < count; number++) {
				const seed = SEED + number;
				const touched = spoil(bytes, places, random(seed));
				readOrRefuse(bytes, `${name}, seed ${seed}`);
				for (const at of touched) good.copy(bytes, at, at, at + TOUCHED);
			}
			assert.ok(process.resourceUsage().maxRSS * 1024 < MAX_RSS, `${process.resourceUsage().maxRSS} KiB`);
		});
	}

	test('every flipped byte of the superblock, the descriptors and the inodes in use', () => {
		const good = build('flips', IMAGES.ext4);
		const bytes = Buffer.from(good);
		for (const [from, to] of interesting(good).slice(0, 3)) {
			for (let at = from; at < Math.min(to, from + 2048); at++) {
				bytes[at]! ^= 0xff;
				readOrRefuse(bytes, `byte ${at}`);
				bytes[at]! ^= 0xff;
			}
		}
	});
});

function readOrRefuse(bytes: Buffer, what: string): void {
	try {
		readEverything(Ext4.open(new MemorySource(bytes)));
	} catch (error) {
		if (!EngineError.is(error)) throw new Error(what, { cause: error });
	}
}

function build(name: string, mke2fs: readonly string[]): Buffer {
	return withTemporary(directory => {
		const tree = join(directory, 'tree');
		for (const folder of ['', 'directory', 'directory/deeper']) mkdirSync(join(tree, folder));
		writeFileSync(join(tree, 'file'), Buffer.alloc(20_000, 'content '));
		for (let i = 0; i < 12; i++) writeFileSync(join(tree, 'directory', `name-${i}`), 'x'.repeat(i * 13));
		for (let i = 0; i < 9; i++) {
			writeFileSync(join(tree, 'sparse'), 'data', { flag: 'a' });
			run('truncate', ['-s', `${(i + 1) * 40_000}`, join(tree, 'sparse')]);
		}
		symlinkSync('target', join(tree, 'link'));
		symlinkSync('t'.repeat(90), join(tree, 'long'));
		run('setfattr', ['-n', 'user.small', '-v', 'value', join(tree, 'file')]);
		if (!name.includes('ext2')) run('setfattr', ['-n', 'user.large', '-v', 'v'.repeat(400), join(tree, 'file')]);
		const image = buildExt4({ size: /recovery|bigalloc/.test(name) ? '4M' : '1M', mke2fs, from: tree });
		if (name.includes('recovery')) image.writeUInt32LE(image.readUInt32LE(1024 + 0x60) | 4, 1024 + 0x60);
		return image;
	});
}

/** Superblock, descriptors, inodes in use, then every metadata block that files and directories lead to. */
function interesting(good: Buffer): readonly (readonly [number, number])[] {
	const filesystem = Ext4.open(new MemorySource(good));
	const { blockSize, inodeSize, superblock } = filesystem;
	const table = filesystem.inodeTableBlock(0) * blockSize;
	const descriptors = (superblock.superblockBlock + 1) * blockSize;
	const places: [number, number][] = [
		[1024, 2048],
		[descriptors, descriptors + 64],
		[table, table + 30 * inodeSize],
	];
	for (let number = 2; number <= 40; number++) {
		// Reserved inodes are in use, most of them without being files.
		if (![2, superblock.journalInum].includes(number) && (number < 11 || !filesystem.isLive(number))) continue;
		const { kind, flags } = filesystem.inode(number);
		const map = filesystem.mapBlocks(number);
		const blocks = [
			...map.metadata,
			map.xattrBlock,
			...(kind === 'directory' ? map.runs.map(run => run.physical) : []),
		];
		const isJournal = number === superblock.journalInum && flags !== 0;
		if (isJournal) blocks.push(...map.runs.map(run => run.physical));
		for (const block of blocks)
			if (block !== 0) places.push([block * blockSize, block * blockSize + Math.min(blockSize, 512)]);
	}
	return places;
}

/** One to eight changes, most of them in one place. @returns where. */
function spoil(bytes: Buffer, places: readonly (readonly [number, number])[], next: () => number): number[] {
	const touched: number[] = [];
	let place = places[next() % places.length]!;
	for (let left = 1 + (next() % 8); left > 0; left--) {
		if (next() % 4 === 0) place = places[next() % places.length]!;
		const at = place[0] + (next() % (place[1] - place[0] - 4));
		const value = next() % 3 === 0 ? next() : EXTREMES[next() % EXTREMES.length]!;
		const kind = next() % 5;
		if (kind === 0) bytes[at]! ^= 1 << (next() % 8);
		else if (kind === 1) bytes[at] = value & 0xff;
		else if (kind === 2) bytes.writeUInt16LE(value & 0xffff, at & ~1);
		else if (kind === 3) bytes.writeUInt32LE(value >>> 0, at & ~3);
		else {
			const from = places[next() % places.length]![0];
			bytes.copyWithin(at & ~3, from, from + TOUCHED);
		}
		touched.push(at & ~3);
	}
	return touched;
}

/** xorshift32: 1 to 2^32 - 1. */
function random(seed: number): () => number {
	let state = seed >>> 0 || 1;
	return () => {
		state ^= state << 13;
		state ^= state >>> 17;
		state ^= state << 5;
		return (state >>>= 0);
	};
}
