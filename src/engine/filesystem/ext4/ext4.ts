/**
 * ext2, ext3 and ext4, read only.
 *
 * Supported: revisions 0 and 1; blocks of 1 to 64 KiB; inodes of 128 bytes to a block; block maps and extents; sparse
 * and unwritten runs; 64bit, flex_bg, meta_bg, sparse_super(2), bigalloc; inline data; extended attributes in the
 * inode, in a block and in inodes; POSIX ACLs; metadata checksums and those of group descriptors (a mismatch is
 * reported and reading goes on); casefold (names as stored), encryption (attributes and encoded names, no content),
 * verity, projects, quota, orphan file; a journal that was not written back, replayed in memory.
 * Not supported: compression, dirdata, a filesystem that is a journal device; a journal on another device is said.
 *
 * Sources: Linux, Documentation/filesystems/ext4. Oracles in the tests: `debugfs`, `dumpe2fs`, the kernel's mount.
 */
import { readBytes, type ByteSource } from '../../io/source.js';
import { le16, le32 } from '../../util/bytes.js';
import { EngineError, corrupt, type ErrorRecord } from '../../util/errors.js';
import type { RawName } from '../../util/names.js';
import type { Dirent, Filesystem, Inode, Xattr } from '../filesystem.js';
import { BlockReader } from './blocks.js';
import { Contents } from './contents.js';
import type { BlockRun, Core } from './core.js';
import { Directories } from './directories.js';
import { extentRuns } from './extents.js';
import { filesystemType } from './features.js';
import { indirectRuns } from './indirect.js';
import { sealInode, type Ext4Inode } from './inode.js';
import { ALL_BLOCKS, Inodes } from './inodes.js';
import { FastCommitEffects, type FastCommitBase } from './journal/fast-commit-effects.js';
import type { Replay } from './journal/replay.js';
import { OverlaidVolume, type InodeOverlay } from './overlay.js';
import { needsRecovery, recover } from './recovery.js';
import { SUPERBLOCK_OFFSET, readSuperblock, type Superblock } from './superblock.js';

export type { BlockRun } from './core.js';
export type { Ext4Inode } from './inode.js';

const ROOT_INODE = 2;
const MAX_PROBLEMS = 100;

/** Where the blocks of one file are. */
export interface BlockMap {
	readonly runs: readonly BlockRun[];
	/** Blocks of the map itself: extent tree nodes, indirect blocks. */
	readonly metadata: readonly number[];
	/** The block of extended attributes; 0 when there is none. */
	readonly xattrBlock: number;
}

export class Ext4 implements Filesystem {
	readonly rootInode = ROOT_INODE;
	readonly #core: Core;
	readonly #inodes: Inodes;
	readonly #contents: Contents;
	readonly #directories: Directories;
	readonly #problems: ErrorRecord[];

