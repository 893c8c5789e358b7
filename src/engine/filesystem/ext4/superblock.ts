/**
 * The superblock of ext2, ext3 and ext4: 1024 bytes at byte 1024 of the volume, whatever the block size.
 *
 * Source: Linux, Documentation/filesystems/ext4/super.rst. Oracle in the tests: `dumpe2fs -h`.
 */
import { readBytes, type ByteSource } from '../../io/source.js';
import { crc32c } from '../../util/crc32c.js';
import { EngineError, corrupt, unsupported, type ErrorRecord } from '../../util/errors.js';
import { rawFromBytes, type RawName } from '../../util/names.js';
import { divCeil, isPowerOfTwo } from '../../util/numbers.js';
import { Struct, bytes, u16le, u32le, u8, type RecordOf } from '../../util/struct.js';
import { COMPAT, INCOMPAT, RO_COMPAT, unknownBits, unreadableFeatures } from './features.js';

export const SUPERBLOCK_OFFSET = 1024;
export const SUPERBLOCK_SIZE = 1024;
const MAGIC = 0xef53;
const MAX_LOG_BLOCK_SIZE = 6; // 64 KiB
const MIN_DESC_SIZE_64BIT = 64;
const MAX_DESC_SIZE = 1024;
const GOOD_OLD_REV = 0;
const GOOD_OLD_INODE_SIZE = 128;
const GOOD_OLD_FIRST_INO = 11;
const CHECKSUM_CRC32C = 1;
const CHECKSUM_OFFSET = 0x3fc;

/** struct ext4_super_block; names in comments are the specification's where ours differ. */
const SUPERBLOCK = new Struct('ext4 superblock', SUPERBLOCK_SIZE, {
	inodesCount: u32le(0x0),
	blocksCountLo: u32le(0x4),
	freeBlocksCountLo: u32le(0xc),
	freeInodesCount: u32le(0x10),
	firstDataBlock: u32le(0x14),
	logBlockSize: u32le(0x18),
	logClusterSize: u32le(0x1c),
	blocksPerGroup: u32le(0x20),
	clustersPerGroup: u32le(0x24),
	inodesPerGroup: u32le(0x28),
	wtime: u32le(0x30),
	magic: u16le(0x38),
	state: u16le(0x3a),
	creatorOs: u32le(0x48),
	revLevel: u32le(0x4c),
	firstIno: u32le(0x54),
	inodeSize: u16le(0x58),
	featureCompat: u32le(0x5c),
	featureIncompat: u32le(0x60),
	featureRoCompat: u32le(0x64),
	uuid: bytes(0x68, 16),
	volumeName: bytes(0x78, 16),
	lastMounted: bytes(0x88, 64),
	reservedGdtBlocks: u16le(0xce),
	journalUuid: bytes(0xd0, 16),
	journalInum: u32le(0xe0),
	journalDev: u32le(0xe4),
	lastOrphan: u32le(0xe8),
	hashSeed: bytes(0xec, 16),
	defHashVersion: u8(0xfc),
	jnlBackupType: u8(0xfd),
	descSize: u16le(0xfe),
	firstMetaBg: u32le(0x104),
	jnlBlocks: bytes(0x10c, 68),
	blocksCountHi: u32le(0x150),
	freeBlocksCountHi: u32le(0x158),
	flags: u32le(0x160),
	logGroupsPerFlex: u8(0x174),
	checksumType: u8(0x175),
	backupBgs0: u32le(0x24c), // s_backup_bgs[0]
	backupBgs1: u32le(0x250), // s_backup_bgs[1]
	checksumSeed: u32le(0x270),
	encoding: u16le(0x27c),
	orphanFileInum: u32le(0x280),
	checksum: u32le(CHECKSUM_OFFSET),
});

/** The superblock as stored, with what follows from it. Sizes are bytes, all values have passed the checks. */
export interface Superblock extends RecordOf<typeof SUPERBLOCK> {
	readonly blockSize: number;
	readonly blockCount: number;
	readonly groupCount: number;
	/** Of the allocation unit of bigalloc; else the block size. */
	readonly clusterSize: number;
	/** Of one group descriptor. */
	readonly descriptorSize: number;
	/** Of one inode on disk. */
	readonly inodeBytes: number;
	/** Of the first inode that is not reserved. */
	readonly firstInode: number;
	/** Blocks of one group's inode table. */
	readonly tableBlocks: number;
	/** The block that holds the primary superblock. */
	readonly superblockBlock: number;
	readonly hasMetadataChecksums: boolean;
	/** Start value of every metadata checksum. */
	readonly seed: number;
	readonly label: RawName;
	/** With hyphens; empty when all bytes are zero. */
	readonly uuidText: string;
}

