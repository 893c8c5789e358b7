/**
 * Which parts of a disk may differ between two states, by where their bytes are kept, without reading them.
 *
 * Two states of one qcow2 are compared by their tables: L1 entries that lead to the same L2 table are skipped unread,
 * else the tables are compared word by word. All others are compared by their extents. What has equal identity holds
 * equal bytes; everything else, and everything that is damaged, may differ.
 */
import { isSameAt } from '../io/identity.js';
import type { Extent, MappedSource } from '../io/source.js';
import { UNWATCHED, type Work } from '../util/work.js';
import { BitSet } from './bits.js';
import { changedClusters } from './qcow2/changed-clusters.js';
import { Qcow2View } from './qcow2/view.js';

/** 8 MiB of bits: 4 TiB in clusters of 64 KiB. Larger disks are told apart in larger pieces. */
const MAX_BITS = 2 ** 26;

/** Parts of a disk that may differ, in pieces of `granularity` bytes. Offsets are bytes of the disk. */
export interface ChangedRanges {
	/** Bytes. */
	readonly granularity: number;
	/** Whether any byte of `[offset, offset + length)` may differ. What lies past the end of both disks does not. */
	has(offset: number, length: number): boolean;
	/** Number of pieces that may differ. */
	readonly count: number;
	/** Runs that may differ, in order, as long as possible. The last one ends with the larger disk. */
	ranges(): Iterable<{ readonly offset: number; readonly length: number }>;
}

/**
 * Compare two states that exist in the same opened generation. What only the larger of two disks has may differ.
 *
 * @throws EngineError `ERR_IO`, `ERR_CANCELLED`.
 */
export function changedRanges(a: MappedSource, b: MappedSource, work: Work = UNWATCHED): ChangedRanges {
	const size = Math.max(a.size, b.size);
	const shared = Math.min(a.size, b.size);
	let granularity = Math.min(a.blockSize, b.blockSize);
	while (MAX_BITS < Math.ceil(size / granularity)) granularity *= 2;
	const bits = new BitSet(Math.ceil(size / granularity));
	const mark = (from: number, to: number) => {
		bits.set(Math.floor(from / granularity), Math.min(bits.length, Math.ceil(to / granularity)));
	};
	if (a !== b) {
		if (a instanceof Qcow2View && b instanceof Qcow2View && a.store === b.store) {
			changedClusters(a, b, shared, mark, work);
		} else {
			changedExtents(a, b, shared, mark, work);
		}
		if (shared < size) mark(shared, size);
	}
	return {
		granularity,
		count: bits.count(),
		has: (offset, length) =>
			length > 0 && bits.hasAny(Math.floor(offset / granularity), Math.ceil((offset + length) / granularity)),
		*ranges() {
			for (let from = bits.next(0, 1); from < bits.length;) {
				const to = bits.next(from, 0);
				const offset = from * granularity;
				yield { offset, length: Math.min(to * granularity, size) - offset };
				from = bits.next(to, 1);
			}
		},
	};
}

function changedExtents(
	a: MappedSource,
	b: MappedSource,
	to: number,
	mark: (from: number, to: number) => void,
	work: Work,
): void {
	const left = a.extents(0, to)[Symbol.iterator]();
	const right = b.extents(0, to)[Symbol.iterator]();
	let x: Extent | undefined;
	let y: Extent | undefined;
	for (let at = 0; at < to;) {
		work.throwIfCancelled();
		if (!x || x.offset + x.length <= at) x = left.next().value as Extent; // OK: extents cover [0, to).
		if (!y || y.offset + y.length <= at) y = right.next().value as Extent; // OK: as above.
		const end = Math.min(x.offset + x.length, y.offset + y.length);
		if (!isSameAt(x, y, at)) mark(at, end);
		at = end;
	}
}
