/** Content that is kept in the inode: 60 bytes where the block map would be, the rest in an attribute. */
import { checkRange } from '../../io/memory.js';
import type { ByteSource } from '../../io/source.js';

/** Reads as zeros past what is stored, as a file that was made longer does. */
export class InlineContent implements ByteSource {
	constructor(
		private readonly head: Uint8Array,
		private readonly rest: Uint8Array,
		readonly size: number,
	) {}

	read(offset: number, into: Uint8Array): void {
		checkRange(this.size, offset, into.byteLength);
		into.fill(0);
		const { head, rest } = this;
		if (offset < head.byteLength) into.set(head.subarray(offset, offset + into.byteLength));
		const from = Math.max(offset, head.byteLength);
		if (from < offset + into.byteLength) {
			into.set(rest.subarray(from - head.byteLength, offset + into.byteLength - head.byteLength), from - offset);
		}
	}

	[Symbol.dispose](): void {
		// Nothing is held.
	}
}
