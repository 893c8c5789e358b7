/** CRC-16/ARC (polynomial 0x8005, bits reversed): the sum of ext4's group descriptors before metadata checksums. */

const TABLE = new Uint16Array(256);
for (let byte = 0; byte < 256; byte++) {
	let sum = byte;
	for (let i = 0; i < 8; i++) sum = (sum >>> 1) ^ ((sum & 1) === 0 ? 0 : 0xa001);
	TABLE[byte] = sum;
}

/** The sum of `bytes[from, to)` continued from `crc`; 0 to 65,535. */
export function crc16(crc: number, bytes: Uint8Array, from = 0, to = bytes.byteLength): number {
	let sum = crc;
	for (let at = from; at < to; at++) sum = (sum >>> 8) ^ TABLE[(sum ^ bytes[at]!) & 0xff]!; // OK: at < to; a byte is below 256.
	return sum;
}
