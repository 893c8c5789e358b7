/**
 * The slow way: walk both trees by name and compare every pair. It needs nothing but two `Filesystem`s, of whatever kind,
 * and is what the fast way is held against.
 *
 * A pair of files of equal size is read to the end on both sides, unless the caller's `SameContent` knows better.
 */
import type { Inode } from '../filesystem/filesystem.js';
import { joinRaw, type RawPath } from '../util/names.js';
import type { Work } from '../util/work.js';
import type { Changes } from './changes.js';
import { differingFields, type SameContent, type Sides } from './inodes.js';
import { tellUnreadable, WalkedSide, type Name } from './one-side.js';

/** Compare the trees below the two roots; `top` is the path of both. Damage is told as `E` and the walk goes on. */
export function walkDiff(sides: Sides, top: RawPath, changes: Changes, sameContent: SameContent, work: Work): void {
	new PairWalk(sides, changes, sameContent, work).compare(top, sides.a.rootInode, sides.b.rootInode, 0);
}

class PairWalk {
	readonly #a: WalkedSide;
	readonly #b: WalkedSide;
	#done = 0;

	constructor(
		private readonly sides: Sides,
		private readonly changes: Changes,
		private readonly sameContent: SameContent,
		private readonly work: Work,
	) {
		this.#a = new WalkedSide('a', sides.a);
		this.#b = new WalkedSide('b', sides.b);
	}

	/** One path that both sides have. */
	compare(path: RawPath, numberA: number, numberB: number, depth: number): void {
		const { changes, work } = this;
		if (!changes.wantsBelow(path)) return;
		work.throwIfCancelled();
		if (++this.#done % 1024 === 0) work.report({ step: 'Comparing files', done: this.#done, unit: 'files' });
		let a: Inode | undefined;
		let b: Inode | undefined;
		let namesA: readonly Name[];
		let namesB: readonly Name[];
		try {
			a = this.#a.inode(numberA);
			b = this.#b.inode(numberB);
			// The names first: a directory that cannot be listed is unreadable, and nothing else is said of it.
			const isPair = a.kind === 'directory' && b.kind === 'directory';
			namesA = isPair ? this.#a.names(a, depth) : [];
			namesB = isPair ? this.#b.names(b, depth) : [];
			if (changes.wants(path)) changes.compared(path, a, b, differingFields(this.sides, a, b, this.sameContent));
		} catch (error) {
			tellUnreadable(changes, path, error, a, b);
			return;
		}
		if (a.kind === 'directory' && b.kind === 'directory') this.#names(path, namesA, namesB, depth + 1);
		else if (a.kind === 'directory') this.#a.tellBelow(path, a, depth, changes, work);
		else if (b.kind === 'directory') this.#b.tellBelow(path, b, depth, changes, work);
	}

	/** Two lists of names in order, side by side. */
	#names(path: RawPath, a: readonly Name[], b: readonly Name[], depth: number): void {
		const { changes, work } = this;
		for (let i = 0, j = 0; i < a.length || j < b.length;) {
			const left = a[i];
			const right = b[j];
			if (!right || (left && left.name < right.name)) {
				this.#a.tell(joinRaw(path, left!.name), left!.inode, depth, changes, work); // OK: one of the two is there.
				i++;
			} else if (!left || right.name < left.name) {
				this.#b.tell(joinRaw(path, right.name), right.inode, depth, changes, work);
				j++;
			} else {
				this.compare(joinRaw(path, left.name), left.inode, right.inode, depth);
				i++;
				j++;
			}
		}
	}
}
