/** Step 4: which inodes differ in what is compared, and which directories may hold other names. */
import type { ChangeField } from '../../../shared/records.js';
import type { Ext4Inode } from '../../filesystem/ext4/ext4.js';
import { FLAG } from '../../filesystem/ext4/inode.js';
import { EngineError } from '../../util/errors.js';
import type { Work } from '../../util/work.js';
import { isWorthTelling } from '../changes.js';
import { sameDirectoryBlocks } from '../content.js';
import type { Ext4Side, Ext4Sides } from '../ext4-side.js';
import { differingFields, type SameContent, type Sides } from '../inodes.js';
import type { BlockRanges } from './block-ranges.js';

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
		const a = liveInode(sides.a, number);
		const b = liveInode(sides.b, number);
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

	/** An inode with equal bytes, and with blocks that may differ. */
	addCandidate(number: number): void {
		const { sides } = this;
		this.work.throwIfCancelled();
		const a = liveInode(sides.a, number);
		const b = liveInode(sides.b, number);
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
		const fields = differingFields(this.#sides, a, b, this.sameContent);
		const isTold = isWorthTelling(a, b, fields, this.options);
		if (isTold) this.changed.set(number, { a, b, fields });
		const isDirty = areDirectories
			? this.#touched.has(number) || !sameDirectoryBlocks(this.sides, a, b, this.mayDiffer, this.work)
			: a.kind === 'directory' || b.kind === 'directory';
		if (isDirty) this.directories.add(number);
		if (isTold || isDirty) this.expected.set(number, { a: nameCount(a), b: nameCount(b) });
	}

	/** Of equal inodes: whether their blocks are equal too. */
	#isSame(a: Ext4Inode, b: Ext4Inode): boolean {
		if (a.kind === 'directory' && !sameDirectoryBlocks(this.sides, a, b, this.mayDiffer, this.work)) return false;
		if (a.kind === 'file' && a.size > 0 && !this.sameContent(a, b)) return false;
		if (a.kind !== 'symlink' && a.xattrBlock === 0) return true;
		return differingFields(this.#sides, a, b, () => true).length === 0;
	}

	/**
	 * A value of an attribute that has an inode of its own. Whose it is is written nowhere, so when one changed in place
	 * (its number was used again, usually) everything has to be walked.
	 */
	#checkValue(a: Ext4Inode, b: Ext4Inode): void {
		if (a.size === b.size && (a.size === 0 || this.sameContent(a, b))) return;
		throw new EngineError('ERR_UNSUPPORTED', `the attribute in inode ${a.number} changed`);
	}
}

function liveInode(side: Ext4Side, number: number): Ext4Inode | undefined {
	if (side.isNameless(number) || !side.filesystem.isLive(number)) return undefined;
	return side.filesystem.inode(number);
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
