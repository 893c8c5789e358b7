/**
 * What fast commits do to a filesystem, carried out in memory on copies of the inodes they name. The blocks of trees and
 * directories stay as the log's replay left them: changed ranges and names are laid over them.
 *
 * The steps are those of the kernel's recovery, with its oddities, because what Strata shows is what mounting would show:
 * a name that exists is not made again, an inode keeps its old block map until ranges change it, a created directory has
 * one link until its inode is written again.
 *
 * Where recovery by the kernel gives up although the records are sound (an inode that was removed while open and synced
 * has no links: Linux 6.18 then refuses to mount), this goes on: the file has no name, so nothing of it shows.
 *
 * Left out: times that recovery sets to the moment of mounting (of a directory whose inode is not among the records),
 * and where recovery would put new blocks of directories and trees.
 *
 * Source: ext4_fc_replay_inode, _create, _link, _unlink, _add_range, _del_range in fs/ext4/fast_commit.c of Linux 6.x.
 */
import { le16, le32 } from '../../../util/bytes.js';
import { EngineError } from '../../../util/errors.js';
import type { ErrorRecord } from '../../../util/errors.js';
import type { RawName } from '../../../util/names.js';
import type { Dirent } from '../../filesystem.js';
import type { BlockRun } from '../core.js';
import type { InodeOverlay, NameChanges } from '../overlay.js';
import type { FastCommitOperation, FastCommitOverlay } from './fast-commit.js';
import { lastChanges, layRanges } from './ranges.js';
import type { ChangedPart, RangeChange } from './ranges.js';

// struct ext4_inode
const MODE = 0x0;
const LINKS_COUNT = 0x1a;
const FLAGS = 0x20;
const BLOCK = 0x28;
const BLOCK_END = 0x64;
const FILE_ACL = 0x68;
const FILE_ACL_HIGH = 0x76;

const FLAG_EXTENTS = 0x8_0000;
const FLAG_INLINE_DATA = 0x1000_0000;
const TYPE_DIRECTORY = 0x4;
/** Header of an extent tree without extents: magic, no entries, room for four, depth 0. */
const EMPTY_TREE = [0x0a, 0xf3, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0];

/** The filesystem after the log was replayed, before the fast commits. */
export interface FastCommitBase {
	readonly inodeSize: number;
	readonly inodeCount: number;
	readonly blockCount: number;
	/** A copy of an inode's bytes as they stand in the table, in use or not. */
	tableInode(inode: number): Uint8Array;
	/** The inode that a directory's blocks have under a name. @throws EngineError when they cannot be read. */
	lookup(directory: number, name: RawName): number | undefined;
	/** Make the checksum in an inode's bytes right. */
	seal(inode: number, raw: Uint8Array): void;
}

interface InodeState {
	readonly raw: Uint8Array;
	/** Changes of ranges since the block map in `raw` was made. */
	changes: RangeChange[];
	/** Of `changes`; made when it is asked for. */
	parts: readonly ChangedPart[] | undefined;
	/** Some record made it, wrote it or removed it; without one, only its names and links were looked at. */
	isWritten: boolean;
}

/** Answers for the inodes and directories that fast commits touched. */
export class FastCommitEffects implements InodeOverlay {
	readonly problems: ErrorRecord[] = [];
	readonly #inodes = new Map<number, InodeState>();
	/** Directory → name → inode, or `undefined` where the name is gone. Names that are not here are as in the blocks. */
	readonly #names = new Map<number, Map<RawName, number | undefined>>();
	/** Directories that were made here: no name of their blocks counts. */
	readonly #created = new Set<number>();

	constructor(
		overlay: FastCommitOverlay,
		private readonly base: FastCommitBase,
	) {
		for (const operation of overlay.operations) if (!this.#apply(operation)) break;
		for (const [number, state] of this.#inodes) base.seal(number, state.raw);
	}

	touches(inode: number): boolean {
		return this.#inodes.has(inode);
	}

	rawInode(inode: number, stored: Uint8Array | undefined): Uint8Array | undefined {
		const state = this.#inodes.get(inode);
		if (!state?.isWritten) return stored;
		return le16(state.raw, LINKS_COUNT) === 0 ? undefined : state.raw;
	}

	runs(inode: number, stored: () => Iterable<BlockRun>): Iterable<BlockRun> {
		const state = this.#inodes.get(inode);
		if (!state || state.changes.length === 0) return stored();
		state.parts ??= lastChanges(state.changes);
		return layRanges(stored(), state.parts);
	}

	names(directory: number): NameChanges | undefined {
		const names = this.#names.get(directory);
		if (!names) return undefined;
		const added: Dirent[] = [];
		for (const [name, inode] of names) if (inode !== undefined) added.push({ name, inode, kind: undefined });
		// Names that were added are also taken out of the blocks: a directory in its inode may hold them already.
		return { added, removed: new Set(names.keys()) };
	}

	/** @returns whether to go on. */
	#apply(operation: FastCommitOperation): boolean {
		if (operation.inode < 1 || this.base.inodeCount < operation.inode) return this.#impossible(operation);
		try {
			switch (operation.tag) {
				case 'inode':
					this.#write(operation.inode, operation.raw);
					return true;
				case 'addRange':
					if (this.base.blockCount < operation.physical + operation.length) return this.#impossible(operation);
					this.#change(operation.inode, operation);
					return true;
				case 'deleteRange':
					this.#change(operation.inode, { ...operation, physical: undefined, unwritten: false });
					return true;
				case 'create':
					return this.#create(operation.directory, operation.name, operation.inode) || this.#impossible(operation);
				case 'link':
					if (this.#isAlive(operation.inode)) this.#link(operation.directory, operation.name, operation.inode);
					return true;
				case 'unlink':
					this.#unlink(operation.directory, operation.name, operation.inode);
					return true;
			}
		} catch (error) {
			if (!EngineError.is(error)) throw error;
			this.problems.push(error.toJSON());
			return false;
		}
	}

	#impossible(operation: FastCommitOperation): false {
		const { tag, inode } = operation;
		const message = `ext4 journal: a fast commit cannot be carried out: ${tag} of inode ${inode}; it and what follows are not shown`;
		const details = { format: 'ext4 journal', field: 'fc_ino', actual: inode };
		this.problems.push(new EngineError('ERR_CORRUPT', message, details).toJSON());
		return false;
	}

	/** The new bytes do not come with a block map: the old one stays, unless it is no extent tree and should be one. */
	#write(inode: number, bytes: Uint8Array): void {
		const state = this.#state(inode);
		const { raw } = state;
		const end = Math.min(bytes.byteLength, raw.byteLength);
		raw.set(bytes.subarray(0, BLOCK));
		raw.set(bytes.subarray(BLOCK_END, end), BLOCK_END);
		const flags = le32(raw, FLAGS);
		if ((flags & FLAG_EXTENTS) !== 0) {
			if (le16(raw, BLOCK) !== 0xf30a) this.#clearMap(state);
		} else if ((flags & FLAG_INLINE_DATA) !== 0) {
			raw.set(bytes.subarray(BLOCK, BLOCK_END), BLOCK);
		}
		state.isWritten = true;
	}

