/**
 * Block maps: where the blocks of a file are in ext2 and ext3, and in ext4 without the extents flag.
 *
 *     i_block[0..11]   the first 12 blocks
 *     i_block[12]      a block of block numbers
 *     i_block[13]      a block of such blocks
 *     i_block[14]      one level more
 *
 * A 0 at any level is a hole.
 *
 * Source: Linux, Documentation/filesystems/ext4/blockmap.rst. Oracle in the tests: `debugfs`, mount.
 */
import { le32 } from '../../util/bytes.js';
import { corrupt } from '../../util/errors.js';
import type { BlockRun } from './core.js';
import type { MapWalk } from './extents.js';

const DIRECT = 12;
const LEVELS = 3;

/** Runs that touch `[walk.from, walk.to)`, cut to it and in order. @throws EngineError `ERR_CORRUPT`, `ERR_IO`. */
export function* indirectRuns(walk: MapWalk, root: Uint8Array): Generator<BlockRun> {
	const perBlock = walk.core.superblock.blockSize / 4;
	const pending = new Pending();
	yield* pointers(walk, root, 0, DIRECT, 0, 1, pending);
	let base = DIRECT;
	let span = perBlock;
	for (let level = 1; level <= LEVELS; level++) {
		if (walk.to <= base) break;
		yield* table(walk, le32(root, (DIRECT + level - 1) * 4), base, span, pending);
		base += span;
		span *= perBlock;
	}
	if (pending.count > 0) yield pending.take();
}

/** The blocks below one block of pointers, which covers `span` logical blocks from `base`. */
function* table(walk: MapWalk, block: number, base: number, span: number, pending: Pending): Generator<BlockRun> {
	if (block === 0 || base + span <= walk.from || walk.to <= base) return;
	check(walk, block);
	if (walk.visited.has(block)) corrupt('ext4', `i_block of inode ${walk.inode}`, 0, 'a block not used before', block);
	walk.visited.add(block);
	// A copy, since whoever takes the runs reads other blocks between them.
	const bytes = walk.core.blocks.block(block).slice();
	const perBlock = bytes.byteLength / 4;
	yield* pointers(walk, bytes, 0, perBlock, base, span / perBlock, pending);
}

/** Pointers `[first, last)` of `bytes`, each to `each` logical blocks. */
function* pointers(
	walk: MapWalk,
	bytes: Uint8Array,
	first: number,
	last: number,
	base: number,
	each: number,
	pending: Pending,
): Generator<BlockRun> {
	const from = Math.max(first, Math.floor((walk.from - base) / each));
	const to = Math.min(last, Math.ceil((walk.to - base) / each));
	for (let i = from; i < to; i++) {
		const block = le32(bytes, i * 4);
		if (block === 0) continue;
		const logical = base + i * each;
		if (each > 1) {
			yield* table(walk, block, logical, each, pending);
			continue;
		}
		check(walk, block);
		if (pending.extend(logical, block)) continue;
		if (pending.count > 0) yield pending.take();
		pending.start(logical, block);
	}
}

function check(walk: MapWalk, block: number): void {
	const { blockCount, firstDataBlock } = walk.core.superblock;
	if (!(firstDataBlock < block && block < blockCount)) {
		corrupt('ext4', `i_block of inode ${walk.inode}`, 0, `below ${blockCount}`, block);
	}
}

/** The run that is growing: neighbours in the file that are neighbours on disk too become one. */
class Pending {
	logical = 0;
	physical = 0;
	count = 0;

	extend(logical: number, physical: number): boolean {
		if (this.count === 0 || logical !== this.logical + this.count || physical !== this.physical + this.count) {
			return false;
		}
		this.count++;
		return true;
	}

	start(logical: number, physical: number): void {
		this.logical = logical;
		this.physical = physical;
		this.count = 1;
	}

	take(): BlockRun {
		const run = { logical: this.logical, physical: this.physical, count: this.count, unwritten: false };
		this.count = 0;
		return run;
	}
}
