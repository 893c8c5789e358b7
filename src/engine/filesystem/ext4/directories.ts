/** Directories of a filesystem: their entries in order, and names looked up in them. */
import type { ByteSource } from '../../io/source.js';
import { le32 } from '../../util/bytes.js';
import { EngineError, corrupt } from '../../util/errors.js';
import { bytesFromRaw, type RawName } from '../../util/names.js';
import { divCeil } from '../../util/numbers.js';
import type { Dirent, Inode } from '../filesystem.js';
import type { Core } from './core.js';
import { decodeEntries, findEntry, verifyBlock, type DirectoryContext } from './directory.js';
import { COMPAT } from './features.js';
import { BLOCK, BLOCK_SIZE, FLAG, FLAGS, SIZE_LO, decodeContent, inodeSeed } from './inode.js';
import type { Inodes } from './inodes.js';
import { nokeyName, type NameHash } from './nokey.js';

/** Bytes of a directory read at once. */
const READ_SIZE = 65536;
/** Directories whose names are kept for the next lookup: more than a path has, and not more than memory should hold. */
const KEPT_DIRECTORIES = 64;
/** Bytes of the kept directories on disk, all together: some 500,000 names. */
const KEPT_BYTES = 24 * 1024 * 1024;

/** hash_version in the first block of a hash tree. */
const ROOT_HASH_VERSION = 28;
/** s_flags: names are hashed as unsigned characters, by the versions that follow the signed ones. */
const UNSIGNED_HASH = 0x2;
const LAST_SIGNED_HASH = 2;
const UNSIGNED_HASHES = 3;

/** `[bytes, from, to, offset]`: entries in `bytes[from, to)`; `offset` is that of `bytes` in the volume. Valid until the next. */
type Piece = readonly [bytes: Buffer, from: number, to: number, offset: number];

interface Opened {
	readonly context: DirectoryContext;
	readonly raw: Uint8Array;
	readonly size: number;
}

interface Kept {
	readonly names: ReadonlyMap<RawName, number> | undefined;
	/** Of the directory on disk; 0 without names. */
	readonly bytes: number;
}

export class Directories {
	readonly #scratch: Buffer;
	/** By directory, least recently used first; without names where one was searched once. */
	readonly #kept = new Map<number, Kept>();
	#keptBytes = 0;

	constructor(
		private readonly core: Core,
		private readonly volume: ByteSource,
		private readonly inodes: Inodes,
		/** What follows the first 60 bytes of content that is kept in an inode. */
		private readonly inlineRest: (inode: number, raw: Uint8Array) => Uint8Array,
	) {
		this.#scratch = Buffer.allocUnsafe(READ_SIZE);
	}

	/** Entries before a damaged place and after it are given; then the damage is thrown. */
	*entries(directory: Inode): Generator<Dirent> {
		const opened = this.#open(directory);
		const { number } = directory;
		const changes = this.inodes.isTouched(number) ? this.inodes.overlay?.names(number) : undefined;
		let damage: EngineError | undefined;
		for (const piece of this.#pieces(number, opened)) {
			// Decoded before any is given: the buffer is used again by whoever reads a directory meanwhile.
			const [list, problem] = this.#decode(opened.context, piece);
			damage ??= problem;
			for (const entry of list) if (!changes?.removed.has(entry.name)) yield entry;
		}
		if (changes) yield* changes.added;
		if (damage) throw damage;
	}

	/**
	 * The first name asked for in a directory is searched in its blocks; from the second on there is a map, so that
	 * neither one path in a large directory nor many are slow.
	 */
	lookup(directory: Inode, name: RawName): number | undefined {
		const { number } = directory;
		const known = this.#kept.get(number);
		if (known?.names) {
			this.#kept.delete(number);
			this.#kept.set(number, known);
			return known.names.get(name);
		}
		const opened = this.#open(directory);
		if (name === '.' || name === '..') return undefined;
		if (opened.context.shownName || this.inodes.isTouched(number) || known) {
			return this.#lookupAndKeep(directory, name, opened.size);
		}
		const wanted = bytesFromRaw(name);
		for (const piece of this.#pieces(number, opened)) {
			const found = this.#find(piece, wanted);
			if (found === undefined) continue;
			this.#keep(number, { names: undefined, bytes: 0 });
			return found;
		}
		return this.#lookupAndKeep(directory, name, opened.size);
	}

	clear(): void {
		this.#kept.clear();
		this.#keptBytes = 0;
	}