	#change(inode: number, change: RangeChange): void {
		if (!this.#isAlive(inode)) return;
		const state = this.#state(inode);
		state.changes.push(change);
		state.isWritten = true;
	}

	#create(directory: number, name: RawName, inode: number): boolean {
		if (!this.#isAlive(inode)) return false;
		const state = this.#state(inode);
		if (typeOf(state.raw) === TYPE_DIRECTORY) {
			if (!this.#isDirectory(directory)) return true;
			// Names in the inode came with the inode: they are the same that the records give.
			if ((le32(state.raw, FLAGS) & FLAG_INLINE_DATA) === 0) this.#clearMap(state);
			this.#created.add(inode);
			this.#names.set(inode, new Map<RawName, number | undefined>());
		}
		this.#link(directory, name, inode);
		setLinks(state.raw, 1);
		state.isWritten = true;
		return true;
	}

	#link(directory: number, name: RawName, inode: number): void {
		if (!this.#isDirectory(directory) || this.#lookup(directory, name) !== undefined) return;
		this.#namesOf(directory).set(name, inode);
		const state = this.#state(inode);
		setLinks(state.raw, le16(state.raw, LINKS_COUNT) + 1);
		state.isWritten = true;
	}

	#unlink(directory: number, name: RawName, inode: number): void {
		if (!this.#isAlive(inode) || !this.#isDirectory(directory)) return;
		const found = this.#lookup(directory, name);
		if (found === undefined) return;
		// The name may stand for a newer inode by now: then only the old one's count goes down.
		if (found === inode) this.#namesOf(directory).set(name, undefined);
		const state = this.#state(inode);
		const links = le16(state.raw, LINKS_COUNT) - 1;
		setLinks(state.raw, links);
		state.isWritten = true;
		if (links > 0) return;
		// Nobody has it open while mounting: its blocks are freed at once.
		this.#clearMap(state);
		state.raw.fill(0, FILE_ACL, FILE_ACL + 4);
		state.raw.fill(0, FILE_ACL_HIGH, FILE_ACL_HIGH + 2);
	}

	#lookup(directory: number, name: RawName): number | undefined {
		const names = this.#names.get(directory);
		if (names?.has(name)) return names.get(name);
		return this.#created.has(directory) ? undefined : this.base.lookup(directory, name);
	}

	#namesOf(directory: number): Map<RawName, number | undefined> {
		this.#state(directory);
		let names = this.#names.get(directory);
		if (!names) this.#names.set(directory, (names = new Map<RawName, number | undefined>()));
		return names;
	}

	/** Whether recovery would find it: a count of links tells, not the bitmap. */
	#isAlive(inode: number): boolean {
		const { raw } = this.#state(inode);
		return le16(raw, LINKS_COUNT) !== 0 && typeOf(raw) !== 0;
	}

	#isDirectory(inode: number): boolean {
		if (inode < 1 || this.base.inodeCount < inode) return false;
		return this.#isAlive(inode) && typeOf(this.#state(inode).raw) === TYPE_DIRECTORY;
	}

	#clearMap(state: InodeState): void {
		state.raw.fill(0, BLOCK, BLOCK_END);
		if ((le32(state.raw, FLAGS) & FLAG_EXTENTS) !== 0) state.raw.set(EMPTY_TREE, BLOCK);
		state.changes = [];
		state.parts = undefined;
	}

	#state(inode: number): InodeState {
		let state = this.#inodes.get(inode);
		if (!state) {
			state = { raw: this.base.tableInode(inode), changes: [], parts: undefined, isWritten: false };
			this.#inodes.set(inode, state);
		}
		return state;
	}
}

function typeOf(raw: Uint8Array): number {
	return le16(raw, MODE) >>> 12;
}

function setLinks(raw: Uint8Array, links: number): void {
	raw[LINKS_COUNT] = links & 0xff;
	raw[LINKS_COUNT + 1] = (links >>> 8) & 0xff;
}
