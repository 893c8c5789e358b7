/** Blocks of the volume, through a bounded cache. */
import type { ByteSource } from '../../io/source.js';
import { EngineError, corrupt } from '../../util/errors.js';

/** Bytes of metadata kept. A listing comes back to inode table blocks, an extent tree to its nodes. */
const CACHE_BYTES = 4 * 1024 * 1024;
const MIN_CACHED_BLOCKS = 64;
/** Bytes read at once where blocks are asked for one after the other: a read costs more than what it brings. */
const READ_AHEAD_BYTES = 64 * 1024;

/**
 * Least recently used blocks go first, and their memory is used again: a fresh buffer costs as much as the read.
 * Does not own the source.
 */
export class BlockReader {
	readonly #cache = new Map<number, Uint8Array>();
	readonly #capacity: number;
	readonly #ahead: Uint8Array;
	/** The block that a reader in order would miss next. */
	#nextMiss = -1;
	/** The block asked for last: inodes of one block are asked for one after the other. */
	#lastNumber = -1;
	#last: Uint8Array = new Uint8Array(0);

	constructor(
		readonly source: ByteSource,
		readonly blockSize: number,
		readonly blockCount: number,
	) {
		this.#capacity = Math.max(MIN_CACHED_BLOCKS, CACHE_BYTES / blockSize);
		this.#ahead = new Uint8Array(READ_AHEAD_BYTES);
	}

	/**
	 * The bytes of a block: **valid until the next call**, never to be changed or kept.
	 *
	 * @param end the block before which a reader in order will stop: up to there blocks may be read ahead.
	 * @throws EngineError `ERR_IO`; `ERR_CORRUPT` when the filesystem has no such block.
	 */
	block(number: number, end = number + 1): Uint8Array {
		if (number === this.#lastNumber) return this.#last;
		let bytes = this.#cache.get(number);
		if (bytes) {
			this.#cache.delete(number);
			this.#cache.set(number, bytes);
		} else {
			bytes = this.#load(number, end);
		}
		this.#lastNumber = number;
		this.#last = bytes;
		return bytes;
	}

	/** Fill `into`, one block long, past the cache. */
	readBlock(number: number, into: Uint8Array): void {
		this.#check(number);
		this.source.read(number * this.blockSize, into);
	}

	clear(): void {
		this.#cache.clear();
		this.#lastNumber = -1;
		this.#last = new Uint8Array(0);
	}

	#load(number: number, end: number): Uint8Array {
		this.#check(number);
		const { blockSize } = this;
		this.#lastNumber = -1; // Its buffer may be used again below.
		const most = number === this.#nextMiss ? this.#ahead.byteLength / blockSize : 1;
		const count = Math.max(1, Math.min(most, end - number, Math.floor(this.source.size / blockSize) - number));
		this.#nextMiss = number + count;
		if (count > 1 && this.#readAhead(number, count)) return this.#cache.get(number)!; // OK: it was just put there.
		const bytes = this.#room();
		this.source.read(number * blockSize, bytes);
		this.#cache.set(number, bytes);
		return bytes;
	}

	/** @returns false when the run cannot be read whole; the block that is needed may still be. */
	#readAhead(number: number, count: number): boolean {
		const { blockSize } = this;
		try {
			this.source.read(number * blockSize, this.#ahead.subarray(0, count * blockSize));
		} catch (error) {
			if (!EngineError.is(error)) throw error;
			return false;
		}
		// The block that is needed comes last, so that making room for the others never takes it away.
		for (let i = count - 1; 0 <= i; i--) {
			if (this.#cache.has(number + i)) continue;
			const bytes = this.#room();
			bytes.set(this.#ahead.subarray(i * blockSize, (i + 1) * blockSize));
			this.#cache.set(number + i, bytes);
		}
		return true;
	}

	#room(): Uint8Array {
		if (this.#cache.size < this.#capacity) return new Uint8Array(this.blockSize);
		const [number, bytes] = this.#cache.entries().next().value!; // OK: it holds `capacity` entries.
		this.#cache.delete(number);
		return bytes;
	}

	#check(number: number): void {
		if (!(0 <= number && number < this.blockCount)) {
			corrupt('ext4', 'block number', 0, `below ${this.blockCount}`, number);
		}
	}
}
