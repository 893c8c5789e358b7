import { EngineError } from '../../util/errors.js';
import type { Work } from '../../util/work.js';
import {
	COMPRESSED_HIGH,
	COPIED_HIGH,
	OFFSET_MASK_HIGH,
	OFFSET_MASK_LOW,
	ZERO_LOW,
	offsetOf,
	type Words,
} from './tables.js';
import type { Qcow2View } from './view.js';

/**
 * Calls `mark` for every run of clusters below `to` whose mapping differs between two states of one image. What both
 * leave to the backing file is the same, since it is one file. Flags that say nothing of the bytes (COPIED) are masked.
 */
export function changedClusters(
	a: Qcow2View,
	b: Qcow2View,
	to: number,
	mark: (from: number, to: number) => void,
	work: Work,
): void {
	const { l2Coverage } = a.store.geometry;
	const total = Math.ceil(to / l2Coverage);
	// Where neither table has an entry, both states show the same.
	const count = Math.min(total, Math.max(a.mapping.l1.length, b.mapping.l1.length) / 2);
	for (let index = 0; index < count; index++) {
		const x = l2OffsetOf(a.mapping.l1, index);
		const y = l2OffsetOf(b.mapping.l1, index);
		if (x === y) continue;
		work.throwIfCancelled();
		const from = index * l2Coverage;
		const left = tableAt(a, x);
		const right = tableAt(b, y);
		if (left === 'damaged' || right === 'damaged') mark(from, Math.min(to, from + l2Coverage));
		else compareTables(a, left, right, from, to, mark);
	}
}

function l2OffsetOf(l1: Words, index: number): number {
	return index * 2 < l1.length ? offsetOf(l1, index * 2) : 0;
}

/** `undefined` where nothing is allocated. */
function tableAt(view: Qcow2View, offset: number): Words | undefined | 'damaged' {
	if (offset === 0) return undefined;
	try {
		return view.store.tables.l2(offset);
	} catch (error) {
		if (EngineError.is(error, 'ERR_CORRUPT')) return 'damaged';
		throw error;
	}
}

function compareTables(
	view: Qcow2View,
	a: Words | undefined,
	b: Words | undefined,
	from: number,
	to: number,
	mark: (from: number, to: number) => void,
): void {
	const { version, clusterSize, wordsPerEntry, l2Entries } = view.store.geometry;
	// In version 2 the flag is damage, which reads as an error and not as zeros.
	const zeroFlag = version < 3 ? 0 : ZERO_LOW;
	const isExtended = wordsPerEntry === 4;
	// Where the backing file ends (or none is), a cluster that is not allocated reads as zeros, like one marked zero.
	const backingEnd = view.store.backing?.size ?? 0;
	const entries = Math.min(l2Entries, Math.ceil((to - from) / clusterSize));
	let start = -1;
	for (let index = 0, word = 0; index < entries; index++, word += wordsPerEntry) {
		// OK: word is inside a table of l2Entries entries.
		const ah = a ? a[word]! : 0;
		const al = a ? a[word + 1]! : 0;
		const bh = b ? b[word]! : 0;
		const bl = b ? b[word + 1]! : 0;
		let isSame = al === bl && ((ah ^ bh) & ~COPIED_HIGH) === 0;
		if (isExtended && isSame) {
			isSame = (a?.[word + 2] ?? 0) === (b?.[word + 2] ?? 0) && (a?.[word + 3] ?? 0) === (b?.[word + 3] ?? 0);
		}
		// With an external data file, COPIED tells an allocated cluster at offset 0; but that has no snapshots to compare.
		if (!isSame) {
			const isZeroBelow = backingEnd <= from + index * clusterSize;
			isSame = isExtended
				? readsZeroExtended(a, word, isZeroBelow) && readsZeroExtended(b, word, isZeroBelow)
				: readsZero(ah, al, zeroFlag, isZeroBelow) && readsZero(bh, bl, zeroFlag, isZeroBelow);
		}
		if (!isSame && start < 0) start = index;
		if (isSame && 0 <= start) {
			mark(from + start * clusterSize, from + index * clusterSize);
			start = -1;
		}
	}
	if (0 <= start) mark(from + start * clusterSize, Math.min(to, from + entries * clusterSize));
}

function readsZero(high: number, low: number, zeroFlag: number, isZeroBelow: boolean): boolean {
	if ((high & COMPRESSED_HIGH) !== 0) return false;
	if ((low & zeroFlag) !== 0) return true;
	return isZeroBelow && (low & ZERO_LOW) === 0 && (high & OFFSET_MASK_HIGH) === 0 && (low & OFFSET_MASK_LOW) === 0;
}

/** Of an extended entry: no subcluster is allocated, and each one is marked zero or has nothing below it. */
function readsZeroExtended(table: Words | undefined, word: number, isZeroBelow: boolean): boolean {
	if (!table) return isZeroBelow;
	if ((table[word]! & COMPRESSED_HIGH) !== 0) return false; // OK: as above.
	return table[word + 3] === 0 && (isZeroBelow || table[word + 2] === 0xffffffff);
}