/**
 * Read and check the primary superblock.
 *
 * @param report is told what is wrong or unknown and does not stop reading.
 * @throws EngineError `ERR_CORRUPT`, `ERR_UNSUPPORTED` (naming the features), `ERR_IO`.
 */
export function readSuperblock(volume: ByteSource, report: (problem: ErrorRecord) => void): Superblock {
	if (volume.size < SUPERBLOCK_OFFSET + SUPERBLOCK_SIZE) {
		return corrupt('ext4', 'volume size', 0, `at least ${SUPERBLOCK_OFFSET + SUPERBLOCK_SIZE}`, volume.size);
	}
	const raw = readBytes(volume, SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE);
	const record = SUPERBLOCK.decode(raw);
	if (record.magic !== MAGIC) fail('s_magic', 0x38, `0x${MAGIC.toString(16)}`, `0x${record.magic.toString(16)}`);
	const unread = unreadableFeatures(record.featureIncompat);
	if (unread.length > 0) return unsupported('ext4', 's_feature_incompat', SUPERBLOCK_OFFSET + 0x60, unread.join(', '));
	noteUnknownFeatures(record, report);

	const hasMetadataChecksums = (record.featureRoCompat & RO_COMPAT.metadata_csum) !== 0;
	if (hasMetadataChecksums) {
		if (record.checksumType !== CHECKSUM_CRC32C) {
			return unsupported('ext4', 's_checksum_type', SUPERBLOCK_OFFSET + 0x175, record.checksumType);
		}
		const sum = crc32c(0xffff_ffff, raw, 0, CHECKSUM_OFFSET);
		if (sum !== record.checksum)
			report(mismatch('s_checksum', SUPERBLOCK_OFFSET + CHECKSUM_OFFSET, sum, record.checksum));
	}
	const hasSeed = (record.featureIncompat & INCOMPAT.metadata_csum_seed) !== 0;
	return {
		...record,
		...geometry(record),
		hasMetadataChecksums,
		seed: hasSeed ? record.checksumSeed : crc32c(0xffff_ffff, record.uuid),
		label: rawFromBytes(record.volumeName).replace(/\0.*$/s, ''),
		uuidText: uuidText(record.uuid),
	};
}

/** What a wrong checksum is told as. */
export function mismatch(field: string, offset: number, expected: number, actual: number): ErrorRecord {
	const details = { format: 'ext4', field, offset, expected: hex(expected), actual: hex(actual) };
	const message = `ext4: ${field} is ${details.actual}, but the contents give ${details.expected}`;
	return new EngineError('ERR_CORRUPT', message, details).toJSON();
}

