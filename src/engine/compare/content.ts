/**
 * Content of two files by their runs of blocks: what is a hole on both sides is not read, and where both sides are states
 * of one opened image, neither is what both keep in the same place.
 */
import type { BlockRun, Ext4Inode } from '../filesystem/ext4/ext4.js';
import { FLAG } from '../filesystem/ext4/inode.js';
import type { Inode } from '../filesystem/filesystem.js';
import type { Work } from '../util/work.js';
import { onSide } from './change.js';
import type { Ext4Side, Ext4Sides } from './ext4-side.js';
import type { BlockRanges } from './fast/block-ranges.js';
import { readingContent, type SameContent } from './inodes.js';

/**
 * Compare by runs of blocks.
 *
 * @param mayDiffer the blocks that do not hold the same bytes on both sides for certain; `undefined` when nothing is known,
 *   because the sides are not states of one opened image or lie in different places of it.
 */
export function contentByRuns(sides: Ext4Sides, mayDiffer: BlockRanges | undefined, work: Work): SameContent {
	const [a, b] = [sides.a.filesystem, sides.b.filesystem];
	const read = readingContent({ a, b }, work);
	return (left, right) => {
		// Runs count in blocks of their own filesystem; what is kept in the inode has none.
		if (a.blockSize !== b.blockSize || isInline(left) || isInline(right)) return read(left, right);
		const runsA = onSide('a', () => [...a.blockRuns(left)]);
		const runsB = onSide('b', () => [...b.blockRuns(right)]);
		// Reading is refused with the reason, unless it is not needed.
		const isSealed = isEncrypted(left) || isEncrypted(right);
		const comparer = new RunComparer(sides, left.size, isSealed ? () => read(left, right) : undefined, work);
		return comparer.same(runsA, runsB, mayDiffer);
	};
}

/** Whether two directories of one opened image hold the same blocks, checksums and hash tree included. @throws UnreadableSide. */
export function sameDirectoryBlocks(sides: Ext4Sides, a: Inode, b: Inode, mayDiffer: BlockRanges, work: Work): boolean {
	if (a.size !== b.size || isInline(a) || isInline(b)) return false;
	const runsA = onSide('a', () => [...sides.a.filesystem.blockRuns(a)]);
	const runsB = onSide('b', () => [...sides.b.filesystem.blockRuns(b)]);
	return new RunComparer(sides, a.size, undefined, work).same(runsA, runsB, mayDiffer);
}

function isInline(inode: Inode): boolean {
	// OK: an ext4 filesystem makes no other inodes.
	return ((inode as Ext4Inode).flags & FLAG.inlineData) !== 0;
}

function isEncrypted(inode: Inode): boolean {
	return inode.attributes.includes('encrypted');
}

/** Bytes compared at a time. */
const CHUNK = 256 * 1024;
let buffers: readonly [Buffer, Buffer] | undefined;

/** Compares the blocks of two files of one size. */
export class RunComparer {
	readonly #blockSize: number;

	constructor(
		private readonly sides: Ext4Sides,
		/** Bytes of both files; what lies behind the end is not compared. */
		private readonly size: number,
		/** Instead of reading blocks. */
		private readonly instead: (() => boolean) | undefined,
		private readonly work: Work,
	) {
		this.#blockSize = sides.a.filesystem.blockSize;
	}

	same(a: readonly BlockRun[], b: readonly BlockRun[], mayDiffer: BlockRanges | undefined): boolean {
		const end = Math.ceil(this.size / this.#blockSize);
		let i = 0;
		let j = 0;
		for (let at = 0; at < end;) {
			while (i < a.length && a[i]!.logical + a[i]!.count <= at) i++; // OK: i and j are inside.
			while (j < b.length && b[j]!.logical + b[j]!.count <= at) j++;
			const stop = Math.min(end, borderAfter(a[i], at), borderAfter(b[j], at));
			const left = physicalAt(a[i], at);
			const right = physicalAt(b[j], at);
			if (left === right && (left === HOLE || mayDiffer)) {
				if (left !== HOLE && !this.sameInPlace(mayDiffer!, left, at, stop - at)) return false; // OK: not HOLE.
			} else if (!this.#sameBlocks(left, right, at, stop - at)) {
				return false;
			}
			at = stop;
		}
		return true;
	}

	/** `count` blocks that both sides keep in the same place: only those that may differ are read. */
	sameInPlace(mayDiffer: BlockRanges, physical: number, logical: number, count: number): boolean {
		const { starts, ends } = mayDiffer;
		const end = physical + count;
		for (let i = mayDiffer.firstAfter(physical); i < mayDiffer.length && starts[i]! < end; i++) {
			const from = Math.max(physical, starts[i]!); // OK: i is inside.
			const to = Math.min(end, ends[i]!);
			if (!this.#sameBlocks(from, from, logical + from - physical, to - from)) return false;
		}
		return true;
	}

	#sameBlocks(left: number, right: number, logical: number, count: number): boolean {
		if (this.instead) return this.instead();
		const { sides, size, work } = this;
		const blockSize = this.#blockSize;
		buffers ??= [Buffer.allocUnsafeSlow(CHUNK), Buffer.allocUnsafeSlow(CHUNK)];
		const step = CHUNK / blockSize;
		for (let done = 0; done < count; done += step) {
			work.throwIfCancelled();
			const first = (logical + done) * blockSize;
			const length = Math.min(Math.min(step, count - done) * blockSize, size - first);
			const one = buffers[0].subarray(0, length);
			const other = buffers[1].subarray(0, length);
			fill(sides.a, left, done, one);
			fill(sides.b, right, done, other);
			if (one.compare(other) !== 0) return false;
		}
		return true;
	}
}

/** No block is there, or one that was never written: zeros. */
const HOLE = -1;

function physicalAt(run: BlockRun | undefined, logical: number): number {
	return !run || logical < run.logical || run.unwritten ? HOLE : run.physical + logical - run.logical;
}

/** Where what is at `logical` ends: with the run, or where the run begins. */
function borderAfter(run: BlockRun | undefined, logical: number): number {
	if (!run) return Infinity;
	return logical < run.logical ? run.logical : run.logical + run.count;
}

function fill(side: Ext4Side, physical: number, skip: number, into: Buffer): void {
	if (physical === HOLE) into.fill(0);
	else onSide(side.side, () => side.volume.read((physical + skip) * side.filesystem.blockSize, into));
}
