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
import type { ByteSource } from '../../io/source.js';
import { le16, le32 } from '../../util/bytes.js';
import { EngineError, corrupt, type ErrorRecord } from '../../util/errors.js';
import { bytesFromRaw, rawFromBytes, type RawName } from '../../util/names.js';
import { divCeil } from '../../util/numbers.js';
import type { Dirent, Filesystem, Inode, Xattr } from '../filesystem.js';
import { BlockReader } from './blocks.js';
import type { BlockRun, Core } from './core.js';
import { decodeEntries, findEntry, verifyBlock, type DirectoryContext } from './directory.js';
import { extentRuns, type MapWalk } from './extents.js';
import { filesystemType } from './features.js';
import { FileContent } from './file.js';
import { Groups } from './groups.js';
import { indirectRuns } from './indirect.js';
import { InlineContent } from './inline.js';
import { BLOCK, BLOCK_SIZE, FLAG, GOOD_OLD_SIZE, decodeInode, inodeSeed, type Ext4Inode } from './inode.js';
import type { Replay } from './journal/replay.js';
import { nokeyName } from './nokey.js';
import { OverlaidVolume, type InodeOverlay } from './overlay.js';
import { needsRecovery, recover } from './recovery.js';
import { readSuperblock, type Superblock } from './superblock.js';
import { inlineRest, readXattrs, type XattrPlace } from './xattr.js';

export type { BlockRun } from './core.js';
export type { Ext4Inode } from './inode.js';

