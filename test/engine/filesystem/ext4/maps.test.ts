/** Extent trees and block maps of every shape, made by hand, with blocks in shuffled places. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { BlockReader } from '../../../../src/engine/filesystem/ext4/blocks.js';
import type { BlockRun, Core } from '../../../../src/engine/filesystem/ext4/core.js';
import { extentRuns } from '../../../../src/engine/filesystem/ext4/extents.js';
import { FileContent } from '../../../../src/engine/filesystem/ext4/file.js';
import { indirectRuns } from '../../../../src/engine/filesystem/ext4/indirect.js';
import type { Superblock } from '../../../../src/engine/filesystem/ext4/superblock.js';
import { MemorySource } from '../../../../src/engine/io/memory.js';
import { EngineError } from '../../../../src/engine/util/errors.js';

const BLOCK_SIZE = 1024;
const BLOCKS = 1024;

/** Blocks 1 to 511 are for maps, 512 on for data; every data block has its own bytes. */
class Disk {
	readonly bytes = Buffer.alloc(BLOCKS * BLOCK_SIZE);
	readonly core: Core;
	#nextMap = 1;

	constructor() {
		for (let at = 512 * BLOCK_SIZE; at < this.bytes.byteLength; at++)
			this.bytes[at] = (at * 7 + (at >> 10) * 13 + 1) & 0xff;
		const superblock = { blockSize: BLOCK_SIZE, blockCount: BLOCKS, firstDataBlock: 0 } as Superblock; // OK: maps ask for nothing else.
		const report = (problem: unknown) => assert.fail(JSON.stringify(problem));
		this.core = { superblock, blocks: new BlockReader(new MemorySource(this.bytes), BLOCK_SIZE, BLOCKS), report };
	}

	mapBlock(): [number, Buffer] {
		const number = this.#nextMap++;
		return [number, this.bytes.subarray(number * BLOCK_SIZE, (number + 1) * BLOCK_SIZE)];
	}

	walk(from = 0, to = 2 ** 32) {
		return { core: this.core, inode: 12, seed: 0, from, to, visited: new Set<number>(), next: 0 };
	}
}

/** Holes, unwritten runs and data in shuffled places: sorted by logical block. */
const RUNS: readonly BlockRun[] = [
	{ logical: 0, physical: 700, count: 1, unwritten: false },
	{ logical: 1, physical: 520, count: 3, unwritten: false },
	{ logical: 6, physical: 900, count: 2, unwritten: true },
	{ logical: 8, physical: 902, count: 1, unwritten: false },
	{ logical: 9, physical: 600, count: 11, unwritten: false },
	{ logical: 25, physical: 515, count: 2, unwritten: false },
	{ logical: 27, physical: 640, count: 5, unwritten: true },
	{ logical: 60, physical: 1020, count: 4, unwritten: false },
	{ logical: 70, physical: 800, count: 1, unwritten: false },
];
const SIZE = 71 * BLOCK_SIZE - 100;

function node(
	into: Buffer,
	max: number,
	depth: number,
	entries: readonly (readonly [number, number, number])[],
): Buffer {
	into.writeUInt16LE(0xf30a, 0);
	into.writeUInt16LE(entries.length, 2);
	into.writeUInt16LE(max, 4);
	into.writeUInt16LE(depth, 6);
	entries.forEach(([first, word, block], i) => {
		const at = 12 + i * 12;
		into.writeUInt32LE(first, at);
		if (depth === 0) {
			into.writeUInt16LE(word, at + 4);
			into.writeUInt32LE(block, at + 8);
		} else {
			into.writeUInt32LE(block, at + 4);
		}
	});
	return into;
}

/** A tree of the runs, with `fanOut` entries a node. */
function extentTree(disk: Disk, fanOut: number, runs: readonly BlockRun[] = RUNS): Buffer {
	let level: (readonly [number, number, number])[] = runs.map(run => [
		run.logical,
		run.count + (run.unwritten ? 32768 : 0),
		run.physical,
	]);
	let depth = 0;
	while (level.length > 4) {
		const above: (readonly [number, number, number])[] = [];
		for (let i = 0; i < level.length; i += fanOut) {
			const [number, bytes] = disk.mapBlock();
			node(bytes, 84, depth, level.slice(i, i + fanOut));
			above.push([level[i]![0], 0, number]);
		}
		level = above;
		depth++;
	}
	return node(Buffer.alloc(60), 4, depth, level);
}