	private constructor(
		private readonly volume: ByteSource,
		readonly superblock: Superblock,
		problems: ErrorRecord[],
		/** What the journal held, when there was one to replay: every read goes through its blocks. */
		readonly replay: Replay | undefined,
		overlay: InodeOverlay | undefined,
	) {
		this.#problems = problems;
		this.#core = {
			superblock,
			blocks: new BlockReader(volume, superblock.blockSize, superblock.blockCount),
			report: problem => report(problems, problem),
		};
		this.#inodes = new Inodes(this.#core, overlay);
		const contents = new Contents(this.#core, volume, this.#inodes);
		this.#contents = contents;
		this.#directories = new Directories(this.#core, volume, this.#inodes, (inode, raw) =>
			contents.inlineRest(inode, raw),
		);
	}

	/**
	 * Open the filesystem of a volume; replay its journal in memory when it was not unmounted. Does not own the volume.
	 *
	 * @throws EngineError `ERR_CORRUPT`, `ERR_UNSUPPORTED` naming the features, `ERR_IO`.
	 */
	static open(volume: ByteSource): Ext4 {
		const problems: ErrorRecord[] = [];
		const superblock = readSuperblock(volume, problem => report(problems, problem));
		checkSize(volume, superblock, problems);
		const stored = new Ext4(volume, superblock, problems, undefined, undefined);
		if (!needsRecovery(superblock)) return stored;
		try {
			return stored.#recovered();
		} catch (error) {
			if (!EngineError.is(error)) throw error;
			report(problems, error.toJSON());
			return stored;
		}
	}

	get type(): string {
		return filesystemType(this.superblock);
	}

	get label(): RawName {
		return this.superblock.label;
	}

	get uuid(): string {
		return this.superblock.uuidText;
	}

	get blockSize(): number {
		return this.superblock.blockSize;
	}

	get problems(): readonly ErrorRecord[] {
		return this.#problems;
	}

	inode(number: number): Ext4Inode {
		return this.#inodes.inode(number);
	}

	/** Entries before a damaged place and after it are given; then the damage is thrown. */
	entries(directory: Inode): Iterable<Dirent> {
		return this.#directories.entries(directory);
	}

	lookup(directory: Inode, name: RawName): number | undefined {
		return this.#directories.lookup(directory, name);
	}

	openFile(inode: Inode): ByteSource {
		return this.#contents.openFile(inode);
	}

	readLink(inode: Inode): RawName {
		return this.#contents.readLink(inode);
	}

	xattrs(inode: Inode): readonly Xattr[] {
		return this.#contents.xattrs(inode);
	}

	[Symbol.dispose](): void {
		this.#core.blocks.clear();
		this.#directories.clear();
	}

	// What the exact diff and the journal look at besides.

	get groupCount(): number {
		return this.superblock.groupCount;
	}

	get inodesPerGroup(): number {
		return this.superblock.inodesPerGroup;
	}

	/** Of one inode on disk, bytes. */
	get inodeSize(): number {
		return this.superblock.inodeBytes;
	}

	get firstDataBlock(): number {
		return this.superblock.firstDataBlock;
	}

	inodeTableBlock(group: number): number {
		return this.#inodes.groups.group(group).inodeTable;
	}

	/** bg_flags; 0 where descriptors have no checksum and flags mean nothing. */
	groupFlags(group: number): number {
		return this.#inodes.groups.group(group).flags;
	}

	/** Inodes at the end of the group's table that were never used. */
	itableUnused(group: number): number {
		return this.#inodes.groups.group(group).itableUnused;
	}

	/** Where the inode is in the volume, in bytes. */
	inodeOffset(number: number): number {
		return this.#inodes.offset(number);
	}

	/** Whether the inode is in use. @throws EngineError `ERR_CORRUPT` when there can be no such number. */
	isLive(number: number): boolean {
		return this.#inodes.isLive(number);
	}

	/**
	 * The bytes of an inode in use: **valid until the next read** of this filesystem, never to be changed.
	 *
	 * @throws EngineError `ERR_CORRUPT` when there is no such inode.
	 */
	rawInode(number: number): Uint8Array {
		return this.#inodes.raw(number);
	}

	/** Where the content of an inode is, in order; nothing for content that is kept in the inode. */
	blockRuns(inode: number | Inode): Iterable<BlockRun> {
		return this.#inodes.runs(typeof inode === 'number' ? inode : inode.number, 0, ALL_BLOCKS, new Set());
	}

	/** All blocks of an inode, with those of the map itself. */
	mapBlocks(inode: number | Inode): BlockMap {
		const number = typeof inode === 'number' ? inode : inode.number;
		const visited = new Set<number>();
		const runs = [...this.#inodes.runs(number, 0, ALL_BLOCKS, visited)];
		return { runs, metadata: [...visited], xattrBlock: this.inode(number).xattrBlock };
	}

	/** Fill `into`, one block long. */
	readBlock(number: number, into: Uint8Array): void {
		this.#core.blocks.readBlock(number, into);
	}

	#recovered(): Ext4 {
		const replay = recover({
			superblock: this.superblock,
			readBlock: (number, into) => this.readBlock(number, into),
			journalFile: number => {
				const { size, problem, kind } = this.inode(number);
				if (problem) throw EngineError.from(problem);
				if (kind !== 'file') {
					return corrupt('ext4', `i_mode of inode ${number}`, this.inodeOffset(number), 'a regular file', kind);
				}
				return { size, runs: this.blockRuns(number) };
			},
			journalBackup: () => this.#journalBackup(),
		});
		// Afresh: what was wrong before the replay may be right after it.
		const problems: ErrorRecord[] = [];
		for (const problem of replay.problems) report(problems, problem);
		const volume = new OverlaidVolume(this.volume, this.blockSize, replay.blocks);
		const superblock = readSuperblock(volume, problem => report(problems, problem));
		checkSize(volume, superblock, problems);
		const replayed = new Ext4(volume, superblock, problems, replay, undefined);
		if (!replay.fastCommit) return replayed;
		const effects = new FastCommitEffects(replay.fastCommit, replayed.#fastCommitBase());
		for (const problem of effects.problems) report(problems, problem);
		return new Ext4(volume, superblock, problems, replay, effects);
	}

	/** This filesystem, as fast commits find it. */
	#fastCommitBase(): FastCommitBase {
		const { superblock } = this;
		return {
			inodeSize: superblock.inodeBytes,
			inodeCount: superblock.inodesCount,
			blockCount: superblock.blockCount,
			tableInode: number => readBytes(this.volume, this.inodeOffset(number), superblock.inodeBytes),
			lookup: (directory, name) => this.lookup(this.inode(directory), name),
			seal: (number, raw) => sealInode(superblock, number, raw),
		};
	}

	/** s_jnl_blocks: i_block, then i_size_high and i_size. */
	#journalBackup(): { size: number; runs: Iterable<BlockRun> } | undefined {
		const { jnlBackupType, jnlBlocks, journalInum, seed } = this.superblock;
		if (jnlBackupType !== 1) return undefined;
		const size = le32(jnlBlocks, 64) + le32(jnlBlocks, 60) * 2 ** 32;
		const walk = this.#inodes.walk(journalInum, seed, 0, ALL_BLOCKS, new Set());
		const isExtents = le16(jnlBlocks, 0) === 0xf30a;
		return { size, runs: isExtents ? extentRuns(walk, jnlBlocks.subarray(0, 60)) : indirectRuns(walk, jnlBlocks) };
	}
}

/** A volume that was cut off is read as far as it goes. */
function checkSize(volume: ByteSource, { blockCount, blockSize }: Superblock, problems: ErrorRecord[]): void {
	const size = blockCount * blockSize;
	if (size <= volume.size) return;
	const details = {
		format: 'ext4',
		field: 's_blocks_count',
		offset: SUPERBLOCK_OFFSET + 4,
		expected: `at most ${volume.size} bytes`,
		actual: size,
	};
	const message = `ext4: the filesystem has ${size} bytes, but its volume only ${volume.size}`;
	report(problems, { code: 'ERR_CORRUPT', message, details });
}

function report(problems: ErrorRecord[], problem: ErrorRecord): void {
	const { message, details } = problem;
	const isKnown = problems.some(known => known.message === message && known.details.offset === details.offset);
	if (!isKnown && problems.length < MAX_PROBLEMS) problems.push(problem);
}
