/** One directory of a filesystem as entries of a tree. */
import type { Dirent, Filesystem, Inode } from '../filesystem/filesystem.js';
import { EngineError, type ErrorRecord } from '../util/errors.js';
import { joinRaw, type RawPath } from '../util/names.js';
import type { TreeEntry } from './file-tree.js';

/** Entries of one directory. ext4 counts subdirectories to 65,000 and files without a limit; a million is one nobody lists. */
const MAX_ENTRIES = 10_000_000;

/**
 * The children of `directory`, sorted by name. A child whose inode cannot be read is listed with its `problem`.
 *
 * When the directory is damaged half-way, what came before is returned, and the damage handed to `onDamage`.
 *
 * @throws EngineError as `Filesystem.entries` does, when there is no `onDamage`; `ERR_LIMIT`.
 */
export function readDirectory(
	filesystem: Filesystem,
	directory: Inode,
	path: RawPath,
	onDamage?: (error: EngineError) => void,
): TreeEntry[] {
	const entries: TreeEntry[] = [];
	try {
		for (const dirent of filesystem.entries(directory)) {
			if (entries.length >= MAX_ENTRIES) {
				throw new EngineError('ERR_LIMIT', `more than ${MAX_ENTRIES} entries in one directory`);
			}
			entries.push(toEntry(filesystem, dirent, path));
		}
	} catch (error) {
		if (!EngineError.is(error) || !onDamage) throw error;
		onDamage(error);
	}
	return entries.sort(byName);
}

function toEntry(filesystem: Filesystem, dirent: Dirent, parent: RawPath): TreeEntry {
	const { name } = dirent;
	const path = joinRaw(parent, name);
	try {
		const inode = filesystem.inode(dirent.inode);
		return { path, name, kind: inode.kind, inode, volume: undefined, problem: inode.problem };
	} catch (error) {
		if (!EngineError.is(error)) throw error;
		const problem: ErrorRecord = error.toJSON();
		return { path, name, kind: dirent.kind ?? 'file', inode: undefined, volume: undefined, problem };
	}
}

/** Raw names hold one character a byte, so comparing strings compares bytes. */
function byName(a: TreeEntry, b: TreeEntry): number {
	return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}
