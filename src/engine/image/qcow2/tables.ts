/**
 * L1 and L2 tables of a qcow2 image, and the bounded caches of them.
 *
 * Tables are kept as 32-bit words in the host's order: entry `i` is words `2i` (high half) and `2i + 1` (low half), or
 * `4i` to `4i + 3` with extended L2 entries. 64-bit integers would be bigints, a hundred times slower to take apart.
 */
import { endianness } from 'node:os';
import type { ByteSource } from '../../io/source.js';
import { EngineError, corrupt } from '../../util/errors.js';
import { FORMAT, MAX_L1_ENTRIES, type Qcow2Header } from './header.js';

/** Bits 9 to 55 of an L1 or a standard L2 entry, in halves. */
export const OFFSET_MASK_HIGH = 0x00ffffff;
export const OFFSET_MASK_LOW = 0xfffffe00;
/** In the high half: bit 63 of the entry. */
export const COPIED_HIGH = 0x80000000;
/** In the high half: bit 62. */
export const COMPRESSED_HIGH = 0x40000000;
/** In the low half: bit 0. */
export const ZERO_LOW = 1;

const MAX_CACHED_TABLE_BYTES = 16 * 1024 * 1024;
const IS_LITTLE_ENDIAN = endianness() === 'LE';

export type Words = Uint32Array;

/** The host offset in an L1 entry, or in a standard L2 entry. */
export function offsetOf(words: Words, word: number): number {
	// OK: the callers' indexes are inside the table.
	return (words[word]! & OFFSET_MASK_HIGH) * 0x1_0000_0000 + ((words[word + 1]! & OFFSET_MASK_LOW) >>> 0);
}

/** Reads the tables of one image. Shared by the views of all its states, which share most of their L2 tables. */
export class Tables {
	readonly #l2 = new Map<number, Words>();
	readonly #maximum: number;
	#lastOffset = -1;
	#last: Words = new Uint32Array(0);

	constructor(
		private readonly file: ByteSource,
		private readonly header: Pick<Qcow2Header, 'clusterSize'>,
	) {
		this.#maximum = Math.max(4, Math.floor(MAX_CACHED_TABLE_BYTES / header.clusterSize));
	}

	/** Checks where an L1 table lies. `field` and `fieldOffset` name the record that says so. @throws EngineError `ERR_CORRUPT`, `ERR_LIMIT`. */
	checkL1(offset: number, entries: number, field: string, fieldOffset: number): void {
		if (MAX_L1_ENTRIES < entries) {
			throw new EngineError('ERR_LIMIT', `qcow2: ${field} has ${entries} entries, above ${MAX_L1_ENTRIES}`, {
				format: FORMAT,
				field,
				offset: fieldOffset,
				actual: entries,
			});
		}
		if (entries === 0) return;
		const { clusterSize } = this.header;
		if (offset < clusterSize || offset % clusterSize !== 0) {
			corrupt(FORMAT, field, fieldOffset, 'the start of a cluster behind the header', offset);
		}
		if (this.file.size < offset + entries * 8) {
			corrupt(FORMAT, field, fieldOffset, `${entries} entries inside ${this.file.size} bytes`, offset);
		}
	}

	/** An L1 table that `checkL1()` accepted. Not cached. */
	l1(offset: number, entries: number): Words {
		return this.#read(offset, entries * 8);
	}

	/** The L2 table at `offset`. @throws EngineError `ERR_CORRUPT` when it is not a cluster of the file. */
	l2(offset: number): Words {
		if (offset === this.#lastOffset) return this.#last;
		let table = this.#l2.get(offset);
		if (table) {
			this.#l2.delete(offset);
		} else {
			table = this.readL2(offset);
			if (this.#maximum <= this.#l2.size) this.#l2.delete(this.#l2.keys().next().value!); // OK: it is not empty.
		}
		this.#l2.set(offset, table);
		this.#lastOffset = offset;
		this.#last = table;
		return table;
	}

	/** The same past the cache, for walks that read each table once. */
	readL2(offset: number): Words {
		const { clusterSize } = this.header;
		if (offset < clusterSize || offset % clusterSize !== 0) {
			corrupt(FORMAT, 'L2 table offset', offset, 'the start of a cluster behind the header', offset);
		}
		if (this.file.size < offset + clusterSize) {
			corrupt(FORMAT, 'L2 table offset', offset, `a table inside ${this.file.size} bytes`, offset);
		}
		return this.#read(offset, clusterSize);
	}

	/** Forget what is cached. */
	clear(): void {
		this.#l2.clear();
		this.#lastOffset = -1;
		this.#last = new Uint32Array(0);
	}

	#read(offset: number, length: number): Words {
		const words = new Uint32Array(length / 4);
		const bytes = Buffer.from(words.buffer);
		this.file.read(offset, bytes);
		if (IS_LITTLE_ENDIAN) bytes.swap32();
		return words;
	}
}
