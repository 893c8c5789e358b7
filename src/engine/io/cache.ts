import type { ByteSource } from './source.js';
import { checkRange } from './memory.js';

/**
 * A bounded cache of aligned blocks in front of a source, for metadata that is read again and again.
 * Least recently used blocks go first. Reads longer than `bypass` pass by and leave the cache alone.
 * Does not own the source.
 */
export class CachedSource implements ByteSource {
	readonly #blocks = new Map<number, Uint8Array>();

	constructor(
		private readonly source: ByteSource,
		private readonly options: { readonly blockSize: number; readonly blocks: number; readonly bypass?: number },
	) {}

	get size(): number {
		return this.source.size;
	}

	read(offset: number, into: Uint8Array): void {
		checkRange(this.size, offset, into.byteLength);
		if (into.byteLength > (this.options.bypass ?? this.options.blockSize * 4)) {
			this.source.read(offset, into);
			return;
		}
		const { blockSize } = this.options;
		for (let done = 0; done < into.byteLength;) {
			const index = Math.floor((offset + done) / blockSize);
			const block = this.#block(index);
			const within = offset + done - index * blockSize;
			const length = Math.min(block.byteLength - within, into.byteLength - done);
			into.set(block.subarray(within, within + length), done);
			done += length;
		}
	}

	#block(index: number): Uint8Array {
		const known = this.#blocks.get(index);
		if (known) {
			this.#blocks.delete(index);
			this.#blocks.set(index, known);
			return known;
		}
		const start = index * this.options.blockSize;
		let block: Uint8Array | undefined;
		if (this.#blocks.size >= this.options.blocks) {
			const [oldest, bytes] = this.#blocks.entries().next().value!; // OK: the map is not empty.
			this.#blocks.delete(oldest);
			// Its memory is used again: a fresh buffer costs as much as the read.
			if (bytes.byteLength === this.options.blockSize && start + bytes.byteLength <= this.size) block = bytes;
		}
		block ??= new Uint8Array(Math.min(this.options.blockSize, this.size - start));
		this.source.read(start, block);
		this.#blocks.set(index, block);
		return block;
	}

	[Symbol.dispose](): void {
		this.#blocks.clear();
	}
}
