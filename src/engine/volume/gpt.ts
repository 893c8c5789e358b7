/**
 * The GUID partition table: a header and an array of entries, twice on the disk.
 *
 * Supported: revision 1.x, both checksums, the backup when the primary is damaged, entries of 128 bytes and more,
 * sectors of 512 and 4096 bytes. Not supported: writing, and guessing from a table whose both copies are damaged.
 *
 *     OFFSET  SIZE  DESCRIPTION (header)              OFFSET  SIZE  DESCRIPTION (entry)
 *          0     8  "EFI PART"                             0    16  type GUID; zero: not used
 *         12     4  size of the header                    16    16  GUID of the partition
 *         16     4  its CRC-32, with this field zero      32     8  first LBA
 *         24     8  LBA of this header                    40     8  last LBA, inclusive
 *         32     8  LBA of the other one                  48     8  attributes
 *         40  2x8   first and last LBA for partitions     56    72  name, UTF-16LE
 *         56    16  GUID of the disk
 *         72     8  LBA of the entries
 *         80   2x4  number and size of the entries
 *         88     4  their CRC-32
 *
 * Sources: UEFI 2.10, 5.3. Oracle in tests: sfdisk and sgdisk.
 */
import type { ByteSource } from '../io/source.js';
import { readBytes } from '../io/source.js';
import { rawFromBytes } from '../util/names.js';
import { Struct, bytes, u32le, u64le, type RecordOf } from '../util/struct.js';
import { crc32 } from './crc32.js';
import { gptTypeName } from './partition-types.js';
import type { Damage, Partition } from './partition.js';

/** 128 is what every tool writes; Linux has 256 minors for a disk. */
export const MAX_ENTRIES = 4096;
export const MAX_ENTRY_SIZE = 4096;
/** Bytes of both together. */
const MAX_TABLE = 1024 * 1024;
const SIGNATURE = 'EFI PART';

const HEADER = new Struct('gpt.header', 92, {
	signature: bytes(0, 8),
	headerSize: u32le(12),
	headerCrc: u32le(16), // HeaderCRC32
	myLba: u64le(24), // MyLBA
	alternateLba: u64le(32), // AlternateLBA
	firstUsableLba: u64le(40),
	lastUsableLba: u64le(48),
	diskGuid: bytes(56, 16),
	entriesLba: u64le(72), // PartitionEntryLBA
	entryCount: u32le(80), // NumberOfPartitionEntries
	entrySize: u32le(84), // SizeOfPartitionEntry
	entriesCrc: u32le(88), // PartitionEntryArrayCRC32
});
type Header = RecordOf<typeof HEADER>;
const ENTRY = new Struct('gpt.entry', 128, {
	type: bytes(0, 16),
	firstLba: u64le(32), // StartingLBA
	lastLba: u64le(40), // EndingLBA, inclusive
	name: bytes(56, 72),
});

export interface Gpt {
	/** Bytes: 512 or 4096. */
	readonly sectorSize: number;
	/** Lower case with hyphens. */
	readonly uuid: string;
	readonly partitions: readonly Partition[];
	/** Of a copy that was not used, or of an entry. */
	readonly damage: readonly Damage[];
	/** The primary copy was damaged. */
	readonly fromBackup: boolean;
}

/** A table of which no copy can be used. */
export interface DamagedGpt {
	readonly partitions?: undefined;
	/** Never empty. */
	readonly damage: readonly Damage[];
}

/**
 * The table of a disk, by its first good copy.
 *
 * @returns `undefined` when neither place holds a table; the damage alone when both copies are damaged.
 */
export function readGpt(disk: ByteSource): Gpt | DamagedGpt | undefined {
	const damage: Damage[] = [];
	for (const sectorSize of [512, 4096]) {
		const primary = readCopy(disk, sectorSize, sectorSize);
		if (primary === undefined) continue;
		if ('header' in primary) return finish(disk, primary, sectorSize, checkBackup(disk, primary.header, sectorSize));
		damage.push(primary);
		const backup = findBackup(disk, sectorSize);
		if (backup === undefined) continue;
		if ('header' in backup) return { ...finish(disk, backup, sectorSize, damage), fromBackup: true };
		damage.push(backup);
	}
	if (damage.length > 0) return { damage };
	// The first sectors were overwritten, signature and all.
	for (const sectorSize of [512, 4096]) {
		const backup = findBackup(disk, sectorSize);
		if (backup === undefined) continue;
		const lost: Damage = {
			format: 'gpt',
			field: 'primary Signature',
			offset: sectorSize,
			message: 'the primary GPT is gone',
		};
		if ('header' in backup) return { ...finish(disk, backup, sectorSize, [lost]), fromBackup: true };
		return { damage: [lost, backup] };
	}
	return undefined;
}

