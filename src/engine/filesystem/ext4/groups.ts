/**
 * Block groups: their descriptors, and which of their inodes exist. Descriptors are read when a group is first
 * asked for, since a filesystem of 16 TiB has 131,072 of them.
 *
 * Source: Linux, Documentation/filesystems/ext4/group_descr.rst, blockgroup.rst (meta_bg, sparse_super), checksums.rst.
 */
import { le16, le32 } from '../../util/bytes.js';
import { crc16 } from '../../util/crc16.js';
import { crc32c, crc32cWord, crc32cZeros } from '../../util/crc32c.js';
import { EngineError, corrupt } from '../../util/errors.js';
import type { Core } from './core.js';
import { COMPAT, INCOMPAT, RO_COMPAT } from './features.js';
import { mismatch } from './superblock.js';

/** bg_flags */
export const INODE_UNINIT = 0x1;
export const BLOCK_UNINIT = 0x2;

/** Decoded groups kept: enough for 1 TiB. Their bitmaps are at most 64 KiB each, 1 to 4 KiB usually. */
const MAX_KEPT = 8192;
const MAX_BITMAP_BYTES = 16 * 1024 * 1024;

// struct ext4_group_desc
const BLOCK_BITMAP_LO = 0x0;
const INODE_BITMAP_LO = 0x4;
const INODE_TABLE_LO = 0x8;
const FLAGS = 0x12;
const ITABLE_UNUSED_LO = 0x1c;
const CHECKSUM = 0x1e;
const BLOCK_BITMAP_HI = 0x20;
const INODE_BITMAP_HI = 0x24;
const INODE_TABLE_HI = 0x28;
const ITABLE_UNUSED_HI = 0x32;
const INODE_BITMAP_CSUM_LO = 0x1a;
const INODE_BITMAP_CSUM_HI = 0x3a;
/** Descriptors of this size have the fields above 0x20. */
const HIGH_FIELDS = 64;

export interface Group {
	readonly number: number;
	readonly blockBitmap: number;
	readonly inodeBitmap: number;
	readonly inodeTable: number;
	readonly flags: number;
	/** Inodes at the end of the table that were never used; 0 where the filesystem does not keep count. */
	readonly itableUnused: number;
	readonly inodeBitmapChecksum: number;
}

export class Groups {
	readonly #groups = new Map<number, Group>();
	readonly #bitmaps = new Map<number, Uint8Array | undefined>();
	#last: Group | undefined;
	#lastBitmap: { readonly group: number; readonly bits: Uint8Array | undefined } | undefined;
	/** Descriptors carry a checksum, and so the counts of unused inodes can be believed. */
	readonly #hasChecksum: boolean;

	constructor(private readonly core: Core) {
		const { featureRoCompat } = core.superblock;
		this.#hasChecksum = (featureRoCompat & (RO_COMPAT.metadata_csum | RO_COMPAT.uninit_bg)) !== 0;
	}

