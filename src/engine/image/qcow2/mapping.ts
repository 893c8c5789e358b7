/**
 * Where the bytes of a disk are: from an offset of the disk, through L1 and L2 table, to a run of the host file.
 * The only place that takes L2 entries apart for reading.
 */
import { EngineError, corrupt } from '../../util/errors.js';
import { FORMAT, type Qcow2Header } from './header.js';
import {
	COMPRESSED_HIGH,
	COPIED_HIGH,
	OFFSET_MASK_HIGH,
	OFFSET_MASK_LOW,
	ZERO_LOW,
	offsetOf,
	type Tables,
	type Words,
} from './tables.js';

export const UNALLOCATED = 0;
export const ZERO = 1;
export const DATA = 2;
export const COMPRESSED = 3;
/** The map is damaged here: `problem` says how. */
export const DAMAGED = 4;

const SECTOR = 512;
const SUBCLUSTERS = 32;

/** One run, filled in again and again so that reading allocates nothing. */
export class Run {
	kind: typeof UNALLOCATED | typeof ZERO | typeof DATA | typeof COMPRESSED | typeof DAMAGED = UNALLOCATED;
	/** Bytes, from the offset that was asked for. */
	length = 0;
	/** Of DATA: where its first byte is in the host file. Of COMPRESSED: where the compressed cluster begins. */
	host = 0;
	/** Of COMPRESSED: bytes of compressed data, at most. */
	compressedLength = 0;
	problem: EngineError | undefined;
}

/** What the translation needs to know of an image. */
export interface Geometry extends Pick<
	Qcow2Header,
	'version' | 'clusterBits' | 'clusterSize' | 'extendedL2' | 'externalData'
> {
	/** Of the file that holds the data clusters. */
	readonly dataFileSize: number;
	/** Bytes of an L2 entry over 4: 2 or 4. */
	readonly wordsPerEntry: number;
	/** Entries of an L2 table. */
	readonly l2Entries: number;
	/** Bytes of the disk that one L2 table maps. */
	readonly l2Coverage: number;
	/** Compressed descriptor: number of bits of the host offset in the high half. */
	readonly compressedOffsetBitsHigh: number;
}

export function geometryOf(header: Qcow2Header, dataFileSize: number): Geometry {
	const { version, clusterBits, clusterSize, extendedL2, externalData } = header;
	const wordsPerEntry = extendedL2 ? 4 : 2;
	const l2Entries = clusterSize / (wordsPerEntry * 4);
	return {
		version,
		clusterBits,
		clusterSize,
		extendedL2,
		externalData,
		dataFileSize,
		wordsPerEntry,
		l2Entries,
		l2Coverage: l2Entries * clusterSize,
		// x of the specification is 62 - (cluster_bits - 8): 49 to 61.
		compressedOffsetBitsHigh: 62 - (clusterBits - 8) - 32,
	};
}

/** Translates by one L1 table. */
export class Mapping {
	/** Where the run that `#look` found ends, in bytes of the disk. */
	#end = 0;
	readonly #next = new Run();

	constructor(
		private readonly tables: Tables,
		private readonly geometry: Geometry,
		readonly l1: Words,
	) {}

	/**
	 * The run at `at`, as long as the map allows, at most to `end`. Damage does not throw: it is a run of its own, so
	 * that only who reads it fails.
	 *
	 * @throws EngineError `ERR_IO` when a table cannot be read.
	 */
	run(at: number, end: number, into: Run): void {
		this.#look(at, end, into);
		let to = this.#end;
		while (to < end && (into.kind === DATA || into.kind === ZERO || into.kind === UNALLOCATED)) {
			const next = this.#next;
			this.#look(to, end, next);
			if (next.kind !== into.kind || (next.kind === DATA && next.host !== into.host + (to - at))) break;
			to = this.#end;
		}
		into.length = Math.min(to, end) - at;
	}