/** A GUID as people write it: the first three fields are little-endian on disk. */
export function guidText(guid: Uint8Array): string {
	const order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
	const hex = order.map(index => guid[index]!.toString(16).padStart(2, '0')).join(''); // OK: 16 bytes.
	return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

interface Copy {
	readonly header: Header;
	readonly entries: Uint8Array;
}

/** The copy whose header is at `offset`: its records, its damage, or `undefined` when there is no signature. */
function readCopy(disk: ByteSource, offset: number, sectorSize: number): Copy | Damage | undefined {
	if (offset < sectorSize || disk.size < offset + sectorSize) return undefined;
	const sector = readBytes(disk, offset, sectorSize);
	if (sector.toString('latin1', 0, 8) !== SIGNATURE) return undefined;
	const header = HEADER.decode(sector);
	const copy = offset === sectorSize ? 'primary' : 'backup';
	const bad = (field: string, at: number, expected: string | number, actual: string | number): Damage => ({
		format: 'gpt',
		field: `${copy} ${field}`,
		offset: offset + at,
		message: `the ${copy} GPT is damaged (${field} is ${actual}, expected ${expected})`,
	});
	if (!(HEADER.size <= header.headerSize && header.headerSize <= sectorSize)) {
		return bad('HeaderSize', 12, `92 to ${sectorSize}`, header.headerSize);
	}
	const checked = Buffer.from(sector.subarray(0, header.headerSize));
	checked.fill(0, 16, 20);
	const headerCrc = crc32(checked);
	if (headerCrc !== header.headerCrc) return bad('HeaderCRC32', 16, hex(headerCrc), hex(header.headerCrc));
	if (header.myLba !== BigInt(offset / sectorSize)) return bad('MyLBA', 24, offset / sectorSize, String(header.myLba));
	if (header.lastUsableLba < header.firstUsableLba) {
		return bad('LastUsableLBA', 48, `${header.firstUsableLba} or more`, String(header.lastUsableLba));
	}
	if (header.entrySize < ENTRY.size || MAX_ENTRY_SIZE < header.entrySize || header.entrySize % 8 !== 0) {
		return bad('SizeOfPartitionEntry', 84, `128 to ${MAX_ENTRY_SIZE}`, header.entrySize);
	}
	const tableSize = header.entrySize * header.entryCount;
	if (MAX_ENTRIES < header.entryCount || MAX_TABLE < tableSize) {
		return bad('NumberOfPartitionEntries', 80, `at most ${MAX_ENTRIES}`, header.entryCount);
	}
	const entriesOffset = toBytes(header.entriesLba, sectorSize);
	if (disk.size < entriesOffset + tableSize) {
		return bad('PartitionEntryLBA', 72, 'a place inside the disk', String(header.entriesLba));
	}
	const entries = readBytes(disk, entriesOffset, tableSize);
	const entriesCrc = crc32(entries);
	if (entriesCrc !== header.entriesCrc) {
		return bad('PartitionEntryArrayCRC32', 88, hex(entriesCrc), hex(header.entriesCrc));
	}
	return { header, entries };
}

/** The backup: in the last sector; else where a damaged primary says, which may be all that is left after a resize. */
function findBackup(disk: ByteSource, sectorSize: number): Copy | Damage | undefined {
	const last = Math.floor(disk.size / sectorSize) * sectorSize - sectorSize;
	const atEnd = last <= sectorSize ? undefined : readCopy(disk, last, sectorSize);
	if (atEnd && 'header' in atEnd) return atEnd;
	if (disk.size < 2 * sectorSize) return atEnd;
	const hint = toBytes(HEADER.decode(readBytes(disk, sectorSize, sectorSize)).alternateLba, sectorSize);
	const hinted = hint <= sectorSize || hint === last ? undefined : readCopy(disk, hint, sectorSize);
	return hinted && 'header' in hinted ? hinted : (atEnd ?? hinted);
}

/** What is wrong with the backup of a good primary. */
function checkBackup(disk: ByteSource, primary: Header, sectorSize: number): Damage[] {
	const offset = toBytes(primary.alternateLba, sectorSize);
	const backup = readCopy(disk, offset, sectorSize);
	if (backup !== undefined) return 'header' in backup ? [] : [backup];
	const message = 'the backup GPT is missing: the disk was cut, or its end overwritten';
	return [{ format: 'gpt', field: 'backup Signature', offset, message }];
}

function finish(disk: ByteSource, copy: Copy, sectorSize: number, damage: readonly Damage[]): Gpt {
	const { header, entries } = copy;
	const partitions: Partition[] = [];
	const found: Damage[] = [...damage];
	for (let index = 0; index < header.entryCount; index++) {
		const at = index * header.entrySize;
		const entry = ENTRY.decode(entries, at);
		if (entry.type.every(byte => byte === 0)) continue;
		if (entry.lastLba < entry.firstLba) {
			found.push({
				format: 'gpt',
				field: 'EndingLBA',
				offset: toBytes(header.entriesLba, sectorSize) + at + 40,
				message: `entry ${index + 1} ends before it begins and is not shown`,
			});
			continue;
		}
		const offset = toBytes(entry.firstLba, sectorSize);
		partitions.push({
			number: index + 1,
			offset,
			size: toBytes(entry.lastLba - entry.firstLba + 1n, sectorSize),
			type: gptTypeName(guidText(entry.type)),
			name: nameOf(entry.name),
			extended: false,
		});
	}
	return { sectorSize, uuid: guidText(header.diskGuid), partitions, damage: found, fromBackup: false };
}

/** UTF-16LE up to the first NUL, as raw UTF-8. */
function nameOf(name: Uint8Array): string {
	const text = Buffer.from(name).toString('utf16le');
	const end = text.indexOf('\0');
	return rawFromBytes(Buffer.from(end < 0 ? text : text.slice(0, end), 'utf8'));
}

/** Sectors to bytes. Above what a number holds exactly it is far outside any disk, and checked against one by the caller. */
function toBytes(lba: bigint, sectorSize: number): number {
	return Number(lba) * sectorSize;
}

function hex(value: number): string {
	return `0x${value.toString(16).padStart(8, '0')}`;
}
