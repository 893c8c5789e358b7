/** L1 tables as the journal keeps them, and how the active one relates to them after an action was cut off. */
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { MAX_L1_ENTRIES } from '../image/qcow2/header.js';

/** Bytes of an L1 entry; bit 63, in its first byte, is the COPIED flag: who may write in place, not what is mapped. */
const ENTRY = 8;
const COPIED = 0x80;

export function encodeL1(table: Uint8Array): string {
	return deflateRawSync(table).toString('base64');
}

export function decodeL1(text: string): Uint8Array {
	return inflateRawSync(Buffer.from(text, 'base64'), { maxOutputLength: MAX_L1_ENTRIES * ENTRY });
}

export type Standing =
	/** As it was before the action. */
	| 'old'
	/** As the action makes it. */
	| 'new'
	/** The first bytes as the action makes them, the rest as before: a write that was cut off. */
	| 'torn'
	/** Neither: somebody wrote to the disk since. */
	| 'other';

/** Where the active L1 table stands between the two. A table that is old and new at once is `new`. */
export function standingOf(active: Uint8Array, before: Uint8Array, after: Uint8Array): Standing {
	const length = Math.max(active.byteLength, before.byteLength, after.byteLength);
	const [now, old, target] = [active, before, after].map(table => normal(table, length)) as [Buffer, Buffer, Buffer]; // OK: three in, three out.
	if (now.equals(target)) return 'new';
	if (now.equals(old)) return 'old';
	let done = 0;
	while (done < length && now[done] === target[done]) done++;
	return now.subarray(done).equals(old.subarray(done)) ? 'torn' : 'other';
}

/** Without COPIED flags, and with the empty entries that a larger table would have. */
function normal(table: Uint8Array, length: number): Buffer {
	const copy = Buffer.alloc(length);
	copy.set(table);
	for (let at = 0; at < length; at += ENTRY) copy[at]! &= ~COPIED; // OK: at < length.
	return copy;
}
