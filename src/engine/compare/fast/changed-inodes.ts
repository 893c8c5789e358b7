/** Step 4: which inodes differ in what is compared, and which directories may hold other names. */
import type { ChangeField } from '../../../shared/records.js';
import type { Ext4Inode } from '../../filesystem/ext4/ext4.js';
import { extraSize, FLAG, GOOD_OLD_SIZE } from '../../filesystem/ext4/inode.js';
import type { Inode } from '../../filesystem/filesystem.js';
import { le16, le32 } from '../../util/bytes.js';
import { EngineError } from '../../util/errors.js';
import type { Work } from '../../util/work.js';
import { isWorthTelling } from '../changes.js';
import { RunComparer, sameDirectoryBlocks } from '../content.js';
import type { Ext4Side, Ext4Sides } from '../ext4-side.js';
import { differingFields, sameXattrs, type SameContent, type Sides } from '../inodes.js';
import type { BlockRanges } from './block-ranges.js';
import { everyOwnExtent, fileSizeAt, FLAGS, hasOwnExtents, MODE, TYPE_FILE, xattrBlockAt } from './raw-inode.js';

/** An inode that both sides have, and that differs in what is compared. */
export interface ChangedInode {
	readonly a: Ext4Inode;
	readonly b: Ext4Inode;
	readonly fields: readonly ChangeField[];
}

/** How many names of an inode each side must have. */
export interface NameCount {
	readonly a: number;
	readonly b: number;
}

/** Fills itself from the numbers it is given. */
export class ChangedInodes {
	readonly changed = new Map<number, ChangedInode>();
	/** Directories, of either side, whose names may differ. */
	readonly directories = new Set<number>();
	/** Of every inode above, and of those that only one side has: what a walk must meet if nothing was missed. */
	readonly expected = new Map<number, NameCount>();
	readonly #sides: Sides;
	readonly #touched: ReadonlySet<number>;

	constructor(
		private readonly sides: Ext4Sides,
		private readonly mayDiffer: BlockRanges,
		private readonly sameContent: SameContent,
		private readonly options: { readonly directoryTimes: boolean },
		private readonly work: Work,
	) {
		this.#sides = { a: sides.a.filesystem, b: sides.b.filesystem };
		this.#touched = new Set([...touchedDirectories(sides.a), ...touchedDirectories(sides.b)]);
	}

	/** An inode whose bytes differ. */
	addDiffering(number: number): void {
		const { sides } = this;
		this.work.throwIfCancelled();
		const a = sides.a.inode(number);
		const b = sides.b.inode(number);
		if (a && b) {
			if (isValue(a) && isValue(b)) this.#checkValue(a, b);
			else this.#addPair(number, a, b);
			return;
		}
		const only = a ?? b;
		if (!only || isValue(only)) return;
		this.expected.set(number, { a: nameCount(a), b: nameCount(b) });
		if (only.kind === 'directory') this.directories.add(number);
	}

