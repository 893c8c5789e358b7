/** One side of a comparison of two ext4 filesystems, with what is needed beyond `Filesystem`. */
import type { Ext4, Ext4Inode } from '../filesystem/ext4/ext4.js';
import { INODE_UNINIT } from '../filesystem/ext4/groups.js';
import { OverlaidVolume } from '../filesystem/ext4/overlay.js';
import type { ByteSource } from '../io/source.js';
import { le16, le32 } from '../util/bytes.js';
import { LINKS_COUNT, MODE } from './fast/raw-inode.js';

/** s_prj_quota_inum: the one inode outside the reserved ones, but for journal and orphan file, that has no name. */
const PROJECT_QUOTA_INODE_OFFSET = 1024 + 0x26c;

export class Ext4Side {
	/** The volume as it is after the journal's replay: every read goes through it. */
	readonly volume: ByteSource;
	readonly #firstInode: number;
	readonly #journal: number;
	readonly #orphanFile: number;
	readonly #projectQuota: number;

	constructor(
		readonly side: 'a' | 'b',
		readonly filesystem: Ext4,
		source: ByteSource,
	) {
		const blocks = filesystem.replay?.blocks;
		this.volume = blocks && blocks.size > 0 ? new OverlaidVolume(source, filesystem.blockSize, blocks) : source;
		const { firstInode, journalInum, orphanFileInum } = filesystem.superblock;
		this.#firstInode = firstInode;
		this.#journal = journalInum;
		this.#orphanFile = orphanFileInum;
		const word = new Uint8Array(4);
		this.volume.read(PROJECT_QUOTA_INODE_OFFSET, word);
		this.#projectQuota = le32(word, 0);
	}

	/** Inodes at the beginning of a group's table that may be in use. Where anything is damaged, all may. */
	liveInodes(group: number): number {
		const { filesystem } = this;
		const flags = filesystem.groupFlags(group);
		if (filesystem.problems.length > 0) return filesystem.inodesPerGroup;
		return (flags & INODE_UNINIT) !== 0 ? 0 : filesystem.inodesPerGroup - filesystem.itableUnused(group);
	}

	/**
	 * The inode, if a name could lead to it; `undefined` for one that is not in use or has no name by its nature. One that
	 * looks like a file counts even where the bitmap calls it free, as in `Ext4.inode`; not behind the part of the table
	 * that is in use, where the inodes of an earlier filesystem may lie.
	 */
	inode(number: number): Ext4Inode | undefined {
		if (this.isNameless(number)) return undefined;
		const { filesystem } = this;
		if (!filesystem.isLive(number)) {
			const index = (number - 1) % filesystem.inodesPerGroup;
			if (this.liveInodes((number - 1 - index) / filesystem.inodesPerGroup) <= index) return undefined;
			const head = new Uint8Array(LINKS_COUNT + 2);
			this.volume.read(filesystem.inodeOffset(number), head);
			const isTouched = filesystem.replay?.fastCommit?.touchedInodes.has(number);
			if (isTouched || le16(head, MODE) === 0 || le16(head, LINKS_COUNT) === 0) return undefined;
		}
		return filesystem.inode(number);
	}

	/** Whether the inode belongs to the filesystem itself and has no name: journal, quota, resize inode and the like. */
	isNameless(inode: number): boolean {
		if (inode < this.#firstInode) return inode !== this.filesystem.rootInode;
		return inode === this.#journal || inode === this.#orphanFile || inode === this.#projectQuota;
	}
}

export interface Ext4Sides {
	readonly a: Ext4Side;
	readonly b: Ext4Side;
}
