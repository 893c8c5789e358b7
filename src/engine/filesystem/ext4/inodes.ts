/** The inodes of a filesystem by number: which exist, their bytes, their blocks, what an overlay says of them. */
import { le16, le32 } from '../../util/bytes.js';
import { corrupt } from '../../util/errors.js';
import type { BlockRun, Core } from './core.js';
import { extentRuns, type MapWalk } from './extents.js';
import { Groups } from './groups.js';
import { indirectRuns } from './indirect.js';
import {
	BLOCK,
	BLOCK_SIZE,
	FLAG,
	FLAGS,
	LINKS_COUNT,
	MODE,
	decodeContent,
	decodeInode,
	inodeSeed,
	type Ext4Inode,
} from './inode.js';
import type { InodeOverlay } from './overlay.js';

const TYPE_DIRECTORY = 0x4;
const TYPE_FILE = 0x8;
const TYPE_SYMLINK = 0xa;
/** Logical blocks are numbers of 32 bits. */
export const ALL_BLOCKS = 2 ** 32;

export class Inodes {
	readonly groups: Groups;
	/** Where in the bytes that `#locate` gave the inode begins. */
	#at = 0;

	constructor(
		private readonly core: Core,
		/** What fast commits changed; asked first. */
		readonly overlay: InodeOverlay | undefined,
	) {
		this.groups = new Groups(core);
	}

	inode(number: number): Ext4Inode {
		const bytes = this.#locate(number);
		const inode = decodeInode(this.core.superblock, number, bytes, this.#at, this.offset(number));
		if (inode.problem !== undefined || this.isLive(number)) return inode;
		const details = { format: 'ext4', field: `bg_inode_bitmap for inode ${number}`, offset: this.offset(number) };
		return { ...inode, problem: { code: 'ERR_CORRUPT', message: `ext4: inode ${number} is marked as free`, details } };
	}

	/** Valid until the next read of the filesystem. */
	raw(number: number): Uint8Array {
		const bytes = this.#locate(number);
		return bytes.subarray(this.#at, this.#at + this.core.superblock.inodeBytes);
	}

	/** Where the inode is in the volume, in bytes. */
	offset(number: number): number {
		const { inodesPerGroup, inodeBytes, blockSize, inodesCount } = this.core.superblock;
		if (!(1 <= number && number <= inodesCount)) corrupt('ext4', 'inode number', 0, `1 to ${inodesCount}`, number);
		const index = (number - 1) % inodesPerGroup;
		return this.groups.group((number - 1 - index) / inodesPerGroup).inodeTable * blockSize + index * inodeBytes;
	}

	isLive(number: number): boolean {
		return this.isTouched(number) ? this.#overlaid(number) !== undefined : this.#isUsed(number);
	}

	isTouched(number: number): boolean {
		return this.overlay !== undefined && this.overlay.touches(number);
	}

	/**
	 * Runs of blocks that touch `[from, to)`, in order; nothing for what is kept in the inode.
	 *
	 * @param visited gets the blocks of the map itself that were read.
	 */
	runs(number: number, from: number, to: number, visited: Set<number>): Iterable<BlockRun> {
		const bytes = this.#locate(number);
		const at = this.#at;
		const type = le16(bytes, at + MODE) >>> 12;
		const flags = le32(bytes, at + FLAGS);
		const isMapped = type === TYPE_DIRECTORY || type === TYPE_FILE || type === TYPE_SYMLINK;
		if (!isMapped || (flags & FLAG.inlineData) !== 0) return [];
		const isExtents = (flags & FLAG.extents) !== 0;
		// A short target lies where the map would be.
		if (type === TYPE_SYMLINK && !isExtents && isFastLink(this.core, bytes, at)) return [];
		const root = bytes.slice(at + BLOCK, at + BLOCK + BLOCK_SIZE);
		const walk = this.walk(number, inodeSeed(this.core.superblock, number, bytes, at), from, to, visited);
		const stored = () => (isExtents ? extentRuns(walk, root) : indirectRuns(walk, root));
		return this.isTouched(number) ? this.overlay!.runs(number, stored) : stored(); // OK: isTouched() asked it.
	}

	walk(inode: number, seed: number, from: number, to: number, visited: Set<number>): MapWalk {
		return { core: this.core, inode, seed, from, to, visited, next: 0 };
	}

	/**
	 * Bytes that hold an inode, from `#at` on. A name may lead to one that the bitmap calls free: Linux shows it when it
	 * looks like a file, and so does Strata, because a damaged bitmap must not hide files. `inode()` tells the damage.
	 */
	#locate(number: number): Uint8Array {
		if (this.isTouched(number)) {
			const raw = this.#overlaid(number);
			if (!raw) return corrupt('ext4', 'inode number', 0, 'an inode in use', number);
			this.#at = 0;
			return raw;
		}
		const bytes = this.#stored(number);
		const isFile = le16(bytes, this.#at + MODE) !== 0 && le16(bytes, this.#at + LINKS_COUNT) !== 0;
		if (!isFile && !this.#isUsed(number)) {
			corrupt('ext4', `bg_inode_bitmap for inode ${number}`, this.offset(number), 'an inode in use', 'free');
		}
		return bytes;
	}

	#stored(number: number): Uint8Array {
		const { blockSize, inodesPerGroup, tableBlocks } = this.core.superblock;
		const offset = this.offset(number);
		this.#at = offset % blockSize;
		const table = this.groups.group(Math.floor((number - 1) / inodesPerGroup)).inodeTable;
		return this.core.blocks.block((offset - this.#at) / blockSize, table + tableBlocks);
	}

	#isUsed(number: number): boolean {
		this.offset(number); // Throws for a number that cannot be.
		const used = this.groups.isUsed(number);
		if (used !== undefined) return used;
		// The bitmap is damaged: a type and a name are what an inode in use has.
		const bytes = this.#stored(number);
		return le16(bytes, this.#at + MODE) !== 0 && le16(bytes, this.#at + LINKS_COUNT) !== 0;
	}

	#overlaid(number: number): Uint8Array | undefined {
		const { inodeBytes } = this.core.superblock;
		const stored = this.#isUsed(number) ? this.#stored(number).slice(this.#at, this.#at + inodeBytes) : undefined;
		return this.overlay!.rawInode(number, stored); // OK: only asked where the overlay touches the inode.
	}
}

/** Whether a link's target is in the inode: it has no blocks but that of its attributes. */
function isFastLink(core: Core, bytes: Uint8Array, at: number): boolean {
	const { xattrBlock, allocated } = decodeContent(core.superblock, 0, bytes, at, 0);
	return allocated === (xattrBlock === 0 ? 0 : core.superblock.clusterSize);
}
