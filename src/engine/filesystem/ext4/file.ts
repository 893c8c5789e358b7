/** Content of a regular file, by its runs of blocks. */
import { checkRange } from '../../io/memory.js';
import type { ByteSource } from '../../io/source.js';
import type { BlockRun } from './core.js';

/** Gives the runs that touch a half-open range of logical blocks, in order. */
export type RunReader = (from: number, to: number) => Iterable<BlockRun>;

/** Holes and unwritten runs read as zeros. Does not own the volume. */
export class FileContent implements ByteSource {
	constructor(
		private readonly volume: ByteSource,
		private readonly blockSize: number,
		readonly size: number,
		private readonly runs: RunReader,
	) {}

	read(offset: number, into: Uint8Array): void {
		checkRange(this.size, offset, into.byteLength);
		const end = offset + into.byteLength;
		let done = offset;
		for (const run of this.runs(Math.floor(offset / this.blockSize), Math.ceil(end / this.blockSize))) {
			const start = Math.max(run.logical * this.blockSize, offset);
			const stop = Math.min((run.logical + run.count) * this.blockSize, end);
			if (stop <= start) continue;
			into.fill(0, done - offset, start - offset);
			const part = into.subarray(start - offset, stop - offset);
			if (run.unwritten) part.fill(0);
			else this.volume.read(run.physical * this.blockSize + (start - run.logical * this.blockSize), part);
			done = stop;
		}
		into.fill(0, done - offset);
	}

	/** The parts of the file that are stored: what is between them is a hole or was never written, and reads as zeros. */
	*dataRanges(): Generator<{ offset: number; length: number }> {
		for (const run of this.runs(0, Math.ceil(this.size / this.blockSize))) {
			const offset = run.logical * this.blockSize;
			const length = Math.min(run.count * this.blockSize, this.size - offset);
			if (!run.unwritten && length > 0) yield { offset, length };
		}
	}

	[Symbol.dispose](): void {
		// The volume belongs to someone else.
	}
}
