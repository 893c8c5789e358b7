/** Steps 5 and 6: inodes do not say where they are named. Find their names, and what lies above them. */
import { BLOCK, FLAG } from '../../filesystem/ext4/inode.js';
import { EngineError } from '../../util/errors.js';
import { le32 } from '../../util/bytes.js';
import type { Work } from '../../util/work.js';
import type { Ext4Side, Ext4Sides } from '../ext4-side.js';
import { MAX_DEPTH } from '../one-side.js';
import type { ChangedInodes } from './changed-inodes.js';
import { visitEntries } from './directory-entries.js';

/**
 * The directories that a walk has to pass through to meet every changed inode and every changed directory.
 *
 * Names are looked for on side b alone: a directory that is not changed has the same ones on both, and a changed one is
 * walked whole. The search ends when every inode has as many names as it says it has.
 */
export function directoriesOfInterest(
	sides: Ext4Sides,
	inodes: ChangedInodes,
	directories: readonly number[],
	work: Work,
): ReadonlySet<number> {
	const parents = new Search(sides.b, inodes, directories, work).run();
	const interesting = new Set<number>();
	for (const directory of [...inodes.directories, ...parents]) {
		for (const side of [sides.b, sides.a]) markAncestors(side, directory, interesting);
		interesting.add(directory);
	}
	return interesting;
}

/** '..' of each, up to the root. What it says is checked at the end: the walk must have met everything. */
function markAncestors(side: Ext4Side, directory: number, interesting: Set<number>): void {
	const { filesystem } = side;
	let here = directory;
	for (let depth = 0; here !== filesystem.rootInode && depth < MAX_DEPTH; depth++) {
		if (side.inode(here)?.kind !== 'directory') return;
		here = parentOf(side, here);
		// OK to stop: what lies above is marked. It is the same on both sides, but above a directory that is itself changed.
		if (interesting.has(here)) return;
		interesting.add(here);
	}
}

function parentOf(side: Ext4Side, directory: number): number {
	const { filesystem } = side;
	const inode = filesystem.inode(directory);
	if ((inode.flags & FLAG.inlineData) !== 0) return le32(filesystem.rawInode(directory), BLOCK);
	for (const run of filesystem.blockRuns(directory)) {
		// '.' takes the first twelve bytes of the first block; then comes the inode of '..'.
		const head = new Uint8Array(16);
		side.volume.read(run.physical * filesystem.blockSize, head);
		return le32(head, 12);
	}
	throw new EngineError('ERR_CORRUPT', `directory ${directory} has no blocks`);
}

class Search {
	/** Names that are still to be found. */
	readonly #left = new Map<number, number>();
	readonly #parents = new Set<number>();
	readonly #read = new Set<number>();

	constructor(
		private readonly side: Ext4Side,
		private readonly inodes: ChangedInodes,
		private readonly directories: readonly number[],
		private readonly work: Work,
	) {
		for (const number of inodes.changed.keys()) {
			const count = inodes.expected.get(number)?.b ?? 0;
			if (count > 0 && number !== side.filesystem.rootInode) this.#left.set(number, count);
		}
	}

	run(): ReadonlySet<number> {
		if (this.#left.size === 0) return this.#parents;
		for (const directory of this.inodes.directories) this.#readNames(directory);
		const nearest = new Nearest(this.directories, this.side.filesystem.inodesPerGroup);
		for (const number of [...this.#left.keys()].sort((x, y) => x - y)) {
			while (this.#left.has(number)) {
				const directory = nearest.take(number);
				if (directory === undefined) return this.#parents;
				this.#readNames(directory);
			}
		}
		return this.#parents;
	}

	#readNames(directory: number): void {
		if (this.#read.has(directory)) return;
		this.work.throwIfCancelled();
		this.#read.add(directory);
		if (this.side.inode(directory)?.kind !== 'directory') return;
		visitEntries(this.side, directory, inode => {
			const left = this.#left.get(inode);
			if (left === undefined) return;
			this.#parents.add(directory);
			if (left === 1) this.#left.delete(inode);
			else this.#left.set(inode, left - 1);
		});
	}
}

/**
 * Hands out directories, each once, those most likely to name an inode first: mke2fs and the kernel put a file into the
 * group of its directory, behind it.
 */
class Nearest {
	/** Index of the nearest directory at or below, resp. above, that was not handed out; paths are shortened when walked. */
	readonly #below: Int32Array;
	readonly #above: Int32Array;

	constructor(
		private readonly directories: readonly number[],
		private readonly inodesPerGroup: number,
	) {
		// One place more at either end, which stands for "none".
		this.#below = Int32Array.from({ length: directories.length + 2 }, (_, i) => i);
		this.#above = this.#below.slice();
	}

	/** `undefined` when all were handed out. */
	take(inode: number): number | undefined {
		const at = this.#position(inode);
		const low = this.#directory(find(this.#below, at));
		const high = this.#directory(find(this.#above, at + 1));
		if (low === undefined && high === undefined) return undefined;
		const group = this.#group(inode);
		const distance = (directory: number | undefined) =>
			directory === undefined ? Infinity : Math.abs(this.#group(directory) - group);
		const isLow = distance(low) <= distance(high);
		const taken = isLow ? find(this.#below, at) : find(this.#above, at + 1);
		this.#below[taken] = taken - 1;
		this.#above[taken] = taken + 1;
		return isLow ? low : high;
	}

	/** Place, counted from 1, of the last directory that is not above `inode`; 0 when there is none. */
	#position(inode: number): number {
		let low = 0;
		let high = this.directories.length;
		while (low < high) {
			const middle = (low + high) >>> 1;
			if (this.directories[middle]! <= inode)
				low = middle + 1; // OK: middle < length.
			else high = middle;
		}
		return low;
	}

	#directory(place: number): number | undefined {
		return place === 0 ? undefined : this.directories[place - 1];
	}

	#group(inode: number): number {
		return Math.floor((inode - 1) / this.inodesPerGroup);
	}
}

/** The end of the chain that begins at `at`; everything on the way points there afterwards. */
function find(chain: Int32Array, at: number): number {
	let end = at;
	while (chain[end] !== end) end = chain[end]!; // OK: chains stay inside, and the ends point to themselves.
	while (chain[at] !== end) {
		const next = chain[at]!;
		chain[at] = end;
		at = next;
	}
	return end;
}
