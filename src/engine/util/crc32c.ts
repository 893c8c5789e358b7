/**
 * CRC-32C (Castagnoli), as ext4 and its journal use it: the state goes in and comes out as it is, without the inversions
 * that other users of the polynomial add. Chain calls by passing the last result as `state`.
 *
 * Eight bytes a step by eight tables, because the journal of a machine is checksummed whole before it is believed.
 */
const POLYNOMIAL = 0x82f63b78; // 0x1edc6f41, reflected.

/** Row `k` (256 entries from `k * 256`) advances a byte past `k` more bytes. */
const TABLES = makeTables();

/** @returns the new state, 0 to 2^32 - 1. */
export function crc32c(state: number, bytes: Uint8Array, from = 0, to = bytes.byteLength): number {
	let crc = state | 0;
	let at = from;
	for (const end = to - 7; at < end; at += 8) {
		// OK: at + 7 < to, and the tables have 8 * 256 entries.
		const low = crc ^ (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24));
		crc =
			TABLES[0x700 | (low & 0xff)]! ^
			TABLES[0x600 | ((low >>> 8) & 0xff)]! ^
			TABLES[0x500 | ((low >>> 16) & 0xff)]! ^
			TABLES[0x400 | (low >>> 24)]! ^
			TABLES[0x300 | bytes[at + 4]!]! ^
			TABLES[0x200 | bytes[at + 5]!]! ^
			TABLES[0x100 | bytes[at + 6]!]! ^
			TABLES[bytes[at + 7]!]!;
	}
	if (at < to - 3) {
		crc = afterWord(crc ^ (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24))); // OK: at + 3 < to.
		at += 4;
	}
	for (; at < to; at++) crc = TABLES[(crc ^ bytes[at]!) & 0xff]! ^ (crc >>> 8); // OK: at < to.
	return crc >>> 0;
}

/** @returns the state after a 32-bit little-endian number. */
export function crc32cWord(state: number, word: number): number {
	return afterWord(state ^ word) >>> 0;
}

/** @returns the state after `count` zero bytes: a checksum's own field counts as zeros. */
export function crc32cZeros(state: number, count: number): number {
	let crc = state | 0;
	for (let i = 0; i < count; i++) crc = TABLES[crc & 0xff]! ^ (crc >>> 8); // OK: as above.
	return crc >>> 0;
}

/** Four bytes that are mixed into the state already. */
function afterWord(crc: number): number {
	// OK: bytes, and the tables have 8 * 256 entries.
	return (
		TABLES[0x300 | (crc & 0xff)]! ^
		TABLES[0x200 | ((crc >>> 8) & 0xff)]! ^
		TABLES[0x100 | ((crc >>> 16) & 0xff)]! ^
		TABLES[crc >>> 24]!
	);
}

function makeTables(): Int32Array {
	const tables = new Int32Array(8 * 256);
	for (let byte = 0; byte < 256; byte++) {
		let crc = byte;
		for (let k = 0; k < 8; k++) crc = crc & 1 ? POLYNOMIAL ^ (crc >>> 1) : crc >>> 1;
		tables[byte] = crc;
	}
	for (let at = 256; at < tables.length; at++) {
		const before = tables[at - 256]!; // OK: at - 256 >= 0.
		tables[at] = tables[before & 0xff]! ^ (before >>> 8);
	}
	return tables;
}
