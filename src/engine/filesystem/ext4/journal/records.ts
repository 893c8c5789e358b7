/**
 * What the log's own blocks say: tags of descriptor blocks, block numbers of revoke blocks, and the checksums of
 * versions 2 and 3.
 *
 *     tag, version 3 of checksums                     tag, else
 *     0   4  t_blocknr                                0  4  t_blocknr
 *     4   4  t_flags                                  4  2  t_checksum (version 2)
 *     8   4  t_blocknr_high (64bit)                   6  2  t_flags
 *     12  4  t_checksum                               8  4  t_blocknr_high (64bit)
 *     16  16 UUID, unless SAME_UUID                   …  2  nothing (version 2), then the UUID
 */
import { crc32c } from '../../../util/crc32c.js';
import { HEADER_SIZE, REVOKE_HEADER_SIZE, TAG_LAST, TAG_SAME_UUID, TAG_UUID_SIZE } from './format.js';
import type { JournalLayout } from './layout.js';

export interface Tag {
	/** Block of the filesystem whose content follows in the log. */
	readonly block: number;
	readonly flags: number;
	/** 16 bits in version 2, 32 in version 3. */
	readonly checksum: number;
}

/** The tags of a descriptor block, in order: the n-th describes the n-th block behind it. */
export function* tagsOf(layout: JournalLayout, block: Uint8Array): Generator<Tag> {
	const view = viewOf(block);
	const { tagSize } = layout;
	const end = block.byteLength - layout.tailSize;
	for (let at = HEADER_SIZE; at + tagSize <= end;) {
		const flags = view.getUint16(at + 6);
		const high = layout.is64bit ? view.getUint32(at + 8) : 0;
		const checksum = layout.checksumVersion === 3 ? view.getUint32(at + 12) : view.getUint16(at + 4);
		yield { block: high * 2 ** 32 + view.getUint32(at), flags, checksum };
		at += tagSize + ((flags & TAG_SAME_UUID) === 0 ? TAG_UUID_SIZE : 0);
		if ((flags & TAG_LAST) !== 0) return;
	}
}

/** How many blocks follow a descriptor block. */
export function countTags(layout: JournalLayout, block: Uint8Array): number {
	let count = 0;
	for (const tag of tagsOf(layout, block)) {
		void tag;
		count++;
	}
	return count;
}

/** The block numbers of a revoke block; `undefined` when its length (`r_count`) cannot be. */
export function revokedBy(layout: JournalLayout, block: Uint8Array): number[] | undefined {
	const view = viewOf(block);
	const end = view.getUint32(12); // r_count: bytes in use, with the header.
	if (block.byteLength - layout.tailSize < end) return undefined;
	const size = layout.is64bit ? 8 : 4;
	const blocks: number[] = [];
	for (let at = REVOKE_HEADER_SIZE; at + size <= end; at += size) {
		blocks.push(size === 4 ? view.getUint32(at) : view.getUint32(at) * 2 ** 32 + view.getUint32(at + 4));
	}
	return blocks;
}

/** Whether the checksum at the end of a descriptor or revoke block is right; true where there is none. */
export function isTailValid(layout: JournalLayout, block: Uint8Array): boolean {
	if (layout.tailSize === 0) return true;
	return isChecksumValid(layout, block, block.byteLength - layout.tailSize, block.byteLength);
}

/**
 * Whether a commit block's checksum is right; true where there is none. A block of which only the header reached the
 * disk counts too, when it is right with zeros behind it: a sector is written whole, a block may not be.
 */
export function isCommitValid(layout: JournalLayout, block: Uint8Array): boolean {
	if (layout.checksumVersion < 2) return true;
	if (isChecksumValid(layout, block, 16, block.byteLength)) return true;
	const headerAlone = new Uint8Array(block.byteLength);
	headerAlone.set(block.subarray(0, 64));
	return isChecksumValid(layout, headerAlone, 16, headerAlone.byteLength);
}

/** Whether a data block in the log is what its tag says, in transaction `sequence`. */
export function isDataValid(layout: JournalLayout, tag: Tag, data: Uint8Array, sequence: number): boolean {
	if (layout.checksumVersion < 2) return true;
	const number = new Uint8Array(4);
	new DataView(number.buffer).setUint32(0, sequence);
	const crc = crc32c(crc32c(layout.checksumSeed, number), data);
	return tag.checksum === (layout.checksumVersion === 3 ? crc : crc & 0xffff);
}

/** The checksum at `at` is of the bytes up to `end`, with itself as zeros. */
function isChecksumValid(layout: JournalLayout, block: Uint8Array, at: number, end: number): boolean {
	let crc = crc32c(layout.checksumSeed, block, 0, at);
	crc = crc32c(crc, new Uint8Array(4));
	crc = crc32c(crc, block, at + 4, end);
	return crc === viewOf(block).getUint32(at);
}

export function viewOf(bytes: Uint8Array): DataView {
	return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
