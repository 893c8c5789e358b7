/**
 * Directories: blocks of entries. Directories with a hash tree have the same blocks; the tree's own blocks look like
 * blocks of unused entries, on purpose, so reading in order passes over them.
 *
 *     entry   inode u32, rec_len u16, name_len u8, file_type u8 (0 without the feature `filetype`), name;
 *             rec_len leads to the next one
 *     tail    inode 0, rec_len 12, name_len 0, file_type 0xde, checksum u32 (with metadata_csum)
 *
 * Source: Linux, Documentation/filesystems/ext4/directory.rst. Oracle in the tests: `debugfs ls`, mount.
 */
import { le16, le32 } from '../../util/bytes.js';
import { crc32c, crc32cZeros } from '../../util/crc32c.js';
import { EngineError, type ErrorRecord } from '../../util/errors.js';
import type { RawName } from '../../util/names.js';
import type { Dirent, FileKind } from '../filesystem.js';
import { INCOMPAT } from './features.js';
import { mismatch, type Superblock } from './superblock.js';

const HEADER_SIZE = 8;
const MIN_ENTRY = 12;
const TAIL_TYPE = 0xde;
const TAIL_SIZE = 12;

/** By file_type. */
const KINDS: readonly (FileKind | undefined)[] = [
	undefined,
	'file',
	'directory',
	'chardev',
	'blockdev',
	'fifo',
	'socket',
	'symlink',
];

/** A name that no Linux would show: it could not be told from a path. */
const IMPOSSIBLE = /[\0/]/;

/** What is known of the directory that a block belongs to. */
export interface DirectoryContext {
	readonly superblock: Superblock;
	readonly inode: number;
	/** Of the inode's checksums. */
	readonly seed: number;
	/** Turns a stored name into the one shown (encrypted directories); `undefined`: as it is stored. */
	readonly shownName: ((bytes: Uint8Array, start: number, length: number) => RawName) | undefined;
	readonly report: (problem: ErrorRecord) => void;
}

/**
 * Decode the entries in `bytes[from, to)` without `.` and `..`.
 *
 * @param offset of `bytes` in the volume, for messages.
 * @param into takes the entries, up to the first damaged one.
 * @returns the damage that ended it, if any.
 */
export function decodeEntries(
	context: DirectoryContext,
	bytes: Buffer,
	from: number,
	to: number,
	offset: number,
	into: Dirent[],
): EngineError | undefined {
	const hasType = (context.superblock.featureIncompat & INCOMPAT.filetype) !== 0;
	let damage: EngineError | undefined;
	for (let at = from; at < to;) {
		const length = to - at < HEADER_SIZE ? 0 : recordLength(bytes, at, to - from);
		const nameLength = bytes[at + 6]!; // OK: at + 8 <= to, else length is 0.
		if (length < MIN_ENTRY || length % 4 !== 0 || to < at + length || length < HEADER_SIZE + nameLength) {
			return wrong(context, 'rec_len', offset + at + 4, length);
		}
		const inode = le32(bytes, at);
		if (inode !== 0 && !isDots(bytes, at + HEADER_SIZE, nameLength)) {
			const start = at + HEADER_SIZE;
			const name = context.shownName
				? context.shownName(bytes, start, nameLength)
				: bytes.toString('latin1', start, start + nameLength);
			if (nameLength === 0 || IMPOSSIBLE.test(name)) {
				damage ??= wrong(context, 'name', offset + start, nameLength === 0 ? 'empty' : 'with a slash or a zero byte');
			} else {
				into.push({ name, inode, kind: hasType ? KINDS[bytes[at + 7]! & 0xf] : undefined }); // OK: as above.
			}
		}
		at += length;
	}
	return damage;
}

