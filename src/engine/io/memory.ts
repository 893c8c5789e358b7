import { EngineError } from '../util/errors.js';
import type { ByteSource } from './source.js';

/** Bytes in memory: tests, decompressed content, inline files. Does not copy `bytes`. */
export class MemorySource implements ByteSource {
	constructor(readonly bytes: Uint8Array) {}

	get size(): number {
		return this.bytes.byteLength;
	}

	read(offset: number, into: Uint8Array): void {
		checkRange(this.size, offset, into.byteLength);
		into.set(this.bytes.subarray(offset, offset + into.byteLength));
	}

	[Symbol.dispose](): void {
		// Nothing is held.
	}
}

/** @throws EngineError `ERR_IO` unless `[offset, offset + length)` lies inside `size` bytes. */
export function checkRange(size: number, offset: number, length: number): void {
	if (!(0 <= offset && offset + length <= size)) {
		throw new EngineError('ERR_IO', `read of ${length} bytes at ${offset} leaves the ${size} bytes there are`, {
			offset,
			expected: size,
			actual: offset + length,
		});
	}
}
