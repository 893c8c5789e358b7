/** Every path of a tree, in order. */
import type { Filesystem } from '../filesystem/filesystem.js';
import { EngineError } from '../util/errors.js';
import { textFromRaw, type RawPath } from '../util/names.js';
import { UNWATCHED, type Work } from '../util/work.js';
import { readDirectory } from './directory.js';
import type { FileTree, MachineTree, TreeEntry } from './file-tree.js';

/** What a walk meets: a path, or a directory that cannot be listed (its entry came before). */
export type WalkItem =
	| {
			readonly entry: TreeEntry;
			/** Holds the entry's inode: reads its content, link target and attributes without looking the path up again. */
			readonly filesystem: Filesystem | undefined;
	  }
	| { readonly path: RawPath; readonly error: EngineError };

export interface WalkOptions {
	/** Levels below the start; the start alone for 0. */
	readonly depth?: number;
}

/** Deeper than any real tree; a damaged one can be a line of a million directories. */
const MAX_DEPTH = 4096;
/** Entries between two looks at the clock and the caller. */
const ENTRIES_PER_REPORT = 256;

/**
 * Walk a tree depth first, each directory before what is in it, siblings in the order of their bytes.
 *
 * Begins with the entry at `path` itself. Follows no symbolic link. Volumes that Strata cannot read are met, and not
 * entered. Damage comes as an item, and the walk goes on. A directory that is met a second time (a loop, or a second
 * link: no sound filesystem has one) is met and not entered.
 *
 * @throws EngineError `ERR_NOT_FOUND` and others of `stat(path)`; `ERR_CANCELLED`.
 */
export function* walk(
	tree: FileTree | MachineTree,
	path: RawPath = '/',
	work: Work = UNWATCHED,
	options: WalkOptions = {},
): Generator<WalkItem, void, undefined> {
	const maximum = Math.min(options.depth ?? MAX_DEPTH, MAX_DEPTH);
	const seen = new Map<Filesystem, Set<number>>();
	let count = 0;
	// One level of a stack: what is left of a directory. A loop over it costs the same at every depth, unlike `yield*`.
	const levels: { readonly entries: readonly TreeEntry[]; next: number; filesystem: Filesystem | undefined }[] = [];
	const start = tree.stat(path);
	levels.push({ entries: [start], next: 0, filesystem: filesystemAt(tree, start) });

	while (levels.length > 0) {
		const level = levels[levels.length - 1]!; // OK: not empty.
		const entry = level.entries[level.next++];
		if (!entry) {
			levels.pop();
			continue;
		}
		if (count++ % ENTRIES_PER_REPORT === 0) {
			work.throwIfCancelled();
			work.report({ step: 'Reading folders', done: count, unit: 'files' });
		}
		const isTop = entry.volume !== undefined;
		const filesystem = isTop ? filesystemAt(tree, entry) : level.filesystem;
		// Above a volume, entries come without the inode of the filesystem's root.
		const known = isTop && levels.length > 1 ? tree.stat(entry.path) : entry;
		yield { entry: known, filesystem };
		if (known.kind !== 'directory' || (known.volume && !known.volume.readable)) continue;
		if (maximum <= levels.length - 1) {
			if (maximum === MAX_DEPTH) yield { path: entry.path, error: tooDeep(entry.path) };
			continue;
		}
		if (known.inode && filesystem) {
			const numbers = seen.get(filesystem) ?? new Set();
			seen.set(filesystem, numbers);
			if (numbers.has(known.inode.number)) {
				yield { path: entry.path, error: metTwice(filesystem, entry.path, known.inode.number) };
				continue;
			}
			numbers.add(known.inode.number);
		}
		const damage: EngineError[] = [];
		const entries = childrenOf(tree, known, filesystem, error => damage.push(error));
		for (const error of damage) yield { path: entry.path, error: error.with({ path: textFromRaw(entry.path) }) };
		levels.push({ entries, next: 0, filesystem });
	}
}

function childrenOf(
	tree: FileTree,
	directory: TreeEntry,
	filesystem: Filesystem | undefined,
	onDamage: (error: EngineError) => void,
): readonly TreeEntry[] {
	if (filesystem && directory.inode) return readDirectory(filesystem, directory.inode, directory.path, onDamage);
	try {
		return tree.list(directory.path);
	} catch (error) {
		if (!EngineError.is(error) || error.code === 'ERR_CANCELLED') throw error;
		onDamage(error);
		return [];
	}
}

/** The filesystem below an entry; `undefined` where there is none, or where opening it failed (listing tells that). */
function filesystemAt(tree: FileTree | MachineTree, entry: TreeEntry): Filesystem | undefined {
	if (!('mountOf' in tree)) return undefined;
	const mount = tree.mountOf(entry.path);
	if (!mount?.volume.readable) return undefined;
	try {
		return mount.filesystem();
	} catch (error) {
		if (!EngineError.is(error) || error.code === 'ERR_CANCELLED') throw error;
		return undefined;
	}
}

function metTwice(filesystem: Filesystem, path: RawPath, inode: number): EngineError {
	return new EngineError('ERR_CORRUPT', `${filesystem.type}: directory inode ${inode} has more than one name`, {
		format: filesystem.type,
		field: 'dirent.inode',
		actual: inode,
		path: textFromRaw(path),
	});
}

function tooDeep(path: RawPath): EngineError {
	return new EngineError('ERR_LIMIT', `directories are nested more than ${MAX_DEPTH} deep`, {
		path: textFromRaw(path),
	});
}
