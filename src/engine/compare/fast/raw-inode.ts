/**
 * Fields of an inode as it is stored, for loops that look at all of them.
 *
 * Source: Linux, Documentation/filesystems/ext4/inodes.rst, ifork.rst.
 */
import { le16, le32 } from '../../util/bytes.js';

// struct ext4_inode
export const MODE = 0x0;
const SIZE_LO = 0x4;
export const LINKS_COUNT = 0x1a;
export const BLOCKS_LO = 0x1c;
export const FLAGS = 0x20;
export const BLOCK = 0x28;
const FILE_ACL_LO = 0x68;
const SIZE_HIGH = 0x6c;
const FILE_ACL_HIGH = 0x76;

/** The top four bits of i_mode. */
export const TYPE_DIRECTORY = 0x4;
export const TYPE_FILE = 0x8;
export const TYPE_SYMLINK = 0xa;

export const EXTENT_MAGIC = 0xf30a;
/** A longer extent is one that was never written; the rest is its length. */
export const MAX_WRITTEN_LENGTH = 32768;

export function xattrBlockAt(bytes: Uint8Array, at: number): number {
	return le32(bytes, at + FILE_ACL_LO) + le16(bytes, at + FILE_ACL_HIGH) * 2 ** 32;
}

/** Of a regular file. */
export function fileSizeAt(bytes: Uint8Array, at: number): number {
	return le32(bytes, at + SIZE_LO) + le32(bytes, at + SIZE_HIGH) * 2 ** 32;
}

/** Whether all extents of the file are in the inode itself. */
export function hasOwnExtents(bytes: Uint8Array, at: number): boolean {
	return (
		le16(bytes, at + BLOCK) === EXTENT_MAGIC && le16(bytes, at + BLOCK + 6) === 0 && le16(bytes, at + BLOCK + 2) <= 4
	);
}

/** Calls `visit` for each extent that `hasOwnExtents` and was written. @returns false as soon as `visit` does. */
export function everyOwnExtent(
	bytes: Uint8Array,
	at: number,
	visit: (logical: number, physical: number, count: number) => boolean,
): boolean {
	const count = le16(bytes, at + BLOCK + 2);
	for (let i = 0, entry = at + BLOCK + 12; i < count; i++, entry += 12) {
		const length = le16(bytes, entry + 4);
		if (length > MAX_WRITTEN_LENGTH) continue;
		const physical = le32(bytes, entry + 8) + le16(bytes, entry + 6) * 2 ** 32;
		if (!visit(le32(bytes, entry), physical, length)) return false;
	}
	return true;
}
