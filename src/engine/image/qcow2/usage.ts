import { EngineError, corrupt } from '../../util/errors.js';
import { divCeil } from '../../util/numbers.js';
import type { Work } from '../../util/work.js';
import type { Qcow2Image } from './image.js';
import { compressedDescriptor, type Geometry } from './mapping.js';
import { COMPRESSED_HIGH, offsetOf, type Words } from './tables.js';

/** 256 MiB of owners: 16 TiB of clusters of 64 KiB with few snapshots. */
const MAX_OWNER_BYTES = 256 * 1024 * 1024;

const NOBODY = 0;
/** More than one state, or something that is no state. */
const SHARED = 1;
/** Owners 2 and up are states: 2 is the current one. */
const FIRST_STATE = 2;

/**
 * Bytes that deleting each snapshot would free: host clusters (L1 table, L2 tables, data, compressed data, VM state)
 * that no other state refers to, the current one included.
 *
 * Each L1 table is read once, and each L2 table once, however many states share it.
 *
 * @returns By id. `null` for all when a table is damaged: it may hide references.
 * @throws EngineError `ERR_LIMIT` when the image has too many clusters to count; `ERR_IO`, `ERR_CANCELLED`.
 */
export function exclusiveBytes(image: Qcow2Image, work: Work): Map<string, number | null> {
	try {
		return count(image, work);
	} catch (error) {
		if (!EngineError.is(error, 'ERR_CORRUPT')) throw error;
		return new Map(image.snapshots.map(({ id }) => [id, null]));
	}
}

function count(image: Qcow2Image, work: Work): Map<string, number | null> {
	const { geometry, header, snapshots, tables } = image;
	const { clusterSize } = geometry;
	const owners = new Owners(divCeil(image.file.size, clusterSize), clusterSize, snapshots.length + FIRST_STATE + 1);
	const l2Offsets = new Set<number>();
	const states = [header, ...snapshots];
	for (const [index, { l1Offset, l1Size }] of states.entries()) {
		work.throwIfCancelled();
		work.report({ step: 'Reading L1 tables', done: index, total: states.length, unit: 'snapshots' });
		const owner = FIRST_STATE + index;
		const field = index === 0 ? 40 : snapshots[index - 1]!.entryOffset; // OK: states has one more than snapshots.
		tables.checkL1(l1Offset, l1Size, 'l1_table_offset', field);
		owners.add(l1Offset, l1Size * 8, owner);
		const l1 = tables.l1(l1Offset, l1Size);
		for (let word = 0; word < l1.length; word += 2) {
			const l2Offset = offsetOf(l1, word);
			if (l2Offset === 0) continue;
			l2Offsets.add(l2Offset);
			owners.add(l2Offset, clusterSize, owner);
		}
	}
	let done = 0;
	for (const l2Offset of l2Offsets) {
		work.throwIfCancelled();
		work.report({ step: 'Reading L2 tables', done, total: l2Offsets.size, unit: 'clusters' });
		addEntries(tables.readL2(l2Offset), geometry, owners, owners.of(l2Offset));
		done++;
	}
	const exclusive = owners.countByState();
	return new Map(snapshots.map(({ id }, index) => [id, exclusive[FIRST_STATE + 1 + index]! * clusterSize])); // OK: one a state.
}

/** What a table refers to belongs to whom the table belongs. */
function addEntries(table: Words, geometry: Geometry, owners: Owners, owner: number): void {
	const { clusterSize, wordsPerEntry, externalData } = geometry;
	if (externalData) return; // Data clusters are in another file, and are not counted.
	for (let word = 0; word < table.length; word += wordsPerEntry) {
		const high = table[word]!; // OK: word < length, which is even.
		if ((high & COMPRESSED_HIGH) !== 0) {
			const { offset, length } = compressedDescriptor(high, table[word + 1]!, geometry); // OK: as above.
			owners.add(offset, length, owner);
		} else {
			const offset = offsetOf(table, word);
			if (offset % clusterSize !== 0)
				corrupt('qcow2', 'L2 entry', offset, `an offset on a cluster of ${clusterSize}`, offset);
			if (offset !== 0) owners.add(offset, clusterSize, owner);
		}
	}
}

/** Who refers to each host cluster. */
class Owners {
	readonly #owners: Uint16Array | Uint32Array;

	constructor(
		clusterCount: number,
		private readonly clusterSize: number,
		private readonly ownerCount: number,
	) {
		const bytesEach = ownerCount <= 0xffff ? 2 : 4;
		if (MAX_OWNER_BYTES < clusterCount * bytesEach) {
			throw new EngineError('ERR_LIMIT', `the image has ${clusterCount} clusters, too many to count`, {
				format: 'qcow2',
				actual: clusterCount,
			});
		}
		this.#owners = bytesEach === 2 ? new Uint16Array(clusterCount) : new Uint32Array(clusterCount);
	}

	/** `owner` refers to `[offset, offset + length)`. What lies past the end of the file is not there to be freed. */
	add(offset: number, length: number, owner: number): void {
		const first = Math.floor(offset / this.clusterSize);
		const last = Math.min(this.#owners.length, Math.ceil((offset + length) / this.clusterSize));
		for (let index = first; index < last; index++) {
			const before = this.#owners[index]!; // OK: index < length.
			if (before !== owner) this.#owners[index] = before === NOBODY ? owner : SHARED;
		}
	}

	of(offset: number): number {
		return this.#owners[Math.floor(offset / this.clusterSize)] ?? SHARED;
	}

	/** Clusters by owner. */
	countByState(): Float64Array {
		const counts = new Float64Array(this.ownerCount);
		for (const owner of this.#owners) counts[owner]! += 1; // OK: owners are below ownerCount.
		return counts;
	}
}
