/**
 * What lies over the stored filesystem: blocks that a journal replay holds, and what fast commits changed on top.
 * Nothing is written; every read looks here first.
 */
import { checkRange } from '../../io/memory.js';
import type { ByteSource } from '../../io/source.js';
import type { RawName } from '../../util/names.js';
import type { Dirent } from '../filesystem.js';
import type { BlockRun } from './core.js';

/** A volume with some of its blocks replaced. Does not own the volume. */
export class OverlaidVolume implements ByteSource {
	constructor(
		private readonly volume: ByteSource,
		private readonly blockSize: number,
		/** By block number; each is one block long. */
		private readonly blocks: ReadonlyMap<number, Uint8Array>,
	) {}

	get size(): number {
		return this.volume.size;
	}

	read(offset: number, into: Uint8Array): void {
		checkRange(this.size, offset, into.byteLength);
		this.volume.read(offset, into);
		const { blockSize } = this;
		const end = offset + into.byteLength;
		for (let number = Math.floor(offset / blockSize); number * blockSize < end; number++) {
			const block = this.blocks.get(number);
			if (!block) continue;
			const start = Math.max(offset, number * blockSize);
			const stop = Math.min(end, (number + 1) * blockSize);
			into.set(block.subarray(start - number * blockSize, stop - number * blockSize), start - offset);
		}
	}

	[Symbol.dispose](): void {
		// The volume belongs to someone else.
	}
}

/** Names of one directory that came and went after what its blocks say. */
export interface NameChanges {
	readonly added: readonly Dirent[];
	readonly removed: ReadonlySet<RawName>;
}

/** Changes to inodes that no block holds yet. Each method is asked only for inodes that `touches` names. */
export interface InodeOverlay {
	touches(inode: number): boolean;
	/** The inode's bytes, which the caller does not change. `stored` is `undefined` when it was not in use. `undefined`: it does not exist. */
	rawInode(inode: number, stored: Uint8Array | undefined): Uint8Array | undefined;
	/** All runs of the file in order; `stored` gives those that its blocks say. */
	runs(inode: number, stored: () => Iterable<BlockRun>): Iterable<BlockRun>;
	names(directory: number): NameChanges | undefined;
}
