/**
 * CRC-32 most significant bit first (polynomial 0x04c11db7), without inversions: the checksum of whole transactions that
 * `journal_checksum` wrote before ext4 had metadata checksums (version 1).
 */
const POLYNOMIAL = 0x04c11db7;
let table: Int32Array | undefined;

/** @returns the new state, 0 to 2^32 - 1. */
export function crc32MsbFirst(state: number, bytes: Uint8Array): number {
	table ??= makeTable();
	let crc = state | 0;
	for (const byte of bytes) crc = (crc << 8) ^ table[(crc >>> 24) ^ byte]!; // OK: the index is a byte.
	return crc >>> 0;
}

function makeTable(): Int32Array {
	return Int32Array.from({ length: 256 }, (_, byte) => {
		let crc = byte << 24;
		for (let k = 0; k < 8; k++) crc = crc < 0 ? (crc << 1) ^ POLYNOMIAL : crc << 1;
		return crc;
	});
}
