/**
 * Names, numbers and records of the journal of ext3 and ext4 (jbd2), and of ext4's fast commits behind it.
 *
 * The journal is a file of blocks (inode 8). Block 0 is its superblock; a circular log follows, in which each
 * transaction is: descriptor blocks, each with the blocks it describes behind it; revoke blocks; one commit block.
 * At the journal's end may lie an area for fast commits, which is no part of the circle. Numbers are big-endian
 * (fast commits: little-endian).
 *
 *     | superblock | log: D b b b R C D b C … (circular) | fast commit area |
 *     0            s_first                               s_maxlen - s_num_fc_blks
 *
 * Sources: Documentation/filesystems/ext4/journal.rst of the Linux kernel (layout); fs/jbd2/recovery.c and
 * fs/ext4/fast_commit.c of Linux 6.x (rules of replay, which the document does not give).
 */
import { bytes, Struct, u16be, u32be, u8 } from '../../../util/struct.js';
import type { RecordOf } from '../../../util/struct.js';

export const JOURNAL_MAGIC = 0xc03b3998;

// h_blocktype
export const DESCRIPTOR_BLOCK = 1;
export const COMMIT_BLOCK = 2;
export const SUPERBLOCK_V1 = 3;
export const SUPERBLOCK_V2 = 4;
export const REVOKE_BLOCK = 5;

// s_feature_compat
export const COMPAT_CHECKSUM = 0x1;

// s_feature_incompat
export const INCOMPAT_REVOKE = 0x1;
export const INCOMPAT_64BIT = 0x2;
export const INCOMPAT_ASYNC_COMMIT = 0x4;
export const INCOMPAT_CSUM_V2 = 0x8;
export const INCOMPAT_CSUM_V3 = 0x10;
export const INCOMPAT_FAST_COMMIT = 0x20;
export const INCOMPAT_KNOWN = 0x3f;

// t_flags of a tag. DELETED (4) was never written and is not looked at.
export const TAG_ESCAPE = 1;
export const TAG_SAME_UUID = 2;
export const TAG_LAST = 8;

/** s_checksum_type, and the only value that version 2 and 3 checksums know. */
export const CHECKSUM_CRC32C = 4;
/** h_chksum_type and h_chksum_size of a version 1 checksum. */
export const COMMIT_CRC32 = 1;
export const COMMIT_CRC32_SIZE = 4;

/** Bytes of the header that every block of the log but the data blocks begins with. */
export const HEADER_SIZE = 12;
/** Bytes of the checksum at the end of descriptor and revoke blocks (versions 2 and 3). */
export const TAIL_SIZE = 4;
/** Bytes of a UUID behind a tag without SAME_UUID. */
export const TAG_UUID_SIZE = 16;
/** A revoke block's header: the common one, and r_count. */
export const REVOKE_HEADER_SIZE = 16;

/** The log keeps at least so many blocks; a fast commit area that leaves fewer does not exist. */
export const MIN_LOG_BLOCKS = 1024;
/** Blocks of the fast commit area when s_num_fc_blks is 0. */
export const DEFAULT_FAST_COMMIT_BLOCKS = 256;
/** The largest journal that mke2fs makes, in blocks. Larger ones are refused. */
export const MAX_JOURNAL_BLOCKS = 10_240_000;
/** Distinct blocks of a replay. 8 GiB in blocks of 4 KiB: no memory of a guest holds as much dirty metadata. */
export const MAX_REPLAYED_BLOCKS = 2 ** 21;
/** Block numbers in revoke records. Some 16 bytes of memory each. */
export const MAX_REVOKED_BLOCKS = 2 ** 22;
/** Bytes of fast commits. The default area has 1 MiB. */
export const MAX_FAST_COMMIT_BYTES = 64 * 2 ** 20;

/** journal_superblock_s. */
export const JOURNAL_SUPERBLOCK = new Struct('journal superblock', 1024, {
	magic: u32be(0), // h_magic
	blockType: u32be(4), // h_blocktype
	blockSize: u32be(12), // s_blocksize
	blockCount: u32be(16), // s_maxlen
	first: u32be(20), // s_first
	sequence: u32be(24), // s_sequence
	start: u32be(28), // s_start
	errno: u32be(32), // s_errno
	compat: u32be(36), // s_feature_compat
	incompat: u32be(40), // s_feature_incompat
	roCompat: u32be(44), // s_feature_ro_compat
	uuid: bytes(48, 16), // s_uuid
	checksumType: u8(80), // s_checksum_type
	fastCommitBlocks: u32be(84), // s_num_fc_blks
	checksum: u32be(252), // s_checksum
});
export type JournalSuperblock = RecordOf<typeof JOURNAL_SUPERBLOCK>;

/** commit_header. */
export const COMMIT_HEADER = new Struct('commit block', 60, {
	checksumType: u8(12), // h_chksum_type
	checksumSize: u8(13), // h_chksum_size
	padding: u16be(14),
	checksum: u32be(16), // h_chksum[0]
	commitSecHigh: u32be(48), // h_commit_sec, in two halves: only compared
	commitSecLow: u32be(52),
});

/** The name of each bit of s_feature_incompat. */
export const INCOMPAT_NAMES: Readonly<Record<number, string>> = {
	[INCOMPAT_REVOKE]: 'revoke',
	[INCOMPAT_64BIT]: '64bit',
	[INCOMPAT_ASYNC_COMMIT]: 'async_commit',
	[INCOMPAT_CSUM_V2]: 'csum_v2',
	[INCOMPAT_CSUM_V3]: 'csum_v3',
	[INCOMPAT_FAST_COMMIT]: 'fast_commit',
};
