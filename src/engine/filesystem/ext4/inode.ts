/**
 * Inodes: 128 bytes or more, little-endian, in the tables of the block groups.
 *
 * They are decoded from constants and not by a `Struct`: a listing decodes 100,000, and a record object with a
 * `DataView` a piece takes ten times as long.
 *
 * Source: Linux, Documentation/filesystems/ext4/inodes.rst, attributes.rst. Oracle in the tests: `debugfs stat`, mount.
 */
import { le16, le32, le32Signed } from '../../util/bytes.js';
import { crc32c, crc32cWord } from '../../util/crc32c.js';
import { corrupt, type ErrorRecord } from '../../util/errors.js';
import type { FileKind, Inode, Timestamp } from '../filesystem.js';
import { INCOMPAT, RO_COMPAT } from './features.js';
import { mismatch, type Superblock } from './superblock.js';

// struct ext4_inode
export const MODE = 0x0;
const UID = 0x2;
export const SIZE_LO = 0x4;
const ATIME = 0x8;
const CTIME = 0xc;
const MTIME = 0x10;
const GID = 0x18;
export const LINKS_COUNT = 0x1a;
const BLOCKS_LO = 0x1c;
export const FLAGS = 0x20;
export const BLOCK = 0x28;
export const BLOCK_SIZE = 60;
const GENERATION = 0x64;
const FILE_ACL_LO = 0x68;
const SIZE_HIGH = 0x6c;
const BLOCKS_HIGH = 0x74;
const FILE_ACL_HIGH = 0x76;
const UID_HIGH = 0x78;
const GID_HIGH = 0x7a;
const CHECKSUM_LO = 0x7c;
export const GOOD_OLD_SIZE = 0x80;
const EXTRA_ISIZE = 0x80;
const CHECKSUM_HI = 0x82;
const CTIME_EXTRA = 0x84;
const MTIME_EXTRA = 0x88;
const ATIME_EXTRA = 0x8c;
const CRTIME = 0x90;
const CRTIME_EXTRA = 0x94;
const PROJID = 0x9c;

/** i_flags */
export const FLAG = {
	compressed: 0x4,
	immutable: 0x10,
	append: 0x20,
	encrypted: 0x800,
	index: 0x1000,
	hugeFile: 0x4_0000,
	extents: 0x8_0000,
	verity: 0x10_0000,
	eaInode: 0x20_0000,
	inlineData: 0x1000_0000,
	casefold: 0x4000_0000,
} as const;

const ATTRIBUTES = ['immutable', 'append', 'encrypted', 'verity', 'casefold', 'compressed'] as const;
const ANY_ATTRIBUTE = ATTRIBUTES.reduce((all, name) => all | FLAG[name], 0);
const NO_ATTRIBUTES: readonly string[] = [];

/** By the top four bits of i_mode. */
const KINDS: readonly (FileKind | undefined)[] = [
	undefined,
	'fifo',
	'chardev',
	undefined,
	'directory',
	undefined,
	'blockdev',
	undefined,
	'file',
	undefined,
	'symlink',
	undefined,
	'socket',
];

const OS_HURD = 1;

export interface Ext4Inode extends Inode {
	/** i_flags as stored. */
	readonly flags: number;
	/** 0 where the filesystem has no projects. */
	readonly project: number;
	/** The block of extended attributes, i_file_acl; 0 when there is none. */
	readonly xattrBlock: number;
	/** Bytes allocated, i_blocks. */
	readonly allocated: number;
}

/**
 * Decode the inode at `at` in `bytes`; `inodeBytes` of the superblock must be there.
 *
 * @param offset of the inode in the volume, for messages.
 * @throws EngineError `ERR_CORRUPT` for a type or a size that cannot be.
 */
