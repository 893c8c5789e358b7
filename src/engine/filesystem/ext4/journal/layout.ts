/**
 * The journal's superblock, checked, and what follows from it: where the log lies and how its blocks are laid out.
 *
 * Sources: as format.ts; the checks are those of journal_load_superblock in fs/jbd2/journal.c.
 */
import { crc32c } from '../../../util/crc32c.js';
import { corrupt, EngineError, unsupported } from '../../../util/errors.js';
import {
	CHECKSUM_CRC32C,
	COMPAT_CHECKSUM,
	DEFAULT_FAST_COMMIT_BLOCKS,
	INCOMPAT_64BIT,
	INCOMPAT_ASYNC_COMMIT,
	INCOMPAT_CSUM_V2,
	INCOMPAT_CSUM_V3,
	INCOMPAT_FAST_COMMIT,
	INCOMPAT_KNOWN,
	INCOMPAT_NAMES,
	JOURNAL_MAGIC,
	JOURNAL_SUPERBLOCK,
	MAX_JOURNAL_BLOCKS,
	MIN_LOG_BLOCKS,
	SUPERBLOCK_V1,
	SUPERBLOCK_V2,
	TAIL_SIZE,
} from './format.js';
import type { JournalSuperblock } from './format.js';

export interface JournalLayout {
	/** Bytes. */
	readonly blockSize: number;
	/** Block of the journal with which the oldest transaction begins; 0 when the journal is empty (cleanly unmounted). */
	readonly start: number;
	/** Number of the oldest transaction. */
	readonly sequence: number;
	/** The log is `[first, end)`, and its end is followed by its beginning. */
	readonly first: number;
	readonly end: number;
	/** The area of fast commits is `[from, to)`; `undefined` when there is none. */
	readonly fastCommits: { readonly from: number; readonly to: number } | undefined;
	/** Block numbers have 64 bits. */
	readonly is64bit: boolean;
	readonly asyncCommit: boolean;
	/** 1: of transactions, in commit blocks. 2 and 3: of each block. 0: none. */
	readonly checksumVersion: 0 | 1 | 2 | 3;
	/** State with which each checksum of version 2 and 3 begins. */
	readonly checksumSeed: number;
	/** Bytes of a tag in a descriptor block, without a UUID. */
	readonly tagSize: number;
	/** Bytes at the end of descriptor and revoke blocks that are not tags. */
	readonly tailSize: number;
	/** Error number that the kernel recorded in the journal (`s_errno`), 0 when there is none. */
	readonly errno: number;
}

/**
 * Check block 0 of a journal and derive its layout.
 *
 * @param journalBlocks blocks that the journal's inode has.
 * @throws EngineError `ERR_CORRUPT`, `ERR_LIMIT`; `ERR_UNSUPPORTED` for incompatible features, by name.
 */