function blockMap(disk: Disk, runs: readonly BlockRun[], shift = 0): Buffer {
	const root = Buffer.alloc(60);
	const set = (logical: number, physical: number) => {
		if (logical < 12) return root.writeUInt32LE(physical, logical * 4);
		let [table, at, index, level] = [root, 12, logical - 12, 1];
		for (let span = 256; index >= span; span *= 256) [index, at, level] = [index - span, at + 1, level + 1];
		for (; level > 0; level--) {
			let block = table.readUInt32LE(at * 4);
			if (block === 0) {
				block = disk.mapBlock()[0];
				table.writeUInt32LE(block, at * 4);
			}
			table = disk.bytes.subarray(block * BLOCK_SIZE, (block + 1) * BLOCK_SIZE);
			const span = 256 ** (level - 1);
			[at, index] = [Math.floor(index / span), index % span];
		}
		return table.writeUInt32LE(physical, at * 4);
	};
	for (const run of runs) for (let i = 0; i < run.count; i++) set(run.logical + i + shift, run.physical + i);
	return root;
}

/** What a file of these runs holds. */
function naive(disk: Disk, runs: readonly BlockRun[], size: number): Buffer {
	const content = Buffer.alloc(Math.ceil(size / BLOCK_SIZE) * BLOCK_SIZE);
	for (const { logical, physical, count, unwritten } of runs) {
		if (!unwritten)
			disk.bytes.copy(content, logical * BLOCK_SIZE, physical * BLOCK_SIZE, (physical + count) * BLOCK_SIZE);
	}
	return content.subarray(0, size);
}

function checkReads(disk: Disk, runs: (from: number, to: number) => Iterable<BlockRun>, expected: Buffer): void {
	const file = new FileContent(disk.core.blocks.source, BLOCK_SIZE, expected.byteLength, runs);
	const lengths = [0, 1, 511, BLOCK_SIZE - 1, BLOCK_SIZE, BLOCK_SIZE + 1, 5 * BLOCK_SIZE + 3];
	for (let block = 0; block * BLOCK_SIZE < expected.byteLength; block++) {
		for (const offset of [block * BLOCK_SIZE - 1, block * BLOCK_SIZE, block * BLOCK_SIZE + 1]) {
			for (const length of lengths) {
				if (offset < 0 || expected.byteLength < offset + length) continue;
				const into = Buffer.alloc(length, 0xaa);
				file.read(offset, into);
				assert.ok(into.equals(expected.subarray(offset, offset + length)), `${length} bytes at ${offset}`);
			}
		}
	}
	const whole = Buffer.alloc(expected.byteLength, 0xaa);
	file.read(0, whole);
	assert.ok(whole.equals(expected));
	assert.throws(
		() => file.read(expected.byteLength, Buffer.alloc(1)),
		(e: unknown) => EngineError.is(e, 'ERR_IO'),
	);
}

