/** Step 1: which blocks of a volume may hold other bytes on the other side. */
import type { ChangedRanges } from '../../image/changed.js';
import type { Ext4Sides } from '../ext4-side.js';
import { BlockRanges } from './block-ranges.js';

/**
 * A block may differ when a cluster that it lies in differs, or when the replay of either journal holds it. A block can
 * lie in two clusters, where a partition is not aligned: ranges are bytes until they become blocks, rounded outwards.
 *
 * @param volumeOffset where the volume lies on the disk, on both sides, in bytes.
 */
export function blocksThatMayDiffer(changed: ChangedRanges, volumeOffset: number, sides: Ext4Sides): BlockRanges {
	const { blockSize, superblock } = sides.a.filesystem;
	const end = superblock.blockCount * blockSize;
	const ranges: (readonly [number, number])[] = [];
	for (const { offset, length } of changed.ranges()) {
		const from = Math.max(0, offset - volumeOffset);
		const to = Math.min(end, offset + length - volumeOffset);
		if (from < to) ranges.push([Math.floor(from / blockSize), Math.ceil(to / blockSize)]);
	}
	for (const { filesystem } of [sides.a, sides.b]) {
		for (const block of filesystem.replay?.blocks.keys() ?? []) ranges.push([block, block + 1]);
	}
	return BlockRanges.from(ranges);
}
