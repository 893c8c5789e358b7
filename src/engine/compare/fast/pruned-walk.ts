/**
 * Step 7: both trees from the root, by name, leaving out what cannot hold a change. Identity is the path; the number of an
 * inode only prunes. So numbers that were used again, moves and hard links need no rule of their own.
 *
 * A pair that cannot be read ends it: the caller walks everything then, and tells what is damaged.
 */
import type { Inode } from '../../filesystem/filesystem.js';
import { joinRaw, type RawPath } from '../../util/names.js';
import type { Work } from '../../util/work.js';
import type { Changes } from '../changes.js';
import type { Ext4Sides } from '../ext4-side.js';
import { differingFields, type SameContent, type Sides } from '../inodes.js';
import { WalkedSide, type Name } from '../one-side.js';
import { onSide } from '../change.js';
import type { ChangedInodes } from './changed-inodes.js';
import { visitEntries } from './directory-entries.js';

export class PrunedWalk {
	readonly #filesystems: Sides;
	readonly #a: WalkedSide;
	readonly #b: WalkedSide;
	readonly #metA = new Map<number, number>();
	readonly #metB = new Map<number, number>();

	constructor(
		private readonly sides: Ext4Sides,
		private readonly inodes: ChangedInodes,
		/** Directories with something to find at or below them. */
		private readonly interesting: ReadonlySet<number>,
		private readonly changes: Changes,
		private readonly sameContent: SameContent,
		private readonly work: Work,
	) {
		const met = (side: 'a' | 'b', inode: number) => this.#meet(side, inode);
		this.#filesystems = { a: sides.a.filesystem, b: sides.b.filesystem };
		this.#a = new WalkedSide('a', this.#filesystems.a, met);
		this.#b = new WalkedSide('b', this.#filesystems.b, met);
	}

	/** Compare the trees below the roots. @throws UnreadableSide. */
	run(top: RawPath): void {
		const { a, b } = this.#filesystems;
		this.#compare(top, a.rootInode, b.rootInode, 0);
	}

	/** Step 8: the first inode that the walk did not meet as often as it has names; `undefined` when nothing was missed. */
	missed(): number | undefined {
		for (const [number, { a, b }] of this.inodes.expected) {
			if ((this.#metA.get(number) ?? 0) !== a || (this.#metB.get(number) ?? 0) !== b) return number;
		}
		return undefined;
	}

	#compare(path: RawPath, numberA: number, numberB: number, depth: number): void {
		if (numberA === numberB) this.#compareSame(path, numberA, depth);
		else this.#compareOther(path, numberA, numberB, depth);
	}

	/** The same number on both sides: what is known of it is known. */
	#compareSame(path: RawPath, number: number, depth: number): void {
		const { changes, inodes } = this;
		this.#meet('a', number);
		this.#meet('b', number);
		const known = inodes.changed.get(number);
		if (known) changes.compared(path, known.a, known.b, known.fields);
		if (known && known.a.kind !== known.b.kind) {
			this.#tellBelow(path, known.a, known.b, depth);
		} else if (inodes.directories.has(number)) {
			this.#compareNames(path, number, number, depth);
		} else if (this.interesting.has(number)) {
			// The names are equal: only those that lead to something are of interest.
			for (const { name, inode } of this.#namesOfInterest(number, depth)) {
				this.#compareSame(joinRaw(path, name), inode, depth + 1);
			}
		}
	}

	/** Two inodes that happen to have one path. */
	#compareOther(path: RawPath, numberA: number, numberB: number, depth: number): void {
		const { changes } = this;
		const a = this.#a.inode(numberA);
		const b = this.#b.inode(numberB);
		changes.compared(path, a, b, differingFields(this.#filesystems, a, b, this.sameContent));
		if (a.kind === 'directory' && b.kind === 'directory') this.#compareNames(path, numberA, numberB, depth);
		else this.#tellBelow(path, a, b, depth);
	}

	#tellBelow(path: RawPath, a: Inode, b: Inode, depth: number): void {
		if (a.kind === 'directory') this.#a.tellBelow(path, a, depth, this.changes, this.work);
		if (b.kind === 'directory') this.#b.tellBelow(path, b, depth, this.changes, this.work);
	}

	#compareNames(path: RawPath, numberA: number, numberB: number, depth: number): void {
		const { changes, work } = this;
		const left = this.#names(this.#a, numberA, depth);
		const right = this.#names(this.#b, numberB, depth);
		for (let i = 0, j = 0; i < left.length || j < right.length;) {
			const one = left[i];
			const other = right[j];
			if (!other || (one && one.name < other.name)) {
				this.#a.tell(joinRaw(path, one!.name), one!.inode, depth + 1, changes, work); // OK: one of the two is there.
				i++;
			} else if (!one || other.name < one.name) {
				this.#b.tell(joinRaw(path, other.name), other.inode, depth + 1, changes, work);
				j++;
			} else {
				this.#compare(joinRaw(path, one.name), one.inode, other.inode, depth + 1);
				i++;
				j++;
			}
		}
	}

	/** Of a directory that is equal on both sides, the names that lead to something. */
	#namesOfInterest(directory: number, depth: number): readonly Name[] {
		this.work.throwIfCancelled();
		this.#b.enter(directory, depth);
		const names: Name[] = [];
		onSide('b', () =>
			visitEntries(this.sides.b, directory, (inode, bytes, from, to) => {
				if (!this.interesting.has(inode) && !this.inodes.expected.has(inode)) return;
				names.push({ name: bytes.toString('latin1', from, to), inode });
			}),
		);
		return names;
	}

	#names(side: WalkedSide, number: number, depth: number): readonly Name[] {
		this.work.throwIfCancelled();
		const directory = onSide(side.side, () => side.filesystem.inode(number));
		return side.names(directory, depth);
	}

	#meet(side: 'a' | 'b', inode: number): void {
		if (!this.inodes.expected.has(inode)) return;
		const met = side === 'a' ? this.#metA : this.#metB;
		met.set(inode, (met.get(inode) ?? 0) + 1);
	}
}
