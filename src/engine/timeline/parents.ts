/**
 * Guessing where a state came from. qcow2 records no parents; Strata records those that it makes, and guesses the rest.
 *
 * The parent is the earlier snapshot with the fewest differing clusters, but never one that the child contradicts: a
 * cluster of the child that differs from the candidate's must be newer than the candidate, so if an earlier snapshot has that very
 * cluster too, the child cannot have come through the candidate. Equal counts give no parent, but candidates.
 * Such a guess is wrong in 6 to 9 of 100 cases, so it is marked as one everywhere and no verb depends on it.
 *
 * "Earlier" is the order of the snapshot table: QEMU appends to it, and clocks go wrong.
 */
import type { Qcow2Image } from '../image/qcow2/image.js';
import {
	COMPRESSED_HIGH,
	COPIED_HIGH,
	OFFSET_MASK_HIGH,
	OFFSET_MASK_LOW,
	offsetOf,
	type Words,
} from '../image/qcow2/tables.js';
import { EngineError } from '../util/errors.js';
import { divCeil } from '../util/numbers.js';

/** L2 entries that may be compared for one timeline: about a second. */
const MAX_COMPARISONS = 200_000_000;
/** L2 tables kept in memory, in bytes. */
const MAX_TABLE_BYTES = 64 * 1024 * 1024;
const MAX_CANDIDATES = 8;
/** Snapshots before a state that it is held against, the newest ones: a bound for machines with thousands. */
export const MAX_EARLIER = 300;

/** A state of one disk, by its L1 table without the part behind the disk, where VM state lies. */
export interface DiskState {
	readonly l1: Words;
}

export interface Guess {
	/** Index among the earlier states; `undefined` when there is none or it is ambiguous. */
	readonly parent: number | undefined;
	/** Of a tie: all that it may be. */
	readonly candidates: readonly number[];
}

/** Thrown inside, when the budget is used up. */
const OUT_OF_BUDGET = new EngineError('ERR_LIMIT', 'too many clusters to compare');

/** The states of one disk in the order in which they were made. Borrows the image. */
export class Ancestry {
	readonly #tables = new Map<number, Words>();
	readonly #maximumTables: number;
	readonly #empty: Words;
	#budget = MAX_COMPARISONS;

	constructor(
		private readonly image: Qcow2Image,
		/** By index in the order of the table; `undefined` for a snapshot that this disk does not have. */
		private readonly stateAt: (index: number) => DiskState | undefined,
	) {
		this.#maximumTables = Math.max(16, Math.floor(MAX_TABLE_BYTES / image.geometry.clusterSize));
		this.#empty = new Uint32Array(image.geometry.clusterSize / 4);
	}

