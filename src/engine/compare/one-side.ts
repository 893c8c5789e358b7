/** What a walk of either kind does with a name that only one side has, and how it keeps out of loops. */
import type { Filesystem, Inode } from '../filesystem/filesystem.js';
import { EngineError } from '../util/errors.js';
import { joinRaw, type RawName, type RawPath } from '../util/names.js';
import type { Work } from '../util/work.js';
import { onSide, UnreadableSide } from './change.js';
import type { Changes } from './changes.js';

/** Components of a path. Linux itself opens no path of more than 4,096 bytes. */
export const MAX_DEPTH = 2048;

/** A name in a directory and the number of its inode. */
export interface Name {
	readonly name: RawName;
	readonly inode: number;
}

/** One side of a walk: reads inodes and names, counts, and meets every directory at most once. */
export class WalkedSide {
	readonly #met = new Set<number>();

	constructor(
		readonly side: 'a' | 'b',
		readonly filesystem: Filesystem,
		/** Told of every name that was met. */
		private readonly onMet: (side: 'a' | 'b', inode: number) => void = () => undefined,
	) {}

	/** @throws UnreadableSide. */
	inode(number: number): Inode {
		this.onMet(this.side, number);
		return onSide(this.side, () => this.filesystem.inode(number));
	}

	/**
	 * The names of a directory in byte order. Of a name that occurs twice (damage), the first is the one that counts.
	 *
	 * @throws UnreadableSide also when the directory was met before: a directory has one name, so the tree is damaged, and
	 * following it could go on for ever.
	 */
	names(directory: Inode, depth: number): readonly Name[] {
		this.enter(directory.number, depth);
		return onSide(this.side, () => sortedNames(this.filesystem, directory));
	}

	/** Note that the names of a directory are read. @throws UnreadableSide as `names()` does. */
	enter(directory: number, depth: number): void {
		const { side, filesystem } = this;
		if (this.#met.has(directory)) {
			throw new UnreadableSide(
				side,
				new EngineError('ERR_CORRUPT', `directory (inode ${directory}) has a second name`, {
					format: filesystem.type,
					field: 'dirent.inode',
					actual: directory,
				}),
			);
		}
		if (depth > MAX_DEPTH) {
			throw new UnreadableSide(
				side,
				new EngineError('ERR_LIMIT', `folders are nested deeper than ${MAX_DEPTH}`, { expected: MAX_DEPTH }),
			);
		}
		this.#met.add(directory);
	}

	/** Tell the path and everything below it as added or deleted. */
	tell(path: RawPath, number: number, depth: number, changes: Changes, work: Work): void {
		if (!changes.wantsBelow(path)) return;
		work.throwIfCancelled();
		let inode: Inode;
		try {
			inode = this.inode(number);
		} catch (error) {
			tellUnreadable(changes, path, error, undefined, undefined);
			return;
		}
		if (this.side === 'a') changes.deleted(path, inode);
		else changes.added(path, inode);
		if (inode.kind === 'directory') this.tellBelow(path, inode, depth, changes, work);
	}

	/** Tell everything below a directory as added or deleted. */
	tellBelow(path: RawPath, directory: Inode, depth: number, changes: Changes, work: Work): void {
		let names: readonly Name[];
		try {
			names = this.names(directory, depth);
		} catch (error) {
			const isA = this.side === 'a';
			tellUnreadable(changes, path, error, isA ? directory : undefined, isA ? undefined : directory);
			return;
		}
		for (const { name, inode } of names) this.tell(joinRaw(path, name), inode, depth + 1, changes, work);
	}
}

/** An `E`, when `error` is about one side's bytes; any other error goes on upwards. */
export function tellUnreadable(
	changes: Changes,
	path: RawPath,
	error: unknown,
	a: Inode | undefined,
	b: Inode | undefined,
): void {
	if (!(error instanceof UnreadableSide)) throw error;
	changes.unreadable(path, error, a, b);
}

/** Names in byte order, each once. */
export function sortedNames(filesystem: Filesystem, directory: Inode): Name[] {
	const names: Name[] = [];
	for (const { name, inode } of filesystem.entries(directory)) names.push({ name, inode });
	names.sort((x, y) => (x.name < y.name ? -1 : y.name < x.name ? 1 : 0));
	// A stable sort keeps the order of storage among equal names, so the first stays.
	return names.filter((entry, i) => i === 0 || entry.name !== names[i - 1]!.name); // OK: i > 0.
}