	/** @throws EngineError `ERR_CORRUPT` when there is no such group or its inode table lies outside the filesystem. */
	group(number: number): Group {
		if (this.#last?.number === number) return this.#last;
		let group = this.#groups.get(number);
		if (!group) {
			group = this.#read(number);
			if (this.#groups.size >= MAX_KEPT) this.#groups.clear();
			this.#groups.set(number, group);
		}
		this.#last = group;
		return group;
	}

	/**
	 * Whether the inode is in use: below the part of the table that was never used, and set in the inode bitmap.
	 * `undefined` when the bitmap is damaged and cannot tell.
	 */
	isUsed(inode: number): boolean | undefined {
		const { inodesPerGroup } = this.core.superblock;
		const index = (inode - 1) % inodesPerGroup;
		const group = this.group((inode - 1 - index) / inodesPerGroup);
		if ((group.flags & INODE_UNINIT) !== 0 || inodesPerGroup - group.itableUnused <= index) return false;
		const bits = this.#bitmap(group);
		return bits && (bits[index >>> 3]! & (1 << (index & 7))) !== 0; // OK: the bitmap has inodesPerGroup bits.
	}

	/** A copy of the inode bitmap; `undefined` when it is damaged, which has been reported. */
	#bitmap(group: Group): Uint8Array | undefined {
		if (this.#lastBitmap?.group === group.number) return this.#lastBitmap.bits;
		let bits = this.#bitmaps.get(group.number);
		if (!bits && !this.#bitmaps.has(group.number)) {
			bits = this.#readBitmap(group);
			const size = this.core.superblock.inodesPerGroup / 8;
			if ((this.#bitmaps.size + 1) * size > MAX_BITMAP_BYTES) this.#bitmaps.clear();
			this.#bitmaps.set(group.number, bits);
		}
		this.#lastBitmap = { group: group.number, bits };
		return bits;
	}

	#readBitmap(group: Group): Uint8Array | undefined {
		const { inodesPerGroup, hasMetadataChecksums, seed, descriptorSize, blockCount, blockSize } = this.core.superblock;
		const field = `bg_inode_bitmap of group ${group.number}`;
		if (!(0 < group.inodeBitmap && group.inodeBitmap < blockCount)) {
			this.core.report(
				damage(field, this.descriptorOffset(group.number) + INODE_BITMAP_LO, `below ${blockCount}`, group.inodeBitmap),
			);
			return undefined;
		}
		const size = Math.ceil(inodesPerGroup / 8);
		const bits = this.core.blocks.block(group.inodeBitmap).slice(0, size);
		if (hasMetadataChecksums) {
			const sum = crc32c(seed, bits) & (descriptorSize < HIGH_FIELDS ? 0xffff : 0xffff_ffff);
			if (sum >>> 0 !== group.inodeBitmapChecksum) {
				const offset = group.inodeBitmap * blockSize;
				this.core.report(mismatch(`checksum of ${field}`, offset, sum >>> 0, group.inodeBitmapChecksum));
				return undefined;
			}
		}
		return bits;
	}

	#read(number: number): Group {
		const { groupCount, descriptorSize, blockSize, blockCount, tableBlocks, inodesPerGroup } = this.core.superblock;
		if (!(0 <= number && number < groupCount)) corrupt('ext4', 'group number', 0, `below ${groupCount}`, number);
		const offset = this.descriptorOffset(number);
		const at = offset % blockSize;
		const block = this.core.blocks.block((offset - at) / blockSize);
		const high = (field: number) => (descriptorSize < HIGH_FIELDS ? 0 : le32(block, at + field) * 2 ** 32);
		const high16 = (field: number) => (descriptorSize < HIGH_FIELDS ? 0 : le16(block, at + field) * 2 ** 16);
		const group: Group = {
			number,
			blockBitmap: le32(block, at + BLOCK_BITMAP_LO) + high(BLOCK_BITMAP_HI),
			inodeBitmap: le32(block, at + INODE_BITMAP_LO) + high(INODE_BITMAP_HI),
			inodeTable: le32(block, at + INODE_TABLE_LO) + high(INODE_TABLE_HI),
			flags: this.#hasChecksum ? le16(block, at + FLAGS) : 0,
			itableUnused: this.#hasChecksum
				? Math.min(inodesPerGroup, le16(block, at + ITABLE_UNUSED_LO) + high16(ITABLE_UNUSED_HI))
				: 0,
			inodeBitmapChecksum: le16(block, at + INODE_BITMAP_CSUM_LO) + high16(INODE_BITMAP_CSUM_HI),
		};
		const stored = le16(block, at + CHECKSUM);
		const sum = this.#checksum(number, block, at);
		if (sum !== undefined && sum !== stored) {
			this.core.report(mismatch(`bg_checksum of group ${number}`, offset + CHECKSUM, sum, stored));
		}
		if (!(0 < group.inodeTable && group.inodeTable + tableBlocks <= blockCount)) {
			const expected = `1 to ${blockCount - tableBlocks}`;
			corrupt('ext4', `bg_inode_table of group ${number}`, offset + INODE_TABLE_LO, expected, group.inodeTable);
		}
		return group;
	}

	#checksum(number: number, block: Uint8Array, at: number): number | undefined {
		const { hasMetadataChecksums, seed, descriptorSize, uuid } = this.core.superblock;
		const end = at + descriptorSize;
		if (hasMetadataChecksums) {
			const head = crc32c(crc32cWord(seed, number), block, at, at + CHECKSUM);
			return crc32c(crc32cZeros(head, 2), block, at + CHECKSUM + 2, end) & 0xffff;
		}
		if (!this.#hasChecksum) return undefined;
		const word = Uint8Array.of(number & 0xff, (number >>> 8) & 0xff, (number >>> 16) & 0xff, number >>> 24);
		const head = crc16(crc16(crc16(0xffff, uuid), word), block, at, at + CHECKSUM);
		return crc16(head, block, at + CHECKSUM + 2, end);
	}

	/** Where the descriptor of a group is, in bytes of the volume. */
	descriptorOffset(number: number): number {
		const { blockSize, descriptorSize, featureIncompat, firstMetaBg, superblockBlock } = this.core.superblock;
		const perBlock = blockSize / descriptorSize;
		const index = Math.floor(number / perBlock);
		const within = (number % perBlock) * descriptorSize;
		if ((featureIncompat & INCOMPAT.meta_bg) === 0 || index < firstMetaBg) {
			return (superblockBlock + 1 + index) * blockSize + within;
		}
		return this.#metaBlock(index, perBlock) * blockSize + within;
	}

	/** With meta_bg, block `index` of the descriptors is in the first of the groups that it describes. */
	#metaBlock(index: number, perBlock: number): number {
		const { blockSize, blocksPerGroup, firstDataBlock } = this.core.superblock;
		const first = index * perBlock;
		let skip = this.#hasSuperblock(first) ? 1 : 0;
		// Blocks of 1 KiB counted from 0 (bigalloc): before the superblock of group 0 lies block 0.
		if (blockSize === 1024 && index === 0 && firstDataBlock === 0) skip++;
		return firstDataBlock + first * blocksPerGroup + skip;
	}

	#hasSuperblock(group: number): boolean {
		const { featureCompat, featureRoCompat, backupBgs0, backupBgs1 } = this.core.superblock;
		if (group === 0) return true;
		if ((featureCompat & COMPAT.sparse_super2) !== 0) return group === backupBgs0 || group === backupBgs1;
		if (group === 1 || (featureRoCompat & RO_COMPAT.sparse_super) === 0) return true;
		return [3, 5, 7].some(base => isPowerOf(base, group));
	}
}

function isPowerOf(base: number, value: number): boolean {
	let power = base;
	while (power < value) power *= base;
	return power === value;
}

function damage(field: string, offset: number, expected: string, actual: number) {
	const details = { format: 'ext4', field, offset, expected, actual };
	return new EngineError('ERR_CORRUPT', `ext4: ${field} is ${actual}, expected ${expected}`, details).toJSON();
}