const ROOT_INODE = 2;
/** Bytes of a directory read at once. */
const READ_SIZE = 65536;
const MAX_PROBLEMS = 100;
/** Directories whose names are kept for the next lookup, and the largest that are. */
const KEPT_DIRECTORIES = 4;
const MAX_KEPT_DIRECTORY = 64 * 1024 * 1024;

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
	readonly #groups: Groups;
	readonly #problems: ErrorRecord[];
	readonly #scratch: Buffer;
	readonly #names = new Map<number, Map<RawName, number> | undefined>();
	/** Where in the bytes that `#locate` gave the inode begins. */
	#at = 0;

	private constructor(
		private readonly volume: ByteSource,
		readonly superblock: Superblock,
		problems: ErrorRecord[],
		/** What the journal held, when there was one to replay: every read goes through its blocks. */
		readonly replay: Replay | undefined,
		private readonly overlay: InodeOverlay | undefined,
	) {
		this.#problems = problems;
		this.#scratch = Buffer.allocUnsafe(Math.max(READ_SIZE, superblock.blockSize));
		this.#core = {
			superblock,
			blocks: new BlockReader(volume, superblock.blockSize, superblock.blockCount),
			report: problem => report(problems, problem),
		};
		this.#groups = new Groups(this.#core);
	}

	/**
	 * Open the filesystem of a volume; replay its journal in memory when it was not unmounted. Does not own the volume.
	 *
	 * @throws EngineError `ERR_CORRUPT`, `ERR_UNSUPPORTED` naming the features, `ERR_IO`.
	 */
	static open(volume: ByteSource): Ext4 {
		const problems: ErrorRecord[] = [];
		const superblock = readSuperblock(volume, problem => report(problems, problem));
		const size = superblock.blockCount * superblock.blockSize;
		if (volume.size < size) {
			const details = {
				format: 'ext4',
				field: 's_blocks_count',
				offset: 1028,
				expected: `at most ${volume.size} bytes`,
				actual: size,
			};
			const message = `ext4: the filesystem has ${size} bytes, but its volume only ${volume.size}`;
			report(problems, { code: 'ERR_CORRUPT', message, details });
		}
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
		const bytes = this.#locate(number);
		return decodeInode(this.superblock, number, bytes, this.#at, this.inodeOffset(number));
	}

	/** Entries before a damaged place and after it are given; then the damage is thrown. */
	*entries(directory: Inode): Generator<Dirent> {
		const { context, raw, size } = this.#directory(directory);
		const changes = this.#isTouched(directory.number) ? this.overlay?.names(directory.number) : undefined;
		let damage: EngineError | undefined;
		for (const [bytes, from, to, offset] of this.#directoryBlocks(directory.number, context, raw, size)) {
			// Decoded before any is given: the buffer is used again by whoever reads a directory meanwhile.
			const list: Dirent[] = [];
			for (let at = from; at < to; at += Math.min(this.blockSize, to - at)) {
				damage ??= decodeEntries(context, bytes, at, Math.min(to, at + this.blockSize), offset, list);
			}
			for (const entry of list) if (!changes?.removed.has(entry.name)) yield entry;
		}
		if (changes) yield* changes.added;
		if (damage) throw damage;
	}

	lookup(directory: Inode, name: RawName): number | undefined {
		const known = this.#names.get(directory.number);
		if (known) return known.get(name);
		const { context, raw, size } = this.#directory(directory);
		if (context.shownName || this.#isTouched(directory.number) || this.#names.has(directory.number)) {
			return this.#lookupAndKeep(directory, name, size);
		}
		const wanted = bytesFromRaw(name);
		if (name === '.' || name === '..') return undefined;
		for (const [bytes, from, to] of this.#directoryBlocks(directory.number, context, raw, size)) {
			for (let at = from; at < to; at += Math.min(this.blockSize, to - at)) {
				const found = findEntry(this.superblock, bytes, at, Math.min(to, at + this.blockSize), wanted);
				if (found !== undefined) {
					// The next name asked for in this directory comes from a map.
					this.#keep(directory.number, undefined);
					return found;
				}
			}
		}
		return this.#lookupAndKeep(directory, name, size);
	}

	openFile(inode: Inode): ByteSource {
		if (inode.kind === 'directory') {
			throw new EngineError('ERR_IS_A_DIRECTORY', `inode ${inode.number} is a directory`);
		}
		if (inode.kind !== 'file')
			throw new EngineError('ERR_USAGE', `inode ${inode.number} is a ${inode.kind}: it has no content`);
		return this.#content(inode.number);
	}

	readLink(inode: Inode): RawName {
		if (inode.kind !== 'symlink') throw new EngineError('ERR_USAGE', `inode ${inode.number} is no symbolic link`);
		const { number } = inode;
		const raw = this.rawInode(number).slice();
		const { size, xattrBlock, allocated, flags } = decodeInode(
			this.superblock,
			number,
			raw,
			0,
			this.inodeOffset(number),
		);
		if (this.blockSize < size)
			return corrupt(
				'ext4',
				`i_size of inode ${number}`,
				this.inodeOffset(number) + 4,
				`at most ${this.blockSize}`,
				size,
			);
		const ownBlocks = allocated - (xattrBlock === 0 ? 0 : this.superblock.clusterSize);
		const isFast = ownBlocks === 0 && (flags & (FLAG.inlineData | FLAG.encrypted)) === 0;
		if (isFast) {
			if (BLOCK_SIZE <= size)
				corrupt('ext4', `i_size of inode ${number}`, this.inodeOffset(number) + 4, `below ${BLOCK_SIZE}`, size);
			return rawFromBytes(raw.subarray(BLOCK, BLOCK + size));
		}
		const target = new Uint8Array(size);
		this.#content(number).read(0, target);
		return rawFromBytes(target);
	}

	xattrs(inode: Inode): readonly Xattr[] {
		return readXattrs(this.#xattrPlace(inode.number, this.rawInode(inode.number).slice()));
	}

	[Symbol.dispose](): void {
		this.#core.blocks.clear();
		this.#names.clear();
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
		return this.#groups.group(group).inodeTable;
	}

	/** bg_flags; 0 where descriptors have no checksum and flags mean nothing. */
	groupFlags(group: number): number {
		return this.#groups.group(group).flags;
	}

	/** Inodes at the end of the group's table that were never used. */
	itableUnused(group: number): number {
		return this.#groups.group(group).itableUnused;
	}

	/** Where the inode is in the volume, in bytes. */
	inodeOffset(number: number): number {
		const { inodesPerGroup, inodeBytes, blockSize, inodesCount } = this.superblock;
		if (!(1 <= number && number <= inodesCount)) corrupt('ext4', 'inode number', 0, `1 to ${inodesCount}`, number);
		const index = (number - 1) % inodesPerGroup;
		return this.#groups.group((number - 1 - index) / inodesPerGroup).inodeTable * blockSize + index * inodeBytes;
	}

	/** Whether the inode is in use. @throws EngineError `ERR_CORRUPT` when there can be no such number. */
	isLive(number: number): boolean {
		if (this.#isTouched(number)) return this.#overlaid(number) !== undefined;
		return this.#isUsed(number);
	}

	/**
	 * The bytes of an inode in use: **valid until the next read** of this filesystem, never to be changed.
	 *
	 * @throws EngineError `ERR_CORRUPT` when there is no such inode.
	 */
	rawInode(number: number): Uint8Array {
		const bytes = this.#locate(number);
		return bytes.subarray(this.#at, this.#at + this.inodeSize);
	}

	/** Where the content of an inode is, in order; nothing for content that is kept in the inode. */
	blockRuns(inode: number | Inode): Iterable<BlockRun> {
		return this.#runs(typeof inode === 'number' ? inode : inode.number, 0, 2 ** 32, new Set());
	}

	/** All blocks of an inode, with those of the map itself. */
	mapBlocks(inode: number | Inode): BlockMap {
		const number = typeof inode === 'number' ? inode : inode.number;
		const visited = new Set<number>();
		const runs = [...this.#runs(number, 0, 2 ** 32, visited)];
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
				if (kind !== 'file')
					return corrupt('ext4', `i_mode of inode ${number}`, this.inodeOffset(number), 'a regular file', kind);
				return { size, runs: this.blockRuns(number) };
			},
			journalBackup: () => this.#journalBackup(),
		});
		const problems = this.#problems;
		for (const problem of replay.problems) report(problems, problem);
		const volume = new OverlaidVolume(this.volume, this.blockSize, replay.blocks);
		const superblock = readSuperblock(volume, problem => report(problems, problem));
		return new Ext4(volume, superblock, problems, replay, undefined);
	}

	/** s_jnl_blocks: i_block, then i_size_high and i_size. */
	#journalBackup(): { size: number; runs: Iterable<BlockRun> } | undefined {
		const { jnlBackupType, jnlBlocks, journalInum } = this.superblock;
		if (jnlBackupType !== 1) return undefined;
		const size = le32(jnlBlocks, 64) + le32(jnlBlocks, 60) * 2 ** 32;
		const walk = this.#walk(journalInum, this.superblock.seed, 0, 2 ** 32, new Set());
		const isExtents = le16(jnlBlocks, 0) === 0xf30a;
		return { size, runs: isExtents ? extentRuns(walk, jnlBlocks.subarray(0, 60)) : indirectRuns(walk, jnlBlocks) };
	}

	/** Bytes that hold an inode in use, from `#at` on. */
	#locate(number: number): Uint8Array {
		if (this.#isTouched(number)) {
			const raw = this.#overlaid(number);
			if (!raw) return corrupt('ext4', 'inode number', 0, 'an inode in use', number);
			this.#at = 0;
			return raw;
		}
		if (!this.#isUsed(number))
			corrupt('ext4', `bg_inode_bitmap for inode ${number}`, this.inodeOffset(number), 'an inode in use', 'free');
		return this.#stored(number);
	}

	#stored(number: number): Uint8Array {
		const offset = this.inodeOffset(number);
		this.#at = offset % this.blockSize;
		const table = this.inodeTableBlock(Math.floor((number - 1) / this.inodesPerGroup));
		return this.#core.blocks.block((offset - this.#at) / this.blockSize, table + this.superblock.tableBlocks);
	}

	#isUsed(number: number): boolean {
		const offset = this.inodeOffset(number);
		const used = this.#groups.isUsed(number);
		if (used !== undefined) return used;
		// The bitmap is damaged: a type and a name are what an inode in use has.
		const bytes = this.#core.blocks.block(Math.floor(offset / this.blockSize));
		const at = offset % this.blockSize;
		return le16(bytes, at) !== 0 && le16(bytes, at + 0x1a) !== 0;
	}

	#isTouched(number: number): boolean {
		return this.overlay !== undefined && this.overlay.touches(number);
	}

	#overlaid(number: number): Uint8Array | undefined {
		const stored = this.#isUsed(number) ? this.#stored(number).slice(this.#at, this.#at + this.inodeSize) : undefined;
		return this.overlay!.rawInode(number, stored); // OK: only asked where the overlay touches the inode.
	}

	#runs(number: number, from: number, to: number, visited: Set<number>): Iterable<BlockRun> {
		const bytes = this.#locate(number);
		const at = this.#at;
		const type = le16(bytes, at) >>> 12;
		const flags = le32(bytes, at + 0x20);
		const isMapped = type === 0x4 || type === 0x8 || type === 0xa;
		if (!isMapped || (flags & FLAG.inlineData) !== 0) return [];
		const isExtents = (flags & FLAG.extents) !== 0;
		// A short target lies where the map would be.
		if (type === 0xa && !isExtents && le32(bytes, at + 0x1c) === 0) return [];
		const root = bytes.slice(at + BLOCK, at + BLOCK + BLOCK_SIZE);
		const walk = this.#walk(number, inodeSeed(this.superblock, number, bytes, at), from, to, visited);
		const stored = () => (isExtents ? extentRuns(walk, root) : indirectRuns(walk, root));
		return this.#isTouched(number) ? this.overlay!.runs(number, stored) : stored(); // OK: as above.
	}

	#walk(inode: number, seed: number, from: number, to: number, visited: Set<number>): MapWalk {
		return { core: this.#core, inode, seed, from, to, visited, next: 0 };
	}

	#content(number: number): ByteSource {
		const raw = this.rawInode(number).slice();
		const inode = decodeInode(this.superblock, number, raw, 0, this.inodeOffset(number));
		if ((inode.flags & FLAG.encrypted) !== 0) {
			throw new EngineError('ERR_ENCRYPTED', `inode ${number} is encrypted, and there is no key`, { format: 'ext4' });
		}
		if ((inode.flags & FLAG.inlineData) !== 0) {
			const rest = BLOCK_SIZE < inode.size ? inlineRest(this.#xattrPlace(number, raw)) : new Uint8Array(0);
			return new InlineContent(raw.subarray(BLOCK, BLOCK + BLOCK_SIZE), rest, inode.size);
		}
		return new FileContent(this.volume, this.blockSize, inode.size, (from, to) =>
			this.#runs(number, from, to, new Set()),
		);
	}

	#xattrPlace(inode: number, raw: Uint8Array): XattrPlace {
		const { xattrBlock: block, generation } = decodeInode(this.superblock, inode, raw, 0, this.inodeOffset(inode));
		const readValue: XattrPlace['readValue'] = (number, size) => {
			const holder = this.inode(number);
			if (holder.kind !== 'file' || (holder.flags & FLAG.eaInode) === 0) {
				corrupt(
					'ext4',
					`i_flags of inode ${number}`,
					this.inodeOffset(number) + 0x20,
					'an inode of attributes',
					holder.flags,
				);
			}
			if (holder.size !== size)
				corrupt('ext4', `i_size of inode ${number}`, this.inodeOffset(number) + 4, size, holder.size);
			const value = new Uint8Array(size);
			this.#content(number).read(0, value);
			// Lustre's own kind says whose it is instead of what the value's hash is.
			const isLustre = holder.mtime.sec >>> 0 === inode && holder.generation === generation;
			return { value, hash: isLustre ? undefined : holder.atime.sec >>> 0 };
		};
		return { core: this.#core, inode, raw, block, readValue };
	}

	#directory(directory: Inode): { context: DirectoryContext; raw: Uint8Array; size: number } {
		const { number } = directory;
		if (directory.kind !== 'directory') {
			throw new EngineError('ERR_NOT_A_DIRECTORY', `inode ${number} is a ${directory.kind}`);
		}
		const raw = this.rawInode(number).slice();
		const { flags, size } = decodeInode(this.superblock, number, raw, 0, this.inodeOffset(number));
		const context: DirectoryContext = {
			superblock: this.superblock,
			inode: number,
			seed: inodeSeed(this.superblock, number, raw, 0),
			shownName: (flags & FLAG.encrypted) === 0 ? undefined : nokeyName,
			report: problem => this.#core.report(problem),
		};
		return { context, raw, size };
	}

	/** Pieces of a directory, `[bytes, from, to, offset in the volume]`: whole blocks, or what the inode holds. Each is valid until the next. */
	*#directoryBlocks(
		number: number,
		context: DirectoryContext,
		raw: Uint8Array,
		size: number,
	): Generator<readonly [Buffer, number, number, number]> {
		if ((le32(raw, 0x20) & FLAG.inlineData) !== 0) {
			const offset = this.inodeOffset(number);
			// The first four bytes are the parent's number.
			yield [Buffer.from(raw), BLOCK + 4, BLOCK + BLOCK_SIZE, offset];
			const rest = GOOD_OLD_SIZE < this.inodeSize ? inlineRest(this.#xattrPlace(number, raw)) : new Uint8Array(0);
			if (rest.byteLength > 0) yield [Buffer.from(rest), 0, rest.byteLength, offset];
			return;
		}
		const { blockSize, blockCount, hasMetadataChecksums } = this.superblock;
		const end = divCeil(size, blockSize);
		let left = blockCount; // A directory cannot have more blocks than there are: runs that repeat end here.
		for (const run of this.#runs(number, 0, end, new Set())) {
			if (run.unwritten) continue;
			const last = Math.min(run.logical + run.count, end);
			for (let logical = run.logical; logical < last;) {
				const count = Math.min(last - logical, this.#scratch.byteLength / blockSize);
				left -= count;
				if (left < 0)
					corrupt('ext4', `i_size of inode ${number}`, this.inodeOffset(number) + 4, 'a directory that fits', size);
				const offset = (run.physical + logical - run.logical) * blockSize;
				const bytes = this.#scratch.subarray(0, count * blockSize);
				this.volume.read(offset, bytes);
				if (hasMetadataChecksums) {
					for (let at = 0; at < bytes.byteLength; at += blockSize) verifyBlock(context, bytes, at, offset);
				}
				yield [bytes, 0, bytes.byteLength, offset];
				logical += count;
			}
		}
	}

	#lookupAndKeep(directory: Inode, name: RawName, size: number): number | undefined {
		const names = new Map<RawName, number>();
		try {
			for (const entry of this.entries(directory)) if (!names.has(entry.name)) names.set(entry.name, entry.inode);
		} catch (error) {
			const found = names.get(name);
			if (found === undefined || !EngineError.is(error)) throw error;
			return found;
		}
		if (size <= MAX_KEPT_DIRECTORY) this.#keep(directory.number, names);
		return names.get(name);
	}

	#keep(directory: number, names: Map<RawName, number> | undefined): void {
		this.#names.delete(directory);
		if (this.#names.size >= KEPT_DIRECTORIES) this.#names.delete(this.#names.keys().next().value!); // OK: not empty.
		this.#names.set(directory, names);
	}
}

function report(problems: ErrorRecord[], problem: ErrorRecord): void {
	const isKnown = problems.some(
		known => known.message === problem.message && known.details.offset === problem.details.offset,
	);
	if (!isKnown && problems.length < MAX_PROBLEMS) problems.push(problem);
}
