import { checkRange } from './memory.js';
import type { ByteSource, Extent, MappedSource } from './source.js';

/** The part `[offset, offset + size)` of another source, which it does not own. */
export class SliceSource implements ByteSource {
	constructor(
		protected readonly source: ByteSource,
		readonly offset: number,
		readonly size: number,
	) {
		checkRange(source.size, offset, size);
	}

	read(offset: number, into: Uint8Array): void {
		checkRange(this.size, offset, into.byteLength);
		this.source.read(this.offset + offset, into);
	}

	[Symbol.dispose](): void {
		// The source belongs to someone else.
	}
}

/** A slice of a disk that still knows where its bytes are kept. Does not own the disk. */
export class MappedSlice extends SliceSource implements MappedSource {
	constructor(
		readonly disk: MappedSource,
		offset: number,
		size: number,
	) {
		super(disk, offset, size);
	}

	get blockSize(): number {
		return this.disk.blockSize;
	}

	*extents(from = 0, to = this.size): Generator<Extent> {
		for (const extent of this.disk.extents(this.offset + from, this.offset + to)) {
			yield { ...extent, offset: extent.offset - this.offset };
		}
	}
}
