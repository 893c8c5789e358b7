/** Step 2: inodes whose own bytes differ, from those blocks of the inode tables that may. */
import { EngineError } from '../../util/errors.js';
import type { Work } from '../../util/work.js';
import type { Ext4Sides } from '../ext4-side.js';
import type { BlockRanges } from './block-ranges.js';

/** Bytes read at a time on each side. */
const CHUNK = 256 * 1024;
let buffers: readonly [Buffer, Buffer] | undefined;

/**
 * Numbers in rising order. Only the part of a table that is in use on either side counts: what lies behind it is stale.
 * What fast commits touched is among them, whatever the tables say.
 */
export function differingInodes(sides: Ext4Sides, mayDiffer: BlockRanges, work: Work): number[] {
	const { groupCount, inodesPerGroup, inodeSize, blockSize } = sides.a.filesystem;
	const found: number[] = [];
	for (let group = 0; group < groupCount; group++) {
		const table = sides.a.filesystem.inodeTableBlock(group);
		if (table !== sides.b.filesystem.inodeTableBlock(group)) {
			throw new EngineError('ERR_UNSUPPORTED', `the inode table of group ${group} lies elsewhere`);
		}
		const [liveA, liveB] = [sides.a.liveInodes(group), sides.b.liveInodes(group)];
		const first = group * inodesPerGroup + 1;
		const end = table + Math.ceil((Math.max(liveA, liveB) * inodeSize) / blockSize);
		const least = Math.min(liveA, liveB);
		for (let i = mayDiffer.firstAfter(table); i < mayDiffer.length && mayDiffer.starts[i]! < end; i++) {
			work.throwIfCancelled();
			const from = Math.max(table, mayDiffer.starts[i]!); // OK: i is inside.
			const to = Math.min(end, mayDiffer.ends[i]!);
			compareBlocks(sides, from, to, first + ((from - table) * blockSize) / inodeSize, first + least, found);
		}
		// In use on one side only, whatever the bytes.
		for (let index = least; index < Math.max(liveA, liveB); index++) found.push(first + index);
	}
	for (const { filesystem } of [sides.a, sides.b]) {
		const touched = filesystem.replay?.fastCommit;
		if (touched) found.push(...touched.touchedInodes, ...touched.touchedDirectories);
	}
	return sortedOnce(found);
}

/** Compare the inodes in blocks `[from, to)`, of which the first is number `first`, up to number `end`. */
function compareBlocks(
	{ a, b }: Ext4Sides,
	from: number,
	to: number,
	first: number,
	end: number,
	found: number[],
): void {
	const { blockSize, inodeSize } = a.filesystem;
	buffers ??= [Buffer.allocUnsafeSlow(CHUNK), Buffer.allocUnsafeSlow(CHUNK)];
	const [left, right] = buffers;
	const perBlock = blockSize / inodeSize;
	for (let block = from; block < to; block += CHUNK / blockSize) {
		const length = Math.min(CHUNK, (to - block) * blockSize);
		a.volume.read(block * blockSize, left.subarray(0, length));
		b.volume.read(block * blockSize, right.subarray(0, length));
		for (let at = 0; at < length; at += blockSize) {
			if (left.compare(right, at, at + blockSize, at, at + blockSize) === 0) continue;
			const number = first + (block - from + at / blockSize) * perBlock;
			for (let i = 0; i < perBlock && number + i < end; i++) {
				const start = at + i * inodeSize;
				if (left.compare(right, start, start + inodeSize, start, start + inodeSize) !== 0) found.push(number + i);
			}
		}
	}
}

function sortedOnce(numbers: number[]): number[] {
	numbers.sort((x, y) => x - y);
	return numbers.filter((number, i) => number > 0 && number !== numbers[i - 1]);
}
