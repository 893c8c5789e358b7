/**
 * Little-endian numbers straight from a buffer, for paths that decode hundreds of thousands of small records (inodes,
 * directory entries, extents), where a `DataView` and a record object a piece would cost more than the work itself.
 * Everywhere else a `Struct` is the way.
 *
 * The caller has checked that the bytes are there: beyond the end they count as zeros.
 */

export function le16(bytes: Uint8Array, at: number): number {
	return bytes[at]! | (bytes[at + 1]! << 8); // OK: undefined counts as 0 in bit operations.
}

/** 0 to 2^32 - 1. */
export function le32(bytes: Uint8Array, at: number): number {
	return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0; // OK: as above.
}

/** -2^31 to 2^31 - 1. */
export function le32Signed(bytes: Uint8Array, at: number): number {
	return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24); // OK: as above.
}