	/** Fill `run` by one look into the tables and set `#end`, which may stay below the run's true end. */
	#look(at: number, limit: number, run: Run): void {
		const { l2Coverage, clusterSize, wordsPerEntry } = this.geometry;
		const l1Index = Math.floor(at / l2Coverage);
		const l1Start = l1Index * l2Coverage;
		if (this.l1.length <= l1Index * 2) {
			run.kind = UNALLOCATED;
			this.#end = Infinity;
			return;
		}
		const l2Offset = offsetOf(this.l1, l1Index * 2);
		if (l2Offset === 0) {
			run.kind = UNALLOCATED;
			this.#end = l1Start + l2Coverage;
			return;
		}
		let table: Words;
		try {
			table = this.tables.l2(l2Offset);
		} catch (error) {
			if (!EngineError.is(error, 'ERR_CORRUPT')) throw error;
			run.kind = DAMAGED;
			run.problem = error;
			this.#end = l1Start + l2Coverage;
			return;
		}
		const index = Math.floor((at - l1Start) / clusterSize);
		const clusterStart = l1Start + index * clusterSize;
		this.#end = clusterStart + clusterSize;
		const word = index * wordsPerEntry;
		const high = table[word]!; // OK: index < l2Entries.
		const low = table[word + 1]!;
		if ((high & COMPRESSED_HIGH) !== 0) {
			this.#compressed(high, low, run, l2Offset + word * 4);
		} else if (this.geometry.extendedL2) {
			this.#subclusters(table, word, at, clusterStart, run, l2Offset + word * 4);
		} else {
			this.#standard(high, low, at, clusterStart, run, l2Offset + word * 4);
			if (run.kind === DATA) this.#extendData(table, word, limit, run);
			else if (run.kind === UNALLOCATED) this.#extendUnallocated(table, word, limit);
		}
	}

	/** Entries that are wholly empty follow each other by the thousand. */
	#extendUnallocated(table: Words, word: number, limit: number): void {
		const { clusterSize } = this.geometry;
		for (let next = word + 2; this.#end < limit && table[next] === 0 && table[next + 1] === 0; next += 2) {
			this.#end += clusterSize;
		}
	}

	/** Clusters that were written in one go lie in one run, and their entries count up. */
	#extendData(table: Words, word: number, limit: number, run: Run): void {
		const { clusterSize, externalData, dataFileSize } = this.geometry;
		if (externalData) return;
		const high = table[word]!; // OK: word is inside the table.
		let low = table[word + 1]! + clusterSize;
		let host = Math.floor(run.host / clusterSize) * clusterSize + clusterSize;
		for (let next = word + 2; this.#end < limit && host < dataFileSize; next += 2) {
			// A sum above 32 bits equals no word, and the run is continued by whoever looks next.
			if (table[next] !== high || table[next + 1] !== low) return;
			this.#end += clusterSize;
			low += clusterSize;
			host += clusterSize;
		}
	}

	#standard(high: number, low: number, at: number, clusterStart: number, run: Run, entryOffset: number): void {
		if ((low & ZERO_LOW) !== 0) {
			run.kind = ZERO;
			// Bit 0 means nothing in version 2: a set one is damage.
			if (this.geometry.version < 3) this.#damaged(run, 'L2 entry', entryOffset, 'no zero flag in version 2', low);
			return;
		}
		const host = (high & OFFSET_MASK_HIGH) * 0x1_0000_0000 + ((low & OFFSET_MASK_LOW) >>> 0);
		if (host === 0 && !(this.geometry.externalData && (high & COPIED_HIGH) !== 0)) {
			run.kind = UNALLOCATED;
			return;
		}
		this.#data(host, at, clusterStart, run, entryOffset);
	}

	#data(host: number, at: number, clusterStart: number, run: Run, entryOffset: number): void {
		const { clusterSize, externalData, dataFileSize } = this.geometry;
		run.kind = DATA;
		run.host = host + (at - clusterStart);
		if (host % clusterSize !== 0) {
			this.#damaged(run, 'L2 entry', entryOffset, `an offset on a cluster of ${clusterSize}`, host);
		} else if (externalData && host !== clusterStart) {
			this.#damaged(run, 'L2 entry', entryOffset, `the guest's own offset ${clusterStart} in the data file`, host);
		} else if (dataFileSize <= host) {
			this.#damaged(run, 'L2 entry', entryOffset, `a cluster inside the ${dataFileSize} bytes there are`, host);
		}
	}

	/** Extended entry: the third word has a bit for each of 32 subclusters that reads as zeros, the fourth for each that is allocated. */
	#subclusters(table: Words, word: number, at: number, clusterStart: number, run: Run, entryOffset: number): void {
		const zero = table[word + 2]!; // OK: an entry has four words.
		const allocated = table[word + 3]!;
		if ((zero & allocated) !== 0) {
			this.#damaged(
				run,
				'subcluster bitmap',
				entryOffset + 8,
				'no subcluster both allocated and zero',
				zero & allocated,
			);
			return;
		}
		const size = this.geometry.clusterSize / SUBCLUSTERS;
		const first = Math.floor((at - clusterStart) / size);
		const isAllocated = (allocated >>> first) & 1;
		const isZero = (zero >>> first) & 1;
		let end = first + 1;
		while (end < SUBCLUSTERS && ((allocated >>> end) & 1) === isAllocated && ((zero >>> end) & 1) === isZero) end++;
		this.#end = clusterStart + end * size;
		if (isAllocated === 0) {
			run.kind = isZero === 0 ? UNALLOCATED : ZERO;
			return;
		}
		const high = table[word]!; // OK: as above.
		const host = offsetOf(table, word);
		if (host === 0 && !(this.geometry.externalData && (high & COPIED_HIGH) !== 0)) {
			this.#damaged(run, 'subcluster bitmap', entryOffset + 8, 'nothing allocated without a cluster', allocated);
			return;
		}
		this.#data(host, at, clusterStart, run, entryOffset);
	}

	#compressed(high: number, low: number, run: Run, entryOffset: number): void {
		const { dataFileSize, externalData } = this.geometry;
		const { offset, length } = compressedDescriptor(high, low, this.geometry);
		run.kind = COMPRESSED;
		run.host = offset;
		run.compressedLength = Math.min(length, dataFileSize - offset);
		if (externalData) {
			this.#damaged(run, 'L2 entry', entryOffset, 'no compressed cluster in an external data file', offset);
		} else if (dataFileSize <= offset) {
			this.#damaged(run, 'L2 entry', entryOffset, `compressed data inside the ${dataFileSize} bytes there are`, offset);
		}
	}

	#damaged(run: Run, field: string, offset: number, expected: string, actual: number): void {
		run.kind = DAMAGED;
		try {
			corrupt(FORMAT, field, offset, expected, actual);
		} catch (error) {
			run.problem = error as EngineError; // OK: corrupt() throws nothing else.
		}
	}
}

/** Where the compressed data of a cluster lies. `length` counts to the end of the last sector. */
export function compressedDescriptor(
	high: number,
	low: number,
	geometry: Geometry,
): { offset: number; length: number } {
	const bits = geometry.compressedOffsetBitsHigh; // OK: 17 to 29.
	const offset = (high & (2 ** bits - 1)) * 0x1_0000_0000 + low;
	const additionalSectors = (high & 0x3fffffff) >>> bits;
	return { offset, length: (additionalSectors + 1) * SECTOR - (low & (SECTOR - 1)) };
}
