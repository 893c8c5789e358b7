/** CRC-32 as GPT uses it (ISO 3309, reflected, polynomial 0x04C11DB7): the one of zlib and Ethernet. */
import * as zlib from 'node:zlib';

/** Node has its own from 20.15 on. */
const native = (zlib as { crc32?: (data: Uint8Array) => number }).crc32; // OK: absent in an older Node.

export function crc32(bytes: Uint8Array): number {
	return native ? native(bytes) : crc32ByTable(bytes);
}

let table: Uint32Array | undefined;

/** The same without zlib. Exported for its test. */
export function crc32ByTable(bytes: Uint8Array): number {
	table ??= makeTable();
	let crc = 0xffffffff;
	for (const byte of bytes) crc = table[(crc ^ byte) & 0xff]! ^ (crc >>> 8); // OK: the index is below 256.
	return (crc ^ 0xffffffff) >>> 0;
}

function makeTable(): Uint32Array {
	return Uint32Array.from({ length: 256 }, (_, index) => {
		let value = index;
		for (let n = 0; n < 8; n++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
		return value >>> 0;
	});
}