	#open(directory: Inode): Opened {
		const { number } = directory;
		const { superblock } = this.core;
		if (directory.kind !== 'directory') {
			throw new EngineError('ERR_NOT_A_DIRECTORY', `inode ${number} is a ${directory.kind}`);
		}
		const raw = this.inodes.raw(number).slice();
		const { flags, size, kind } = decodeContent(superblock, number, raw, 0, this.inodes.offset(number));
		if (kind !== 'directory') throw new EngineError('ERR_NOT_A_DIRECTORY', `inode ${number} is a ${kind}`);
		const context: DirectoryContext = {
			superblock,
			inode: number,
			seed: inodeSeed(superblock, number, raw, 0),
			shownName: (flags & FLAG.encrypted) === 0 ? undefined : this.#nokeyNames(number, flags, size),
			report: problem => this.core.report(problem),
		};
		return { context, raw, size };
	}

	/** Linux hashes the names of directories that have a hash tree, or could have one. */
	#nokeyNames(number: number, flags: number, size: number): NonNullable<DirectoryContext['shownName']> {
		const hash = this.#nameHash(number, flags, size);
		return (bytes, start, length) => nokeyName(hash, bytes, start, length);
	}

	#nameHash(number: number, flags: number, size: number): NameHash {
		const { superblock } = this.core;
		const { featureCompat, blockSize, defHashVersion, hashSeed: seed } = superblock;
		const isIndexed = (flags & FLAG.index) !== 0;
		if ((featureCompat & COMPAT.dir_index) === 0 || !(isIndexed || size === blockSize)) return { from: 'nowhere' };
		if ((flags & FLAG.casefold) !== 0) return { from: 'entry' };
		let version = defHashVersion;
		if (isIndexed) {
			for (const run of this.inodes.runs(number, 0, 1, new Set())) {
				version = this.core.blocks.block(run.physical)[ROOT_HASH_VERSION]!; // OK: blocks have 1024 bytes and more.
			}
		}
		const isUnsigned = (superblock.flags & UNSIGNED_HASH) !== 0 && version <= LAST_SIGNED_HASH;
		return { from: 'name', version: isUnsigned ? version + UNSIGNED_HASHES : version, seed };
	}

	#decode(context: DirectoryContext, [bytes, from, to, offset]: Piece): [Dirent[], EngineError | undefined] {
		const list: Dirent[] = [];
		let damage: EngineError | undefined;
		for (let at = from; at < to; at += this.core.superblock.blockSize) {
			const problem = decodeEntries(
				context,
				bytes,
				at,
				Math.min(to, at + this.core.superblock.blockSize),
				offset,
				list,
			);
			damage ??= problem;
		}
		return [list, damage];
	}

	#find([bytes, from, to]: Piece, wanted: Uint8Array): number | undefined {
		const { superblock } = this.core;
		for (let at = from; at < to; at += superblock.blockSize) {
			const found = findEntry(bytes, at, Math.min(to, at + superblock.blockSize), wanted);
			if (found !== undefined) return found;
		}
		return undefined;
	}

	#pieces(number: number, { context, raw, size }: Opened): Generator<Piece> {
		return (le32(raw, FLAGS) & FLAG.inlineData) === 0 ? this.#blocks(number, context, size) : this.#inline(number, raw);
	}

	/** Whole blocks, as many at once as are neighbours. */
	*#blocks(number: number, context: DirectoryContext, size: number): Generator<Piece> {
		const { blockSize, blockCount, hasMetadataChecksums } = this.core.superblock;
		const end = divCeil(size, blockSize);
		let left = blockCount; // A directory cannot have more blocks than there are: runs that repeat end here.
		for (const run of this.inodes.runs(number, 0, end, new Set())) {
			// Runs that are marked unwritten are read all the same, as Linux does: only a damaged directory has one.
			const last = Math.min(run.logical + run.count, end);
			for (let logical = run.logical; logical < last;) {
				const count = Math.min(last - logical, this.#scratch.byteLength / blockSize);
				left -= count;
				if (left < 0) {
					const at = this.inodes.offset(number) + SIZE_LO;
					corrupt('ext4', `i_size of inode ${number}`, at, `at most ${blockCount} blocks`, size);
				}
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

	/** Where the block map would be: the parent's number (4 bytes), then entries; more of them in an attribute. */
	*#inline(number: number, raw: Uint8Array): Generator<Piece> {
		const offset = this.inodes.offset(number);
		yield [Buffer.from(raw), BLOCK + 4, BLOCK + BLOCK_SIZE, offset];
		const rest = this.inlineRest(number, raw);
		if (rest.byteLength > 0) yield [Buffer.from(rest), 0, rest.byteLength, offset];
	}

	/** @throws EngineError when the name is not found and part of the directory is damaged: of its names nothing is known. */
	#lookupAndKeep(directory: Inode, name: RawName, size: number): number | undefined {
		const isKept = size <= KEPT_BYTES;
		const names = new Map<RawName, number>();
		try {
			for (const entry of this.entries(directory)) {
				if (entry.name === name && !isKept) return entry.inode;
				if (isKept && !names.has(entry.name)) names.set(entry.name, entry.inode);
			}
		} catch (error) {
			const found = names.get(name);
			if (found === undefined || !EngineError.is(error)) throw error;
			return found;
		}
		if (isKept) this.#keep(directory.number, { names, bytes: size });
		return names.get(name);
	}

	#keep(directory: number, kept: Kept): void {
		this.#forget(directory);
		this.#kept.set(directory, kept);
		this.#keptBytes += kept.bytes;
		for (const oldest of this.#kept.keys()) {
			if (this.#kept.size <= KEPT_DIRECTORIES && this.#keptBytes <= KEPT_BYTES) return;
			this.#forget(oldest);
		}
	}

	#forget(directory: number): void {
		this.#keptBytes -= this.#kept.get(directory)?.bytes ?? 0;
		this.#kept.delete(directory);
	}
}