/** The inode of the entry that `name` has in `bytes[from, to)`; `undefined` when it is not there. Allocates nothing. */
export function findEntry(bytes: Buffer, from: number, to: number, name: Uint8Array): number | undefined {
	for (let at = from; at + HEADER_SIZE <= to;) {
		const length = recordLength(bytes, at, to - from);
		const nameLength = bytes[at + 6]!; // OK: at + 8 <= to.
		if (length < MIN_ENTRY || to < at + length) return undefined;
		if (nameLength === name.byteLength && le32(bytes, at) !== 0) {
			let i = 0;
			while (i < nameLength && bytes[at + HEADER_SIZE + i] === name[i]) i++;
			if (i === nameLength) return le32(bytes, at);
		}
		at += length;
	}
	return undefined;
}

/** Report a wrong checksum of one block of a directory; it does not stop reading. */
export function verifyBlock(context: DirectoryContext, bytes: Buffer, from: number, offset: number): void {
	const { blockSize } = context.superblock;
	const tail = from + blockSize - TAIL_SIZE;
	const field = `checksum of directory ${context.inode}`;
	// A tree block may have been a leaf once, whose tail still stands in the unused bytes of its own: look for it first.
	const entries = treeEntries(bytes, from, blockSize);
	if (
		entries === undefined &&
		le32(bytes, tail) === 0 &&
		le16(bytes, tail + 4) === TAIL_SIZE &&
		bytes[tail + 6] === 0 &&
		bytes[tail + 7] === TAIL_TYPE
	) {
		const sum = crc32c(context.seed, bytes, from, tail);
		const stored = le32(bytes, tail + 8);
		if (sum !== stored) context.report(mismatch(field, offset + tail + 8, sum, stored));
		return;
	}
	if (entries === undefined) {
		const details = {
			format: 'ext4',
			field,
			offset: offset + tail,
			expected: 'a tail with a checksum',
			actual: 'none',
		};
		context.report(new EngineError('ERR_CORRUPT', `ext4: ${field} is missing`, details).toJSON());
		return;
	}
	const limit = le16(bytes, entries);
	const count = le16(bytes, entries + 2);
	const treeTail = entries + limit * 8;
	if (limit < count || from + blockSize < treeTail + 8) {
		const details = {
			format: 'ext4',
			field: `limit of directory ${context.inode}`,
			offset: offset + entries,
			actual: limit,
		};
		context.report(new EngineError('ERR_CORRUPT', `ext4: ${details.field} is ${limit}`, details).toJSON());
		return;
	}
	let sum = crc32c(context.seed, bytes, from, entries + count * 8);
	sum = crc32cZeros(crc32c(sum, bytes, treeTail, treeTail + 4), 4);
	const stored = le32(bytes, treeTail + 4);
	if (sum !== stored) context.report(mismatch(field, offset + treeTail + 4, sum, stored));
}

/** Where the entries of a hash tree block begin (`limit`, `count`, then pairs); `undefined` when it is none. */
function treeEntries(bytes: Buffer, from: number, blockSize: number): number | undefined {
	const first = recordLength(bytes, from, blockSize);
	if (first === blockSize) return from + 8; // dx_node: one unused entry over the whole block
	const isRoot = first === 12 && recordLength(bytes, from + 12, blockSize) === blockSize - 12;
	return isRoot && le32(bytes, from + 24) === 0 && bytes[from + 29] === 8 ? from + 32 : undefined;
}

/** A length of 64 KiB does not fit 16 bits: it is written as 65,535 or 0. */
function recordLength(bytes: Buffer, at: number, blockSize: number): number {
	const length = le16(bytes, at + 4);
	return blockSize === 65536 && (length === 65535 || length === 0) ? blockSize : length;
}

function isDots(bytes: Buffer, at: number, length: number): boolean {
	return (length === 1 || length === 2) && bytes[at] === 0x2e && (length === 1 || bytes[at + 1] === 0x2e);
}

function wrong(context: DirectoryContext, field: string, offset: number, actual: number | string): EngineError {
	const details = { format: 'ext4', field: `${field} of directory ${context.inode}`, offset, actual };
	return new EngineError('ERR_CORRUPT', `ext4: ${details.field} is ${actual}`, details);
}
