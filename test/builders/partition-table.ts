/** Partition tables in memory, from a description. Every field is written by hand: nothing of the reader is used. */
import { crc32 } from 'node:zlib';

export interface MbrEntry {
	readonly type: number;
	readonly firstLba: number;
	readonly sectorCount: number;
	readonly bootIndicator?: number;
}

export interface GptEntry {
	/** GUID as text. */
	readonly type: string;
	readonly firstLba: number;
	/** Inclusive, as on disk. */
	readonly lastLba: number;
	readonly name?: string;
}

export const LINUX_FILESYSTEM = '0fc63daf-8483-4772-8e79-3d69d8477de4';
export const EFI_SYSTEM = 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b';
export const DISK_GUID = '01234567-89ab-cdef-0123-456789abcdef';

/** Write a table (or an extended boot record) into `disk` at `offset`. */
export function writeMbr(disk: Buffer, entries: readonly MbrEntry[], offset = 0, diskSignature = 0x12345678): void {
	disk.writeUInt32LE(diskSignature, offset + 440);
	for (const [index, entry] of entries.entries()) {
		const at = offset + 446 + index * 16;
		disk[at] = entry.bootIndicator ?? 0;
		disk[at + 4] = entry.type;
		disk.writeUInt32LE(entry.firstLba, at + 8);
		disk.writeUInt32LE(entry.sectorCount, at + 12);
	}
	disk[offset + 510] = 0x55;
	disk[offset + 511] = 0xaa;
}

export interface GptOptions {
	readonly sectorSize?: number;
	readonly entryCount?: number;
	readonly entrySize?: number;
	/** Entries of the MBR instead of the protective one; none for `[]`. */
	readonly mbr?: readonly MbrEntry[];
}

/** Write both copies of a GPT and a protective MBR into `disk`. Entries are at the index that they have in the list. */
export function writeGpt(disk: Buffer, entries: readonly (GptEntry | undefined)[], options: GptOptions = {}): void {
	const { sectorSize = 512, entryCount = 128, entrySize = 128 } = options;
	const lastLba = Math.floor(disk.byteLength / sectorSize) - 1;
	const tableSectors = Math.ceil((entryCount * entrySize) / sectorSize);
	const mbr = options.mbr ?? [{ type: 0xee, firstLba: 1, sectorCount: lastLba }];
	if (mbr.length > 0) writeMbr(disk, mbr, 0, 0);
	const table = Buffer.alloc(entryCount * entrySize);
	for (const [index, entry] of entries.entries()) {
		if (!entry) continue;
		const at = index * entrySize;
		guidBytes(entry.type).copy(table, at);
		guidBytes(DISK_GUID).copy(table, at + 16);
		table.writeBigUInt64LE(BigInt(entry.firstLba), at + 32);
		table.writeBigUInt64LE(BigInt(entry.lastLba), at + 40);
		table.write(entry.name ?? '', at + 56, 72, 'utf16le');
	}
	const copies = [
		{ my: 1, alternate: lastLba, table: 2 },
		{ my: lastLba, alternate: 1, table: lastLba - tableSectors },
	];
	for (const copy of copies) {
		table.copy(disk, copy.table * sectorSize);
		const at = copy.my * sectorSize;
		disk.write('EFI PART', at, 'latin1');
		disk.writeUInt32LE(0x10000, at + 8);
		disk.writeUInt32LE(92, at + 12);
		disk.writeBigUInt64LE(BigInt(copy.my), at + 24);
		disk.writeBigUInt64LE(BigInt(copy.alternate), at + 32);
		disk.writeBigUInt64LE(BigInt(2 + tableSectors), at + 40);
		disk.writeBigUInt64LE(BigInt(lastLba - tableSectors - 1), at + 48);
		guidBytes(DISK_GUID).copy(disk, at + 56);
		disk.writeBigUInt64LE(BigInt(copy.table), at + 72);
		disk.writeUInt32LE(entryCount, at + 80);
		disk.writeUInt32LE(entrySize, at + 84);
		disk.writeUInt32LE(crc32(table), at + 88);
		sealGptHeader(disk, at);
	}
}

/** Recompute the checksum of the header at `at`, so that a mutation reaches the check that it is meant for. */
export function sealGptHeader(disk: Buffer, at: number): void {
	disk.writeUInt32LE(0, at + 16);
	disk.writeUInt32LE(crc32(disk.subarray(at, at + 92)), at + 16);
}

export function guidBytes(guid: string): Buffer {
	const [a, b, c, d, e] = guid.split('-');
	const swap = (hex: string) => Buffer.from(hex, 'hex').reverse();
	return Buffer.concat([swap(a!), swap(b!), swap(c!), Buffer.from(d! + e!, 'hex')]); // OK: a GUID has five parts.
}
