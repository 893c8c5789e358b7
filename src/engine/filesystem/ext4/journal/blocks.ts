/**
 * The blocks that a replay changes, read from the journal when they are asked for: a replay of a large journal keeps
 * numbers, not blocks.
 */
import { JOURNAL_MAGIC } from './format.js';

/** Blocks kept in memory. Metadata is asked for in runs (an inode table, the blocks of a directory). */
const CACHED_BLOCKS = 256;

/** Fills one block of the journal. */
export type ReadJournalBlock = (index: number, into: Uint8Array) => void;

/**
 * Newest content by block number of the filesystem. Looks like a map: `has` and `keys` are free, `get` may read the
 * journal and throw what that throws. A block that was returned is never written again, and belongs to the map.
 */
export class ReplayedBlocks implements ReadonlyMap<number, Uint8Array> {
	/** Block of the filesystem → 2 × block of the journal, + 1 when its first four bytes were escaped. */
	readonly #places = new Map<number, number>();
	readonly #cache = new Map<number, Uint8Array>();

	constructor(
		private readonly blockSize: number,
		private readonly readJournalBlock: ReadJournalBlock,
	) {}

	/** Block `index` of the journal is the newest content of `block`. For replay, before anything is read. */
	place(block: number, index: number, options: { readonly escaped: boolean }): void {
		this.#places.set(block, index * 2 + (options.escaped ? 1 : 0));
	}

	get size(): number {
		return this.#places.size;
	}

	has(block: number): boolean {
		return this.#places.has(block);
	}

	get(block: number): Uint8Array | undefined {
		const place = this.#places.get(block);
		if (place === undefined) return undefined;
		const known = this.#cache.get(block);
		if (known) {
			this.#cache.delete(block);
			this.#cache.set(block, known);
			return known;
		}
		const bytes = new Uint8Array(this.blockSize);
		this.readJournalBlock(Math.floor(place / 2), bytes);
		// A data block that begins like a block of the log has that beginning zeroed in the log.
		if (place % 2 === 1) new DataView(bytes.buffer).setUint32(0, JOURNAL_MAGIC);
		if (CACHED_BLOCKS <= this.#cache.size) {
			this.#cache.delete(this.#cache.keys().next().value!); // OK: the cache is not empty.
		}
		this.#cache.set(block, bytes);
		return bytes;
	}

	keys(): MapIterator<number> {
		return this.#places.keys();
	}

	*values(): MapIterator<Uint8Array> {
		for (const [, bytes] of this) yield bytes;
	}

	*entries(): MapIterator<[number, Uint8Array]> {
		for (const block of this.#places.keys()) yield [block, this.get(block)!]; // OK: the key was just listed.
	}

	[Symbol.iterator](): MapIterator<[number, Uint8Array]> {
		return this.entries();
	}

	forEach(each: (bytes: Uint8Array, block: number, map: ReadonlyMap<number, Uint8Array>) => void): void {
		for (const [block, bytes] of this) each(bytes, block, this);
	}
}