	/**
	 * For each candidate, the number of clusters that differ from the child's; `Infinity` when the child contradicts it or
	 * when it does not exist on this disk. `undefined` when the budget is used up.
	 *
	 * @param earlier only states before this index may be a parent, and say that a cluster is old.
	 */
	distances(child: DiskState, candidates: readonly number[], earlier: number): Map<number, number> | undefined {
		try {
			const firstSeen = this.#firstSeen(child, earlier);
			return new Map(candidates.map(index => [index, this.#distance(child, firstSeen, index)]));
		} catch (error) {
			if (error === OUT_OF_BUDGET) return undefined;
			// Damaged tables: no guess is better than one from half of the clusters.
			if (EngineError.is(error, 'ERR_CORRUPT')) return undefined;
			throw error;
		}
	}

	/** For each L2 table of the child: for each of its clusters, the first earlier state that has the same. */
	#firstSeen(child: DiskState, earlier: number): Map<number, Int32Array> {
		const { wordsPerEntry, l2Entries } = this.image.geometry;
		const result = new Map<number, Int32Array>();
		for (let word = 0; word < child.l1.length; word += 2) {
			const offset = offsetOf(child.l1, word);
			if (offset === 0) continue;
			const table = this.#table(offset);
			const seen = new Int32Array(l2Entries).fill(earlier);
			const compared = new Set<number>();
			for (let index = Math.max(0, earlier - MAX_EARLIER); index < earlier; index++) {
				const other = this.stateAt(index);
				const otherOffset = other === undefined || other.l1.length <= word ? 0 : offsetOf(other.l1, word);
				if (otherOffset === 0 || compared.has(otherOffset)) continue;
				compared.add(otherOffset);
				const isSame = otherOffset === offset;
				const otherTable = isSame ? table : this.#table(otherOffset);
				this.#spend(isSame ? 0 : l2Entries);
				for (let entry = 0; entry < l2Entries; entry++) {
					if (seen[entry] === earlier && isEqual(table, otherTable, entry * wordsPerEntry, wordsPerEntry))
						seen[entry] = index;
				}
				// The whole table is shared from here on: nothing can be seen later for the first time.
				if (isSame) break;
			}
			result.set(word, seen);
		}
		return result;
	}

	#distance(child: DiskState, firstSeen: Map<number, Int32Array>, candidate: number): number {
		const { wordsPerEntry, l2Entries, extendedL2 } = this.image.geometry;
		const parent = this.stateAt(candidate);
		if (parent === undefined) return Infinity;
		let differing = 0;
		for (let word = 0; word < Math.max(child.l1.length, parent.l1.length); word += 2) {
			const a = word < child.l1.length ? offsetOf(child.l1, word) : 0;
			const b = word < parent.l1.length ? offsetOf(parent.l1, word) : 0;
			if (a === b) continue;
			const [x, y] = [this.#table(a), this.#table(b)];
			const seen = firstSeen.get(word);
			this.#spend(l2Entries);
			for (let entry = 0; entry < l2Entries; entry++) {
				const at = entry * wordsPerEntry;
				if (isEqual(x, y, at, wordsPerEntry)) continue;
				differing++;
				if (seen !== undefined && seen[entry]! < candidate && isData(x, at, extendedL2)) return Infinity; // OK: entry < l2Entries.
			}
		}
		return differing;
	}

	#table(offset: number): Words {
		if (offset === 0) return this.#empty;
		let table = this.#tables.get(offset);
		if (table === undefined) {
			table = this.image.tables.readL2(offset);
			if (this.#maximumTables <= this.#tables.size) this.#tables.delete(this.#tables.keys().next().value!); // OK: it is not empty.
			this.#tables.set(offset, table);
		}
		return table;
	}

	#spend(comparisons: number): void {
		this.#budget -= comparisons;
		if (this.#budget < 0) throw OUT_OF_BUDGET;
	}
}

/** The nearest of the states that are not contradicted, by the distances on all disks together. */
export function nearest(distances: ReadonlyMap<number, number>): Guess {
	const least = Math.min(Infinity, ...distances.values());
	if (least === Infinity) return { parent: undefined, candidates: [] };
	const best = [...distances].filter(([, distance]) => distance === least).map(([index]) => index);
	return best.length === 1
		? { parent: best[0], candidates: [] }
		: { parent: undefined, candidates: best.slice(-MAX_CANDIDATES) };
}

/** The state of a disk at a snapshot, or its current one. */
export function diskState(image: Qcow2Image, id: string | undefined, diskSize: number): DiskState {
	const at = id === undefined ? image.header : image.snapshot(id);
	image.tables.checkL1(at.l1Offset, at.l1Size, 'l1_table_offset', 40);
	return { l1: image.tables.l1(at.l1Offset, Math.min(at.l1Size, divCeil(diskSize, image.geometry.l2Coverage))) };
}

/** The COPIED flag says who may write in place, not what the bytes are. */
function isEqual(a: Words, b: Words, at: number, words: number): boolean {
	if (((a[at]! ^ b[at]!) & ~COPIED_HIGH) !== 0) return false; // OK: `at` is the start of an entry.
	for (let word = 1; word < words; word++) if (a[at + word] !== b[at + word]) return false;
	return true;
}

/** Whether an entry names host bytes: only those carry their age. */
function isData(table: Words, at: number, extendedL2: boolean): boolean {
	const high = table[at]!; // OK: `at` is the start of an entry.
	if ((high & COMPRESSED_HIGH) !== 0) return true;
	if ((high & OFFSET_MASK_HIGH) === 0 && (table[at + 1]! & OFFSET_MASK_LOW) === 0) return false;
	return extendedL2 ? table[at + 3] !== 0 : true;
}