	/** An inode with equal bytes, which are at `at` in `bytes`, and with blocks that may differ. */
	addCandidate(number: number, bytes: Uint8Array, at: number): void {
		const { sides } = this;
		this.work.throwIfCancelled();
		if (this.#isSameFile(bytes, at)) return;
		const a = sides.a.inode(number);
		const b = sides.b.inode(number);
		if (!a || !b) {
			// Damage: equal inodes, and only one is in use. A walk must meet it, or everything is walked.
			this.addDiffering(number);
		} else if (isValue(b)) {
			this.#checkValue(a, b);
		} else if (!this.#isSame(a, b)) {
			this.#addPair(number, a, b);
		}
	}

	#addPair(number: number, a: Ext4Inode, b: Ext4Inode): void {
		const areDirectories = a.kind === 'directory' && b.kind === 'directory';
		const fields = differingFields(this.#sides, a, b, this.sameContent, this.#sameXattrs);
		const isTold = isWorthTelling(a, b, fields, this.options);
		if (isTold) this.changed.set(number, { a, b, fields });
		const isDirty = areDirectories
			? this.#touched.has(number) || !sameDirectoryBlocks(this.sides, a, b, this.mayDiffer, this.work)
			: a.kind === 'directory' || b.kind === 'directory';
		if (isDirty) this.directories.add(number);
		if (isTold || isDirty) this.expected.set(number, { a: nameCount(a), b: nameCount(b) });
	}

	/**
	 * Whether the inode is a usual file that holds the same on both sides; false when it takes more to know. Most candidates
	 * are: a cluster holds many blocks, and most of those of a changed cluster did not change.
	 */
	#isSameFile(bytes: Uint8Array, at: number): boolean {
		const flags = le32(bytes, at + FLAGS);
		const isUsual = (flags & (FLAG.extents | FLAG.encrypted | FLAG.eaInode | FLAG.inlineData)) === FLAG.extents;
		if (!isUsual || le16(bytes, at + MODE) >>> 12 !== TYPE_FILE || !hasOwnExtents(bytes, at)) return false;
		const xattrBlock = xattrBlockAt(bytes, at);
		if (xattrBlock !== 0 && this.mayDiffer.touches(xattrBlock, 1)) return false;
		const size = fileSizeAt(bytes, at);
		const end = Math.ceil(size / this.sides.a.filesystem.blockSize);
		const comparer = new RunComparer(this.sides, size, undefined, this.work);
		return everyOwnExtent(
			bytes,
			at,
			(logical, physical, count) =>
				end <= logical || comparer.sameInPlace(this.mayDiffer, physical, logical, Math.min(count, end - logical)),
		);
	}

	/** Of equal inodes: whether their blocks are equal too. */
	#isSame(a: Ext4Inode, b: Ext4Inode): boolean {
		if (a.kind === 'directory' && !sameDirectoryBlocks(this.sides, a, b, this.mayDiffer, this.work)) return false;
		if (a.kind === 'file' && a.size > 0 && !this.sameContent(a, b)) return false;
		if (a.kind !== 'symlink' && a.xattrBlock === 0) return true;
		return differingFields(this.#sides, a, b, () => true).length === 0;
	}

	/** Where neither has a block of attributes and what follows their fields is equal, nothing needs to be taken apart. */
	readonly #sameXattrs = (a: Inode, b: Inode): boolean => {
		const [x, y] = [this.sides.a.filesystem, this.sides.b.filesystem];
		// OK: these are inodes of these filesystems; each keeps its own bytes until its own next read.
		if ((a as Ext4Inode).xattrBlock === 0 && (b as Ext4Inode).xattrBlock === 0) {
			const left = x.rawInode(a.number);
			const right = y.rawInode(b.number);
			const start = GOOD_OLD_SIZE + extraSize(x.superblock, left, 0);
			if (start !== GOOD_OLD_SIZE + extraSize(y.superblock, right, 0)) return sameXattrs(this.#sides, a, b);
			if (Buffer.compare(left.subarray(start), right.subarray(start)) === 0) return true;
		}
		return sameXattrs(this.#sides, a, b);
	};

	/**
	 * A value of an attribute that has an inode of its own. Whose it is is written nowhere, so when one changed in place
	 * (its number was used again, usually) everything has to be walked.
	 */
	#checkValue(a: Ext4Inode, b: Ext4Inode): void {
		if (a.size === b.size && (a.size === 0 || this.sameContent(a, b))) return;
		throw new EngineError('ERR_UNSUPPORTED', `the attribute in inode ${a.number} changed`);
	}
}

/** Whether it holds a value of an attribute, and so has no name. */
function isValue(inode: Ext4Inode): boolean {
	return (inode.flags & FLAG.eaInode) !== 0;
}

/** Names that a sound filesystem has for an inode. A directory's own count is that of its folders. */
function nameCount(inode: Ext4Inode | undefined): number {
	if (!inode || isValue(inode) || inode.links === 0) return 0;
	return inode.kind === 'directory' ? 1 : inode.links;
}

function touchedDirectories(side: Ext4Side): Iterable<number> {
	return side.filesystem.replay?.fastCommit?.touchedDirectories ?? [];
}