suite('extent trees', () => {
	for (const fanOut of [84, 4, 3, 2]) {
		test(`${fanOut} entries a node`, () => {
			const disk = new Disk();
			const root = extentTree(disk, fanOut);
			assert.deepEqual([...extentRuns(disk.walk(), root)], RUNS);
			for (let from = 0; from < 75; from++) {
				const wanted = RUNS.filter(run => run.logical < from + 3 && from < run.logical + run.count);
				assert.deepEqual([...extentRuns(disk.walk(from, from + 3), root)], wanted);
			}
			checkReads(disk, (from, to) => extentRuns(disk.walk(from, to), root), naive(disk, RUNS, SIZE));
		});
	}

	test('an empty root has no runs', () => {
		assert.deepEqual([...extentRuns(new Disk().walk(), node(Buffer.alloc(60), 4, 0, []))], []);
	});

	const two = [RUNS[0]!, RUNS[1]!, RUNS[4]!, RUNS[5]!, RUNS[8]!];
	for (const [what, field, spoil] of [
		['no magic', 'eh_magic', (root: Buffer) => root.writeUInt16LE(0, 0)],
		['more entries than fit', 'eh_entries', (root: Buffer) => root.writeUInt16LE(5, 2)],
		['room for more than fits', 'eh_max', (root: Buffer) => root.writeUInt16LE(5, 4)],
		['too deep', 'eh_depth', (root: Buffer) => root.writeUInt16LE(6, 6)],
		['another depth than its parent says', 'eh_depth', (root: Buffer) => root.writeUInt16LE(2, 6)],
		['an index without entries', 'eh_entries', (root: Buffer) => root.writeUInt16LE(0, 2)],
		['a child outside the filesystem', 'ei_leaf', (root: Buffer) => root.writeUInt32LE(BLOCKS, 16)],
		['a child at 2^47', 'ei_leaf', (root: Buffer) => root.writeUInt16LE(0x8000, 20)],
		['one child twice', 'ei_leaf', (root: Buffer) => root.writeUInt32LE(1, 28)],
		['children out of order', 'ei_block', (root: Buffer) => root.writeUInt32LE(0, 24)],
		['a length of 0', 'ee_len', (_: Buffer, leaf: Buffer) => leaf.writeUInt16LE(0, 16)],
		['a run outside the filesystem', 'ee_start', (_: Buffer, leaf: Buffer) => leaf.writeUInt32LE(BLOCKS, 20)],
		['runs that overlap', 'ee_block', (_: Buffer, leaf: Buffer) => leaf.writeUInt32LE(0, 24)],
		['a run before its index', 'ee_block', (_: Buffer, leaf: Buffer) => leaf.writeUInt32LE(2 ** 31, 12)],
	] as const) {
		test(`${what} is refused by name`, () => {
			const disk = new Disk();
			const root = extentTree(disk, 3, two);
			spoil(root, disk.bytes.subarray(BLOCK_SIZE, 2 * BLOCK_SIZE));
			assert.throws(
				() => [...extentRuns(disk.walk(), root)],
				(e: unknown) => EngineError.is(e, 'ERR_CORRUPT') && e.details.field === `${field} of inode 12`,
			);
		});
	}
});

suite('block maps', () => {
	const written = RUNS.map(run => ({ ...run, unwritten: false }));
	for (const [name, shift] of [
		['direct and single', 0],
		['double', 12 + 256 + 1000],
		['triple', 12 + 256 + 65536 - 3],
	] as const) {
		test(name, () => {
			const disk = new Disk();
			const root = blockMap(disk, written, shift);
			const runs = [...indirectRuns(disk.walk(), root)].map(run => ({ ...run, logical: run.logical - shift }));
			assert.deepEqual(runs.flatMap(expand), written.flatMap(expand));
			assert.ok(runs.length <= written.length, 'neighbours are joined');
			const part = (from: number, to: number) =>
				[...indirectRuns(disk.walk(from + shift, to + shift), root)].map(run => ({
					...run,
					logical: run.logical - shift,
				}));
			checkReads(disk, part, naive(disk, written, SIZE));
		});
	}

	for (const [what, spoil] of [
		['a block outside the filesystem', (root: Buffer) => root.writeUInt32LE(BLOCKS, 0)],
		['a table outside the filesystem', (root: Buffer) => root.writeUInt32LE(BLOCKS, 48)],
		['a table that is its own child', (root: Buffer, disk: Disk) => root.writeUInt32LE(selfTable(disk), 52)],
	] as const) {
		test(`${what} is refused`, () => {
			const disk = new Disk();
			const root = blockMap(disk, written);
			spoil(root, disk);
			assert.throws(
				() => [...indirectRuns(disk.walk(), root)],
				(e: unknown) => EngineError.is(e, 'ERR_CORRUPT') && e.details.field === 'i_block of inode 12',
			);
		});
	}
});

function selfTable(disk: Disk): number {
	const [number, bytes] = disk.mapBlock();
	bytes.writeUInt32LE(number, 0);
	return number;
}

function expand(run: BlockRun): string[] {
	return Array.from({ length: run.count }, (_, i) => `${run.logical + i}:${run.physical + i}`);
}
