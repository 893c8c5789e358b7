/**
 * Extent trees: where the blocks of a file are, since ext4.
 *
 *     node    header (12 bytes), then eh_entries entries of 12 bytes; the root is the 60 bytes of i_block
 *     leaf    entry: first logical block, length, first physical block (48 bits)
 *     index   entry: first logical block below, block of the child node (48 bits)
 *
 * Source: Linux, Documentation/filesystems/ext4/ifork.rst. Oracle in the tests: `debugfs`, mount.
 */
import { le16, le32 } from '../../util/bytes.js';
import { crc32c } from '../../util/crc32c.js';
import { corrupt } from '../../util/errors.js';
import type { BlockRun, Core } from './core.js';
import { mismatch } from './superblock.js';

const MAGIC = 0xf30a;
const HEADER_SIZE = 12;
const ENTRY_SIZE = 12;
/** EXT4_MAX_EXTENT_DEPTH: at four entries a node, deeper ones could not be needed. */
const MAX_DEPTH = 5;
/** A length above this is a run that was allocated and never written; the rest is its length. */
const MAX_WRITTEN_LENGTH = 32768;

/** One walk through the blocks of one inode. */
export interface MapWalk {
	readonly core: Core;
	readonly inode: number;
	/** Start value of the inode's checksums. */
	readonly seed: number;
	/** Half-open range of logical blocks that are asked for. */
	readonly from: number;
	readonly to: number;
	/** Blocks of the map itself that the walk has read. None is read twice, so that cycles end. */
	readonly visited: Set<number>;
	/** The logical block after the last run: runs are in order and do not overlap. */
	next: number;
}

/** Runs that touch `[walk.from, walk.to)`, whole and in order. @throws EngineError `ERR_CORRUPT`, `ERR_IO`. */
export function extentRuns(walk: MapWalk, root: Uint8Array): Generator<BlockRun> {
	return nodeRuns(walk, root, le16(root, 6), 0, 2 ** 32, undefined);
}

function* nodeRuns(
	walk: MapWalk,
	node: Uint8Array,
	depth: number,
	lower: number,
	upper: number,
	block: number | undefined,
): Generator<BlockRun> {
	const count = checkHeader(walk, node, depth, block);
	if (depth === 0) {
		for (let i = 0; i < count; i++) {
			const run = leafEntry(walk, node, HEADER_SIZE + i * ENTRY_SIZE, lower, upper);
			if (walk.to <= run.logical) return;
			if (walk.from < run.logical + run.count) yield run;
		}
		return;
	}
	for (let i = 0; i < count; i++) {
		const at = HEADER_SIZE + i * ENTRY_SIZE;
		const first = le32(node, at);
		const end = i + 1 < count ? le32(node, at + ENTRY_SIZE) : upper;
		if (!(lower <= first && first < end && end <= upper)) {
			fail(walk, 'ei_block', `ascending from ${lower} to ${upper}`, first);
		}
		if (end <= walk.from) continue;
		if (walk.to <= first) return;
		const child = le32(node, at + 4) + le16(node, at + 8) * 2 ** 32;
		yield* nodeRuns(walk, readNode(walk, child), depth - 1, first, end, child);
	}
}

/** A copy, since whoever takes the runs reads other blocks between them. */
function readNode(walk: MapWalk, block: number): Uint8Array {
	const { blockCount, firstDataBlock } = walk.core.superblock;
	if (!(firstDataBlock < block && block < blockCount)) fail(walk, 'ei_leaf', `below ${blockCount}`, block);
	if (walk.visited.has(block)) fail(walk, 'ei_leaf', 'a block not used before', block);
	walk.visited.add(block);
	return walk.core.blocks.block(block).slice();
}

/** @returns the number of entries. */
function checkHeader(walk: MapWalk, node: Uint8Array, depth: number, block: number | undefined): number {
	const magic = le16(node, 0);
	if (magic !== MAGIC) fail(walk, 'eh_magic', `0x${MAGIC.toString(16)}`, `0x${magic.toString(16)}`, block);
	const count = le16(node, 2);
	const max = le16(node, 4);
	const room = Math.floor((node.byteLength - HEADER_SIZE) / ENTRY_SIZE);
	if (room < max) fail(walk, 'eh_max', `at most ${room}`, max, block);
	if (max < count) fail(walk, 'eh_entries', `at most ${max}`, count, block);
	if (MAX_DEPTH < depth) fail(walk, 'eh_depth', `at most ${MAX_DEPTH}`, depth, block);
	if (le16(node, 6) !== depth) fail(walk, 'eh_depth', depth, le16(node, 6), block);
	if (count === 0 && depth > 0) fail(walk, 'eh_entries', 'at least 1', 0, block);
	if (block !== undefined && walk.core.superblock.hasMetadataChecksums) {
		const at = HEADER_SIZE + max * ENTRY_SIZE;
		if (node.byteLength < at + 4) fail(walk, 'eh_max', 'room for the checksum', max, block);
		const sum = crc32c(walk.seed, node, 0, at);
		const stored = le32(node, at);
		if (sum !== stored) {
			const field = `et_checksum of inode ${walk.inode}`;
			walk.core.report(mismatch(field, block * walk.core.superblock.blockSize + at, sum, stored));
		}
	}
	return count;
}

function leafEntry(walk: MapWalk, node: Uint8Array, at: number, lower: number, upper: number): BlockRun {
	const logical = le32(node, at);
	const length = le16(node, at + 4);
	const unwritten = MAX_WRITTEN_LENGTH < length;
	const count = unwritten ? length - MAX_WRITTEN_LENGTH : length;
	const physical = le32(node, at + 8) + le16(node, at + 6) * 2 ** 32;
	if (count === 0) fail(walk, 'ee_len', 'at least 1', 0);
	const least = Math.max(lower, walk.next);
	if (!(least <= logical && logical + count <= 2 ** 32 && logical < upper)) {
		fail(walk, 'ee_block', `${least} to ${upper - 1}`, logical);
	}
	const { blockCount, firstDataBlock } = walk.core.superblock;
	if (!(firstDataBlock < physical && physical + count <= blockCount)) {
		fail(walk, 'ee_start', `a run below ${blockCount}`, physical);
	}
	walk.next = logical + count;
	return { logical, physical, count, unwritten };
}

function fail(walk: MapWalk, field: string, expected: string | number, actual: string | number, block?: number): never {
	const offset = block === undefined ? 0 : block * walk.core.superblock.blockSize;
	return corrupt('ext4', `${field} of inode ${walk.inode}`, offset, expected, actual);
}
