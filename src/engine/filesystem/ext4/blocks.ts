/** Blocks of the volume, through a bounded cache. */
import type { ByteSource } from '../../io/source.js';
import { corrupt } from '../../util/errors.js';

/** Bytes of metadata kept. A listing comes back to inode table blocks, an extent tree to its nodes. */
const CACHE_BYTES = 8 * 1024 * 1024;
const MIN_CACHED_BLOCKS = 64;

/**
 * Least recently used blocks go first, and their memory is used again: a fresh buffer costs as much as the read.
 * Does not own the source.
 */
export class BlockReader {
	readonly #cache = new Map<number, Uint8Array>();
	readonly #capacity: number;
	/** The block asked for last: inodes of one block are asked for one after the other. */
	#lastNumber = -1;
	#last: Uint8Array = new Uint8Array(0);

	constructor(
		readonly source: ByteSource,
		readonly blockSize: number,
		readonly blockCount: number,
	) {
		this.#capacity = Math.max(MIN_CACHED_BLOCKS, CACHE_BYTES / blockSize);
	}

	/**
	 * The bytes of a block: **valid until the next call**, never to be changed or kept.
	 *
	 * @throws EngineError `ERR_IO`; `ERR_CORRUPT` when the filesystem has no such block.
	 */
	block(number: number): Uint8Array {
		if (number === this.#lastNumber) return this.#last;
		let bytes = this.#cache.get(number);
		if (bytes) {
			this.#cache.delete(number);
		} else {
			this.#check(number);
			bytes = this.#room();
			try {
				this.source.read(number * this.blockSize, bytes);
			} catch (error) {
				this.#lastNumber = -1; // Its buffer may be the one that was used again.
				throw error;
			}
		}
		this.#cache.set(number, bytes);
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
