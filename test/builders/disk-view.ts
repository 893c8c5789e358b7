/** A disk in memory, as an opened image gives it. */
import type { DiskView } from '../../src/engine/image/image.js';
import { MemorySource } from '../../src/engine/io/memory.js';
import type { Extent } from '../../src/engine/io/source.js';

export class MemoryDisk extends MemorySource implements DiskView {
	readonly snapshot = undefined;
	readonly blockSize = 65536;

	*extents(from = 0, to = this.size): Generator<Extent> {
		if (from < to)
			yield { offset: from, length: to - from, kind: 'data', identity: { file: 0, offset: from, variant: 0 } };
	}
}
