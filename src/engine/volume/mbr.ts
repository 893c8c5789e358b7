/**
 * The DOS partition table in a disk's first sector, with the logical partitions of an extended one.
 *
 * Supported: four primary entries, extended partitions (types 05, 0f, 85) as a chain of extended boot records,
 * sectors of 512 and 4096 bytes. Not supported: BSD, Solaris and Minix tables inside a partition (shown as one volume).
 *
 *     OFFSET  SIZE  DESCRIPTION
 *        440     4  disk signature
 *        446  4x16  entries: boot indicator (1), CHS (3), type (1), CHS (3), first sector (4), sectors (4)
 *        510     2  55 aa
 *
 * Sources: UEFI 2.10, 5.2.1; A. Brouwer, "Partition types"; what Linux does with a chain (block/partitions/msdos.c:
 * read for the numbering and for what it tolerates). Oracle in tests: sfdisk, and the kernel's own numbers.
 */
import type { ByteSource } from '../io/source.js';
import { readBytes } from '../io/source.js';
import { Struct, bytes, u16le, u32le, u8, type RecordOf } from '../util/struct.js';
import { isExtendedType, mbrTypeName } from './partition-types.js';
import type { Damage, Partition } from './partition.js';

/** A chain longer than this is a loop or an attack: Linux has 256 minors for a disk. */
export const MAX_LOGICAL = 251;
/** Records that hold no partition, in a row: Linux gives up after as many. */
const MAX_EMPTY_RECORDS = 100;
const TABLE_SIZE = 512;
const TABLE_SIGNATURE = 0xaa55;
export const GPT_PROTECTIVE = 0xee;

const TABLE = new Struct('mbr', TABLE_SIZE, {
	diskSignature: u32le(440),
	entries: bytes(446, 64),
	signature: u16le(510),
});
const ENTRY = new Struct('mbr.entry', 16, {
	bootIndicator: u8(0),
	type: u8(4),
	firstLba: u32le(8),
	sectorCount: u32le(12),
});
type Entry = RecordOf<typeof ENTRY>;

/** The first sector, when it holds a table. */
export interface Mbr {
	/** Eight hexadecimal digits. */
	readonly diskSignature: string;
	/** Always four. */
	readonly entries: readonly Entry[];
}

/** The table in the first sector; `undefined` when the sector holds none (no signature, or a boot sector's code). */
export function readMbr(disk: ByteSource): Mbr | undefined {
	if (disk.size < TABLE_SIZE) return undefined;
	const table = TABLE.decode(readBytes(disk, 0, TABLE_SIZE));
	if (table.signature !== TABLE_SIGNATURE) return undefined;
	const entries = decodeEntries(table.entries);
	// The boot sectors of FAT and NTFS carry the signature too, but their code is no table.
	if (entries.some(entry => entry.bootIndicator !== 0 && entry.bootIndicator !== 0x80)) return undefined;
	return { diskSignature: table.diskSignature.toString(16).padStart(8, '0'), entries };
}

/** Whether a GPT is meant to be found on the disk. */
export function isProtective(mbr: Mbr): boolean {
	return mbr.entries.some(entry => entry.type === GPT_PROTECTIVE);
}

/** Partitions of the table, primary ones first, then logical ones from 5; and what is wrong with the chain. */
export function listMbr(
	disk: ByteSource,
	mbr: Mbr,
	sectorSize: number,
): { partitions: readonly Partition[]; damage: readonly Damage[] } {
	const primary: Partition[] = [];
	const logical: Partition[] = [];
	const damage: Damage[] = [];
	for (const [index, entry] of mbr.entries.entries()) {
		if (entry.sectorCount === 0) continue;
		const partition = toPartition(entry, index + 1, entry.firstLba * sectorSize, sectorSize);
		primary.push(partition);
		if (partition.extended) readChain(disk, partition, sectorSize, logical, damage);
	}
	return { partitions: [...primary, ...logical], damage };
}

/** Follow the extended boot records of `extended` and add their partitions to `logical`. */
function readChain(
	disk: ByteSource,
	extended: Partition,
	sectorSize: number,
	logical: Partition[],
	damage: Damage[],
): void {
	const seen = new Set<number>();
	let emptyRecords = 0;
	let frame = { offset: extended.offset, size: extended.size };
	for (;;) {
		const complain = (field: string, message: string) => {
			damage.push({ format: 'mbr', field, offset: frame.offset, message });
		};
		if (seen.has(frame.offset)) return complain('EBR', 'the chain of logical partitions is a loop');
		seen.add(frame.offset);
		if (disk.size < frame.offset + TABLE_SIZE) {
			return complain('EBR', 'the chain of logical partitions leaves the disk');
		}
		const table = TABLE.decode(readBytes(disk, frame.offset, TABLE_SIZE));
		if (table.signature !== TABLE_SIGNATURE) {
			return complain('EBR.signature', 'an extended boot record has no signature; logical partitions may be missing');
		}
		const entries = decodeEntries(table.entries);
		const before = logical.length;
		for (const [index, entry] of entries.entries()) {
			if (entry.sectorCount === 0 || isExtendedType(entry.type)) continue;
			const offset = frame.offset + entry.firstLba * sectorSize;
			const size = entry.sectorCount * sectorSize;
			// The third and fourth entries are not used; some tools leave garbage there.
			if (2 <= index && !isInside(entry.firstLba * sectorSize, size, offset, frame, extended)) continue;
			if (logical.length >= MAX_LOGICAL) {
				return complain('EBR', `more than ${MAX_LOGICAL} logical partitions; the rest are not shown`);
			}
			logical.push(toPartition(entry, 5 + logical.length, offset, sectorSize));
		}
		emptyRecords = logical.length === before ? emptyRecords + 1 : 0;
		if (MAX_EMPTY_RECORDS < emptyRecords) return complain('EBR', 'the chain of logical partitions has no end');
		const next = entries.find(entry => entry.sectorCount !== 0 && isExtendedType(entry.type));
		if (!next) return;
		frame = { offset: extended.offset + next.firstLba * sectorSize, size: next.sectorCount * sectorSize };
	}
}

function isInside(
	relative: number,
	size: number,
	offset: number,
	frame: { readonly size: number },
	extended: Partition,
): boolean {
	return relative + size <= frame.size && extended.offset <= offset && offset + size <= extended.offset + extended.size;
}

function toPartition(entry: Entry, number: number, offset: number, sectorSize: number): Partition {
	return {
		number,
		offset,
		size: entry.sectorCount * sectorSize,
		type: mbrTypeName(entry.type),
		name: '',
		extended: isExtendedType(entry.type),
	};
}

function decodeEntries(table: Uint8Array): Entry[] {
	return [0, 1, 2, 3].map(index => ENTRY.decode(table, index * ENTRY.size));
}
