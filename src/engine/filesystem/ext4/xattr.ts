/**
 * Extended attributes: behind the fields of a large inode, in a block of their own, and with values in inodes of
 * their own (ea_inode).
 *
 *     in the inode   magic (4 bytes), entries; values count from the first entry
 *     block          header (32 bytes), entries; values count from the block's start
 *     entry          name_len u8, name_index u8, value_offs u16, value_inum u32, value_size u32, hash u32, name
 *
 * Source: Linux, Documentation/filesystems/ext4/attributes.rst, eainode.rst. Oracle in the tests: mount and getxattr,
 * `debugfs ea_list`.
 */
import { le16, le32 } from '../../util/bytes.js';
import { crc32c, crc32cWord, crc32cZeros } from '../../util/crc32c.js';
import { corrupt } from '../../util/errors.js';
import { rawFromBytes, type RawName } from '../../util/names.js';
import { alignUp } from '../../util/numbers.js';
import type { Xattr } from '../filesystem.js';
import { userspaceAcl } from './acl.js';
import type { Core } from './core.js';
import { GOOD_OLD_SIZE, extraSize, xattrBlockOf } from './inode.js';
import { mismatch, type Superblock } from './superblock.js';

const MAGIC = 0xea02_0000;
const HEADER_SIZE = 32;
const CHECKSUM = 0x10;
const ENTRY_SIZE = 16;
/** XATTR_SIZE_MAX: no Linux stores more. */
const MAX_VALUE = 65536;

const INDEX_SYSTEM = 7;
/** The rest of a file that is kept in its inode. */
const INLINE_DATA_NAME = 'data';

/** By name_index. Namespaces that Linux shows nobody (Lustre's, encryption contexts) have no prefix here and are left out. */
const PREFIXES: Readonly<Record<number, string>> = {
	1: 'user.',
	2: 'system.posix_acl_access',
	3: 'system.posix_acl_default',
	4: 'trusted.',
	6: 'security.',
	7: 'system.',
	8: 'system.richacl',
	10: 'gnu.',
};
const ACL_INDEXES: readonly number[] = [2, 3];

/** Reads an inode that holds one value. `hash` is what it says the hash of the value is. */
export type ValueReader = (
	inode: number,
	size: number,
) => { readonly value: Uint8Array; readonly hash: number | undefined };

/** Where the attributes of one inode are. */
export interface XattrPlace {
	readonly core: Core;
	readonly inode: number;
	/** The whole inode. */
	readonly raw: Uint8Array;
	/** i_file_acl, or 0. */
	readonly block: number;
	readonly readValue: ValueReader;
}

interface Entry {
	readonly index: number;
	readonly name: RawName;
	readonly valueOffset: number;
	readonly valueInode: number;
	readonly valueSize: number;
}