export function decodeInode(
	superblock: Superblock,
	number: number,
	bytes: Uint8Array,
	at: number,
	offset: number,
): Ext4Inode {
	const mode = le16(bytes, at + MODE);
	const kind = kindOf(number, bytes, at, offset);
	const extraEnd = at + GOOD_OLD_SIZE + extraSize(superblock, bytes, at);
	const flags = le32(bytes, at + FLAGS);
	return {
		number,
		generation: le32(bytes, at + GENERATION),
		kind,
		size: sizeOf(superblock, number, kind, bytes, at, offset),
		mode: mode & 0o7777,
		uid: le16(bytes, at + UID) + le16(bytes, at + UID_HIGH) * 0x1_0000,
		gid: le16(bytes, at + GID) + le16(bytes, at + GID_HIGH) * 0x1_0000,
		links: le16(bytes, at + LINKS_COUNT),
		atime: time(bytes, at + ATIME, at + ATIME_EXTRA, extraEnd),
		mtime: time(bytes, at + MTIME, at + MTIME_EXTRA, extraEnd),
		ctime: time(bytes, at + CTIME, at + CTIME_EXTRA, extraEnd),
		crtime: at + CRTIME + 4 <= extraEnd ? time(bytes, at + CRTIME, at + CRTIME_EXTRA, extraEnd) : undefined,
		device: kind === 'chardev' || kind === 'blockdev' ? deviceOf(bytes, at) : undefined,
		attributes: (flags & ANY_ATTRIBUTE) === 0 ? NO_ATTRIBUTES : ATTRIBUTES.filter(name => (flags & FLAG[name]) !== 0),
		problem: verifyInode(superblock, number, bytes, at, offset),
		flags,
		project:
			(superblock.featureRoCompat & RO_COMPAT.project) !== 0 && at + PROJID + 4 <= extraEnd
				? le32(bytes, at + PROJID)
				: 0,
		xattrBlock: xattrBlockOf(superblock, bytes, at),
		allocated: allocatedOf(superblock, flags, bytes, at),
	};
}

/** The part of an inode that leads to what it holds. */
export type InodeContent = Pick<Ext4Inode, 'kind' | 'size' | 'flags' | 'generation' | 'xattrBlock' | 'allocated'>;

/** The same without times, owner and checksum: attributes and content of an inode that is decoded already. */
export function decodeContent(
	superblock: Superblock,
	number: number,
	bytes: Uint8Array,
	at: number,
	offset: number,
): InodeContent {
	const kind = kindOf(number, bytes, at, offset);
	const flags = le32(bytes, at + FLAGS);
	return {
		kind,
		size: sizeOf(superblock, number, kind, bytes, at, offset),
		flags,
		generation: le32(bytes, at + GENERATION),
		xattrBlock: xattrBlockOf(superblock, bytes, at),
		allocated: allocatedOf(superblock, flags, bytes, at),
	};
}

/** Start value of the checksums of everything that belongs to one inode: its own, its extent blocks', its directory blocks'. */
export function inodeSeed(superblock: Superblock, number: number, bytes: Uint8Array, at: number): number {
	return crc32cWord(crc32cWord(superblock.seed, number), le32(bytes, at + GENERATION));
}

/** Bytes of the fields past the first 128 that are in use; what follows holds extended attributes. */
export function extraSize(superblock: Superblock, bytes: Uint8Array, at: number): number {
	const { inodeBytes } = superblock;
	if (inodeBytes === GOOD_OLD_SIZE) return 0;
	const extra = le16(bytes, at + EXTRA_ISIZE);
	return extra % 4 === 0 && GOOD_OLD_SIZE + extra <= inodeBytes ? extra : 0;
}

function verifyInode(
	superblock: Superblock,
	number: number,
	bytes: Uint8Array,
	at: number,
	offset: number,
): ErrorRecord | undefined {
	if (superblock.inodeBytes > GOOD_OLD_SIZE) {
		const extra = le16(bytes, at + EXTRA_ISIZE);
		if (extra % 4 !== 0 || superblock.inodeBytes < GOOD_OLD_SIZE + extra) {
			return mismatchExtra(number, offset, superblock.inodeBytes - GOOD_OLD_SIZE, extra);
		}
	}
	if (!superblock.hasMetadataChecksums) return undefined;
	const sum = inodeChecksum(superblock, number, bytes, at);
	let stored = le16(bytes, at + CHECKSUM_LO);
	if (hasHighChecksum(superblock, bytes, at)) stored += le16(bytes, at + CHECKSUM_HI) * 0x1_0000;
	return sum === stored ? undefined : mismatch(`i_checksum of inode ${number}`, offset + CHECKSUM_LO, sum, stored);
}

/**
 * Of the whole inode with the checksum itself as zeros; 16 bits where there is no room for more. The words that hold its
 * two halves, at 0x7c and 0x80, are taken one by one.
 */
function inodeChecksum(superblock: Superblock, number: number, bytes: Uint8Array, at: number): number {
	let sum = inodeSeed(superblock, number, bytes, at);
	sum = crc32c(sum, bytes, at, at + CHECKSUM_LO);
	sum = crc32cWord(sum, le16(bytes, at + CHECKSUM_LO + 2) << 16);
	if (superblock.inodeBytes === GOOD_OLD_SIZE) return sum & 0xffff;
	const hasHigh = hasHighChecksum(superblock, bytes, at);
	sum = crc32cWord(sum, hasHigh ? le16(bytes, at + EXTRA_ISIZE) : le32(bytes, at + EXTRA_ISIZE));
	sum = crc32c(sum, bytes, at + CHECKSUM_HI + 2, at + superblock.inodeBytes);
	return hasHigh ? sum : sum & 0xffff;
}