export function decodeLayout(block: Uint8Array, blockSize: number, journalBlocks: number): JournalLayout {
	const superblock = JOURNAL_SUPERBLOCK.decode(block);
	const { blockType } = superblock;
	expect('h_magic', 0, JOURNAL_MAGIC, superblock.magic);
	if (blockType !== SUPERBLOCK_V1 && blockType !== SUPERBLOCK_V2) {
		corrupt('ext4 journal', 'h_blocktype', 4, '3 or 4', blockType);
	}
	expect('s_blocksize', 12, blockSize, superblock.blockSize);

	// The features of a version 1 superblock were never written: what is there does not count.
	const incompat = blockType === SUPERBLOCK_V2 ? superblock.incompat : 0;
	const compat = blockType === SUPERBLOCK_V2 ? superblock.compat : 0;
	if ((incompat & ~INCOMPAT_KNOWN) !== 0) {
		unsupported('ext4 journal', 's_feature_incompat', 40, nameBits(incompat & ~INCOMPAT_KNOWN));
	}
	if (blockType === SUPERBLOCK_V2 && superblock.roCompat !== 0) {
		unsupported('ext4 journal', 's_feature_ro_compat', 44, nameBits(superblock.roCompat));
	}
	const checksumVersion = checksumVersionOf(compat, incompat);
	if (2 <= checksumVersion) verifyChecksum(superblock, block);

	const { blockCount, first } = superblock;
	if (MAX_JOURNAL_BLOCKS < blockCount) {
		throw new EngineError('ERR_LIMIT', `ext4 journal: s_maxlen is ${blockCount}, above ${MAX_JOURNAL_BLOCKS}`, {
			format: 'ext4 journal',
			field: 's_maxlen',
			offset: 16,
			actual: blockCount,
		});
	}
	if (journalBlocks < blockCount) corrupt('ext4 journal', 's_maxlen', 16, `at most ${journalBlocks}`, blockCount);
	if (first === 0 || blockCount <= first) corrupt('ext4 journal', 's_first', 20, `1 to ${blockCount - 1}`, first);

	const { end, fastCommits } = placeFastCommits(superblock, (incompat & INCOMPAT_FAST_COMMIT) !== 0);
	if (superblock.start !== 0 && (end <= superblock.start || superblock.start < first)) {
		corrupt('ext4 journal', 's_start', 28, `${first} to ${end - 1}`, superblock.start);
	}
	const is64bit = (incompat & INCOMPAT_64BIT) !== 0;
	return {
		blockSize,
		start: superblock.start,
		sequence: superblock.sequence,
		first,
		end,
		fastCommits,
		is64bit,
		asyncCommit: (incompat & INCOMPAT_ASYNC_COMMIT) !== 0,
		checksumVersion,
		checksumSeed: crc32c(0xffffffff, superblock.uuid),
		tagSize: tagSizeOf(checksumVersion, is64bit),
		tailSize: 2 <= checksumVersion ? TAIL_SIZE : 0,
		errno: superblock.errno,
	};
}

/** The block of the log `count` blocks behind `index`. */
export function advance(layout: JournalLayout, index: number, count: number): number {
	const length = layout.end - layout.first;
	return layout.first + ((index - layout.first + count) % length);
}

/** The area lies at the end, and takes the place of log only where enough of it is left. Block `end` itself stays unused. */
function placeFastCommits(superblock: JournalSuperblock, has: boolean): Pick<JournalLayout, 'end' | 'fastCommits'> {
	const { blockCount } = superblock;
	const length = superblock.fastCommitBlocks === 0 ? DEFAULT_FAST_COMMIT_BLOCKS : superblock.fastCommitBlocks;
	const end = blockCount - length;
	if (!has || end < MIN_LOG_BLOCKS || end <= superblock.first) return { end: blockCount, fastCommits: undefined };
	return { end, fastCommits: { from: end + 1, to: blockCount } };
}

function checksumVersionOf(compat: number, incompat: number): JournalLayout['checksumVersion'] {
	const versions: (1 | 2 | 3)[] = [];
	if ((compat & COMPAT_CHECKSUM) !== 0) versions.push(1);
	if ((incompat & INCOMPAT_CSUM_V2) !== 0) versions.push(2);
	if ((incompat & INCOMPAT_CSUM_V3) !== 0) versions.push(3);
	if (1 < versions.length) {
		corrupt('ext4 journal', 's_feature_incompat', 40, 'one version of checksums', versions.join(' and '));
	}
	return versions[0] ?? 0;
}

/** The odd sizes are what the kernel has written since checksums of version 2 were added to the structure. */
function tagSizeOf(checksumVersion: number, is64bit: boolean): number {
	if (checksumVersion === 3) return 16;
	return 8 + (checksumVersion === 2 ? 2 : 0) + (is64bit ? 4 : 0);
}

function verifyChecksum(superblock: JournalSuperblock, block: Uint8Array): void {
	expect('s_checksum_type', 80, CHECKSUM_CRC32C, superblock.checksumType);
	// Of the first 1024 bytes, with the checksum itself as zeros.
	let crc = crc32c(0xffffffff, block, 0, 252);
	crc = crc32c(crc, new Uint8Array(4));
	crc = crc32c(crc, block, 256, 1024);
	expect('s_checksum', 252, crc, superblock.checksum);
}

function expect(field: string, offset: number, expected: number, actual: number): void {
	if (expected !== actual) corrupt('ext4 journal', field, offset, expected, actual);
}

function nameBits(bits: number): string {
	const names: string[] = [];
	for (let n = 0; n < 32; n++) {
		const mask = (1 << n) >>> 0;
		if ((bits & mask) !== 0) names.push(INCOMPAT_NAMES[mask] ?? `0x${mask.toString(16)}`);
	}
	return names.join(', ');
}