/** Sorted by name. @throws EngineError `ERR_CORRUPT`. */
export function readXattrs(place: XattrPlace): Xattr[] {
	const found = new Map<RawName, Uint8Array>();
	for (const [entry, area, base] of allEntries(place)) {
		const prefix = PREFIXES[entry.index];
		if (prefix === undefined || (entry.index === INDEX_SYSTEM && entry.name === INLINE_DATA_NAME)) continue;
		const name = prefix + entry.name;
		if (found.has(name)) continue; // The inode's own comes first, as in Linux.
		const value = valueOf(place, entry, area, base);
		found.set(name, ACL_INDEXES.includes(entry.index) ? userspaceAcl(value, place.inode) : value);
	}
	return [...found].map(([name, value]) => ({ name, value })).sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Whether an inode can have attributes: it has an area of them, or a block. */
export function hasXattrs(superblock: Superblock, raw: Uint8Array): boolean {
	return xattrBlockOf(superblock, raw, 0) !== 0 || areaOf(superblock, raw) !== undefined;
}

/** What follows the first 60 bytes of a file kept in its inode; empty when there is no more. */
export function inlineRest(place: XattrPlace): Uint8Array {
	const area = areaOf(place.core.superblock, place.raw);
	if (area) {
		for (const entry of entries(place, area, 0, 0)) {
			if (entry.index === INDEX_SYSTEM && entry.name === INLINE_DATA_NAME) return valueOf(place, entry, area, 0);
		}
	}
	return new Uint8Array(0);
}

function* allEntries(place: XattrPlace): Generator<readonly [Entry, Uint8Array, number]> {
	const area = areaOf(place.core.superblock, place.raw);
	if (area) for (const entry of entries(place, area, 0, 0)) yield [entry, area, 0];
	if (place.block !== 0) {
		const block = readBlock(place);
		for (const entry of entries(place, block, HEADER_SIZE, HEADER_SIZE)) yield [entry, block, 0];
	}
}

/** The entries and values in the inode, from the first entry on; `undefined` when there are none. */
function areaOf(superblock: Superblock, raw: Uint8Array): Uint8Array | undefined {
	const { inodeBytes } = superblock;
	if (inodeBytes === GOOD_OLD_SIZE) return undefined;
	const at = GOOD_OLD_SIZE + extraSize(superblock, raw, 0);
	// Where i_extra_isize was never set, what follows was never written.
	if (at === GOOD_OLD_SIZE || inodeBytes < at + 8 || le32(raw, at) !== MAGIC) return undefined;
	return raw.subarray(at + 4, inodeBytes);
}

function readBlock(place: XattrPlace): Uint8Array {
	const { blockCount, firstDataBlock, hasMetadataChecksums, seed, blockSize } = place.core.superblock;
	const { block } = place;
	if (!(firstDataBlock < block && block < blockCount)) fail(place, 'i_file_acl', `below ${blockCount}`, block);
	const bytes = place.core.blocks.block(block).slice();
	const magic = le32(bytes, 0);
	if (magic !== MAGIC) fail(place, 'h_magic', `0x${MAGIC.toString(16)}`, `0x${magic.toString(16)}`, block);
	if (le32(bytes, 8) !== 1) fail(place, 'h_blocks', 1, le32(bytes, 8), block);
	if (hasMetadataChecksums) {
		let sum = crc32cWord(crc32cWord(seed, block % 2 ** 32), Math.floor(block / 2 ** 32));
		sum = crc32cZeros(crc32c(sum, bytes, 0, CHECKSUM), 4);
		sum = crc32c(sum, bytes, CHECKSUM + 4);
		const stored = le32(bytes, CHECKSUM);
		if (sum !== stored) {
			place.core.report(mismatch(`h_checksum of inode ${place.inode}`, block * blockSize + CHECKSUM, sum, stored));
		}
	}
	return bytes;
}

/** A list of entries ends with four zero bytes, or with the area. */
function* entries(place: XattrPlace, area: Uint8Array, from: number, least: number): Generator<Entry> {
	for (let at = from; at + 4 <= area.byteLength && le32(area, at) !== 0;) {
		const nameLength = area[at]!; // OK: at < area.byteLength.
		const next = at + alignUp(ENTRY_SIZE + nameLength, 4);
		if (area.byteLength < next) fail(place, 'e_name_len', `at most ${area.byteLength - at - ENTRY_SIZE}`, nameLength);
		const entry: Entry = {
			index: area[at + 1]!, // OK: next <= area.byteLength.
			name: rawFromBytes(area.subarray(at + ENTRY_SIZE, at + ENTRY_SIZE + nameLength)),
			valueOffset: le16(area, at + 2),
			valueInode: le32(area, at + 4),
			valueSize: le32(area, at + 8),
		};
		if (MAX_VALUE < entry.valueSize) fail(place, 'e_value_size', `at most ${MAX_VALUE}`, entry.valueSize);
		if (entry.valueInode === 0 && entry.valueSize > 0) {
			if (entry.valueOffset < least || area.byteLength < entry.valueOffset + entry.valueSize) {
				fail(place, 'e_value_offs', `${least} to ${area.byteLength - entry.valueSize}`, entry.valueOffset);
			}
		}
		yield entry;
		at = next;
	}
}

function valueOf(place: XattrPlace, entry: Entry, area: Uint8Array, base: number): Uint8Array {
	if (entry.valueInode === 0) {
		return area.slice(base + entry.valueOffset, base + entry.valueOffset + entry.valueSize);
	}
	const { value, hash } = place.readValue(entry.valueInode, entry.valueSize);
	const sum = crc32c(place.core.superblock.seed, value);
	if (hash !== undefined && sum !== hash) {
		place.core.report(mismatch(`hash of the attribute in inode ${entry.valueInode}`, 0, sum, hash));
	}
	return value;
}

function fail(place: XattrPlace, field: string, expected: string | number, actual: string | number, block = 0): never {
	const offset = block * place.core.superblock.blockSize;
	return corrupt('ext4', `${field} of inode ${place.inode}`, offset, expected, actual);
}