function hasHighChecksum(superblock: Superblock, bytes: Uint8Array, at: number): boolean {
	return superblock.inodeBytes > GOOD_OLD_SIZE && extraSize(superblock, bytes, at) >= 4;
}

/** Make the checksum of an inode right that was changed in memory. */
export function sealInode(superblock: Superblock, number: number, bytes: Uint8Array): void {
	if (!superblock.hasMetadataChecksums) return;
	const sum = inodeChecksum(superblock, number, bytes, 0);
	bytes[CHECKSUM_LO] = sum & 0xff;
	bytes[CHECKSUM_LO + 1] = (sum >>> 8) & 0xff;
	if (!hasHighChecksum(superblock, bytes, 0)) return;
	bytes[CHECKSUM_HI] = (sum >>> 16) & 0xff;
	bytes[CHECKSUM_HI + 1] = sum >>> 24;
}

function mismatchExtra(number: number, offset: number, expected: number, actual: number): ErrorRecord {
	const field = `i_extra_isize of inode ${number}`;
	const details = {
		format: 'ext4',
		field,
		offset: offset + EXTRA_ISIZE,
		expected: `a multiple of 4 up to ${expected}`,
		actual,
	};
	return { code: 'ERR_CORRUPT', message: `ext4: ${field} is ${actual}, expected ${details.expected}`, details };
}

function kindOf(number: number, bytes: Uint8Array, at: number, offset: number): FileKind {
	const mode = le16(bytes, at + MODE);
	const kind = KINDS[mode >>> 12];
	return kind ?? corrupt('ext4', `i_mode of inode ${number}`, offset + MODE, 'a file type', `0${mode.toString(8)}`);
}

function sizeOf(
	superblock: Superblock,
	number: number,
	kind: FileKind,
	bytes: Uint8Array,
	at: number,
	offset: number,
): number {
	const low = le32(bytes, at + SIZE_LO);
	// Directories once kept an ACL block where the high half is now.
	const isWide = kind === 'file' || (superblock.featureIncompat & INCOMPAT.large_dir) !== 0;
	const size = isWide ? low + le32(bytes, at + SIZE_HIGH) * 2 ** 32 : low;
	if (Number.MAX_SAFE_INTEGER < size)
		corrupt('ext4', `i_size of inode ${number}`, offset + SIZE_LO, 'below 2^53', size);
	return size;
}

/**
 * The first 32 bits are signed seconds; the extra field holds two more bits of them, above bit 31, and the nanoseconds.
 * So times reach from 1901 to 2446.
 */
function time(bytes: Uint8Array, at: number, extraAt: number, extraEnd: number): Timestamp {
	const sec = le32Signed(bytes, at);
	if (extraEnd < extraAt + 4) return { sec, nsec: 0 };
	const extra = le32(bytes, extraAt);
	// Thirty bits hold more than a second has; no valid inode uses them.
	return { sec: sec + (extra & 3) * 2 ** 32, nsec: Math.min(extra >>> 2, 999_999_999) };
}

/** Old numbers, 8 bits each, are in i_block[0]; new ones, 12 and 20 bits, in i_block[1]. */
function deviceOf(bytes: Uint8Array, at: number): { major: number; minor: number } {
	const old = le32(bytes, at + BLOCK);
	if (old !== 0) return { major: (old >>> 8) & 0xff, minor: old & 0xff };
	const device = le32(bytes, at + BLOCK + 4);
	return { major: (device >>> 8) & 0xfff, minor: (device & 0xff) | ((device >>> 12) & 0xf_ff00) };
}

/** i_file_acl; 0 when there is none. */
export function xattrBlockOf(superblock: Superblock, bytes: Uint8Array, at: number): number {
	const low = le32(bytes, at + FILE_ACL_LO);
	// GNU Hurd keeps something else in the high half; without 64bit Linux does not look at it either.
	const isWide = (superblock.featureIncompat & INCOMPAT['64bit']) !== 0 && superblock.creatorOs !== OS_HURD;
	return isWide ? low + le16(bytes, at + FILE_ACL_HIGH) * 2 ** 32 : low;
}

function allocatedOf(superblock: Superblock, flags: number, bytes: Uint8Array, at: number): number {
	const low = le32(bytes, at + BLOCKS_LO);
	if ((superblock.featureRoCompat & RO_COMPAT.huge_file) === 0) return low * 512;
	const blocks = low + le16(bytes, at + BLOCKS_HIGH) * 2 ** 32;
	return (flags & FLAG.hugeFile) === 0 ? blocks * 512 : blocks * superblock.blockSize;
}
