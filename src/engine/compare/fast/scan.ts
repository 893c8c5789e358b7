/**
 * Step 3: inodes whose own bytes are equal and whose blocks may not be. Data can change under an inode that did not:
 * ordered mode writes it before the inode commits, and an overwrite can keep all times.
 *
 * The hot loop of the fast way: every inode in use is looked at, so it decodes nothing but what it asks, and makes no
 * object for an inode.
 *
 * Source: Linux, Documentation/filesystems/ext4/inodes.rst, ifork.rst.
 */
import { FLAG } from '../../filesystem/ext4/inode.js';
import { le16, le32 } from '../../util/bytes.js';
import type { Work } from '../../util/work.js';
import type { Ext4Side } from '../ext4-side.js';
import type { BlockRanges } from './block-ranges.js';
import {
	BLOCK,
	BLOCKS_LO,
	EXTENT_MAGIC,
	FLAGS,
	LINKS_COUNT,
	MAX_WRITTEN_LENGTH,
	MODE,
	TYPE_DIRECTORY,
	TYPE_FILE,
	TYPE_SYMLINK,
	xattrBlockAt,
} from './raw-inode.js';

/** Bytes of inode tables read at a time. */
const CHUNK = 256 * 1024;
let buffer: Buffer | undefined;

const DIRECT_BLOCKS = 12;

/** An inode with a block that may differ: its number, and where its bytes are. Valid until the call returns. */
export type OnCandidate = (number: number, bytes: Buffer, at: number) => void;

/**
 * Look at every inode in use. One side is enough: the inodes looked at are equal on both.
 *
 * @param differing inodes to be left out of the candidates, rising: their bytes differ, and they are compared anyway.
 * @returns all directories, rising.
 */
export function scanInodes(
	side: Ext4Side,
	mayDiffer: BlockRanges,
	differing: readonly number[],
	onCandidate: OnCandidate,
	work: Work,
): number[] {
	const { groupCount, inodesPerGroup, inodeSize, blockSize } = side.filesystem;
	const directories: number[] = [];
	buffer ??= Buffer.allocUnsafeSlow(CHUNK);
	const perChunk = CHUNK / inodeSize;
	let next = 0;
	for (let group = 0; group < groupCount; group++) {
		const live = side.liveInodes(group);
		if (live === 0) continue;
		work.throwIfCancelled();
		work.report({ step: 'Looking at inodes', done: group, total: groupCount, unit: 'steps' });
		const table = side.filesystem.inodeTableBlock(group) * blockSize;
		for (let done = 0; done < live; done += perChunk) {
			const count = Math.min(perChunk, live - done);
			side.volume.read(table + done * inodeSize, buffer.subarray(0, count * inodeSize));
			const first = group * inodesPerGroup + done + 1;
			for (let i = 0; i < count; i++) {
				const at = i * inodeSize;
				const type = le16(buffer, at + MODE) >>> 12;
				if (type === 0 || le16(buffer, at + LINKS_COUNT) === 0 || side.isNameless(first + i)) continue;
				if (type === TYPE_DIRECTORY) directories.push(first + i);
				while (next < differing.length && differing[next]! < first + i) next++; // OK: next is inside.
				if (differing[next] === first + i) continue;
				if (isCandidate(side, buffer, at, type, first + i, mayDiffer)) onCandidate(first + i, buffer, at);
			}
		}
	}
	return directories;
}

function isCandidate(
	side: Ext4Side,
	bytes: Buffer,
	at: number,
	type: number,
	number: number,
	mayDiffer: BlockRanges,
): boolean {
	const xattrBlock = xattrBlockAt(bytes, at);
	if (xattrBlock !== 0 && mayDiffer.touches(xattrBlock, 1)) return true;
	if (type !== TYPE_FILE && type !== TYPE_DIRECTORY && type !== TYPE_SYMLINK) return false;
	const flags = le32(bytes, at + FLAGS);
	if ((flags & FLAG.inlineData) !== 0) return false;
	if ((flags & FLAG.extents) !== 0) {
		if (le16(bytes, at + BLOCK) !== EXTENT_MAGIC || le16(bytes, at + BLOCK + 6) !== 0) {
			return mapTouches(side, number, mayDiffer);
		}
		const count = le16(bytes, at + BLOCK + 2);
		if (count > 4) return true; // Damaged: whoever compares it will tell.
		for (let i = 0, entry = at + BLOCK + 12; i < count; i++, entry += 12) {
			const length = le16(bytes, entry + 4);
			if (length > MAX_WRITTEN_LENGTH) continue; // Never written: zeros, whatever the blocks hold.
			const physical = le32(bytes, entry + 8) + le16(bytes, entry + 6) * 2 ** 32;
			if (mayDiffer.touches(physical, length)) return true;
		}
		return false;
	}
	if (type === TYPE_SYMLINK) {
		// A short target is kept where the block map would be: then the link has no block of its own.
		const sectors = xattrBlock === 0 ? 0 : side.filesystem.superblock.clusterSize / 512;
		if (le32(bytes, at + BLOCKS_LO) === sectors) return false;
	}
	let beyond = 0;
	for (let i = 0; i < 15; i++) {
		const block = le32(bytes, at + BLOCK + i * 4);
		if (block === 0) continue;
		if (mayDiffer.touches(block, 1)) return true;
		if (i >= DIRECT_BLOCKS) beyond = block;
	}
	return beyond !== 0 && mapTouches(side, number, mayDiffer);
}

/** Of a map that does not fit into the inode: its own blocks count too, for they say which the others are. */
function mapTouches(side: Ext4Side, number: number, mayDiffer: BlockRanges): boolean {
	const { runs, metadata } = side.filesystem.mapBlocks(number);
	return (
		metadata.some(block => mayDiffer.touches(block, 1)) ||
		runs.some(run => !run.unwritten && mayDiffer.touches(run.physical, run.count))
	);
}