/** Lower case with hyphens; empty when all bytes are zero. */
export function uuidText(uuid: Uint8Array): string {
	const text = Buffer.from(uuid).toString('hex');
	return /^0*$/.test(text) ? '' : text.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

type Geometry = Pick<
	Superblock,
	| 'blockSize'
	| 'blockCount'
	| 'groupCount'
	| 'clusterSize'
	| 'descriptorSize'
	| 'inodeBytes'
	| 'firstInode'
	| 'tableBlocks'
	| 'superblockBlock'
>;

function geometry(record: RecordOf<typeof SUPERBLOCK>): Geometry {
	const { logBlockSize, logClusterSize, blocksPerGroup, inodesPerGroup, firstDataBlock, inodesCount } = record;
	if (MAX_LOG_BLOCK_SIZE < logBlockSize) fail('s_log_block_size', 0x18, `at most ${MAX_LOG_BLOCK_SIZE}`, logBlockSize);
	const blockSize = 1024 * 2 ** logBlockSize;

	const isBigalloc = (record.featureRoCompat & RO_COMPAT.bigalloc) !== 0;
	if (isBigalloc && !(logBlockSize <= logClusterSize && logClusterSize <= 20)) {
		fail('s_log_cluster_size', 0x1c, `${logBlockSize} to 20`, logClusterSize);
	}
	const clusterSize = isBigalloc ? 1024 * 2 ** logClusterSize : blockSize;

	const isOld = record.revLevel === GOOD_OLD_REV;
	const inodeBytes = isOld ? GOOD_OLD_INODE_SIZE : record.inodeSize;
	if (!isPowerOfTwo(inodeBytes) || inodeBytes < GOOD_OLD_INODE_SIZE || blockSize < inodeBytes) {
		fail('s_inode_size', 0x58, `a power of two from 128 to ${blockSize}`, inodeBytes);
	}
	const is64bit = (record.featureIncompat & INCOMPAT['64bit']) !== 0;
	const descriptorSize = is64bit ? record.descSize : 32;
	if (
		is64bit &&
		(!isPowerOfTwo(descriptorSize) || descriptorSize < MIN_DESC_SIZE_64BIT || MAX_DESC_SIZE < descriptorSize)
	) {
		fail('s_desc_size', 0xfe, 'a power of two from 64 to 1024', descriptorSize);
	}

	const maxPerGroup = blockSize * 8;
	const maxBlocks = maxPerGroup * (clusterSize / blockSize);
	if (!(1 <= blocksPerGroup && blocksPerGroup <= maxBlocks)) {
		fail('s_blocks_per_group', 0x20, `1 to ${maxBlocks}`, blocksPerGroup);
	}
	if (!(blockSize / inodeBytes <= inodesPerGroup && inodesPerGroup <= maxPerGroup)) {
		fail('s_inodes_per_group', 0x28, `${blockSize / inodeBytes} to ${maxPerGroup}`, inodesPerGroup);
	}
	const blockCount = record.blocksCountLo + (is64bit ? record.blocksCountHi * 2 ** 32 : 0);
	if (Number.MAX_SAFE_INTEGER < blockCount * blockSize) fail('s_blocks_count', 0x4, 'below 2^53 bytes', blockCount);
	// In blocks of 1 KiB the superblock is in block 1 and no group has block 0; bigalloc counts from 0 even then.
	const lastFirst = blockSize === 1024 ? 1 : 0;
	if (lastFirst < firstDataBlock || (blockSize === 1024 && clusterSize === 1024 && firstDataBlock === 0)) {
		fail('s_first_data_block', 0x14, lastFirst, firstDataBlock);
	}
	if (blockCount <= firstDataBlock) fail('s_blocks_count', 0x4, `more than ${firstDataBlock}`, blockCount);

	const groupCount = divCeil(blockCount - firstDataBlock, blocksPerGroup);
	if (inodesCount !== groupCount * inodesPerGroup) {
		fail('s_inodes_count', 0x0, groupCount * inodesPerGroup, inodesCount);
	}
	return {
		blockSize,
		blockCount,
		groupCount,
		clusterSize,
		descriptorSize,
		inodeBytes,
		firstInode: isOld ? GOOD_OLD_FIRST_INO : record.firstIno,
		tableBlocks: divCeil(inodesPerGroup * inodeBytes, blockSize),
		superblockBlock: blockSize === 1024 ? 1 : 0,
	};
}

function noteUnknownFeatures(record: RecordOf<typeof SUPERBLOCK>, report: (problem: ErrorRecord) => void): void {
	for (const [field, offset, table, word] of [
		['s_feature_compat', 0x5c, COMPAT, record.featureCompat],
		['s_feature_ro_compat', 0x64, RO_COMPAT, record.featureRoCompat],
	] as const) {
		const unknown = unknownBits(table, word);
		if (unknown.length === 0) continue;
		const message = `ext4: ${field} has ${unknown.join(', ')}: read without it`;
		const details = { format: 'ext4', field, offset: SUPERBLOCK_OFFSET + offset, actual: unknown.join(', ') };
		report(new EngineError('ERR_UNSUPPORTED', message, details).toJSON());
	}
}

function fail(field: string, offset: number, expected: string | number, actual: string | number): never {
	return corrupt('ext4', field, SUPERBLOCK_OFFSET + offset, expected, actual);
}

function hex(value: number): string {
	return `0x${value.toString(16).padStart(8, '0')}`;
}
