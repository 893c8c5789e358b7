/** What callers ask of the files of one state, answered as records. */
import type { FileFacts, ReadResult } from '../../shared/engine-api.js';
import type { ListRecord } from '../../shared/records.js';
import { contentKind, longestLine } from '../compare/file-kind.js';
import { propertiesText } from '../compare/properties.js';
import type { MachineTree } from '../tree/file-tree.js';
import { listRecord } from '../tree/records.js';
import { walk } from '../tree/walk.js';
import { EngineError } from '../util/errors.js';
import { rawFromText, textFromRaw } from '../util/names.js';
import type { Work } from '../util/work.js';

/** What an editor is given at once. Larger files leave through restore, which streams. */
export const MAX_READ = 50 * 1024 * 1024;
/** Names looked at by a search that finds little. */
const MAX_SEARCHED = 5_000_000;

export function statPath(tree: MachineTree, path: string): ListRecord {
	return listRecord(tree, tree.stat(rawFromText(path)));
}

/** Whether a tree has a path. What cannot be read counts as absent. */
export function hasPath(tree: MachineTree, path: string): boolean {
	try {
		tree.stat(rawFromText(path));
		return true;
	} catch (error) {
		if (EngineError.is(error)) return false;
		throw error;
	}
}

export function listPath(
	tree: MachineTree,
	path: string,
	page: { readonly offset: number; readonly limit: number },
): { entries: ListRecord[]; total: number } {
	const all = tree.list(rawFromText(path));
	// Records are made of what is asked for alone: a link's target costs a read.
	return {
		entries: all.slice(page.offset, page.offset + page.limit).map(entry => listRecord(tree, entry)),
		total: all.length,
	};
}

/** @throws EngineError `ERR_NOT_FOUND`; what is wrong with the content comes as `kind` and `error`. */
export function factsOf(tree: MachineTree, path: string): FileFacts {
	const raw = rawFromText(path);
	const entry = listRecord(tree, tree.stat(raw));
	if (entry.type !== 'file') {
		const kind = entry.type === 'directory' || entry.type === 'symlink' ? entry.type : 'device';
		return { entry, kind, longestLine: 0 };
	}
	try {
		using file = tree.openFile(raw);
		const kind = contentKind(file);
		return { entry, kind, longestLine: kind === 'text' ? longestLine(file) : 0 };
	} catch (error) {
		if (!EngineError.is(error)) throw error;
		const { code, message, details } = error;
		const kind = code === 'ERR_ENCRYPTED' ? 'encrypted' : 'unreadable';
		return { entry, kind, longestLine: 0, error: { code, message, details: { ...details } } };
	}
}

/** @throws EngineError `ERR_LIMIT` above 50 MB, before a byte is read; what opening and reading throw. */
export function readPath(
	tree: MachineTree,
	path: string,
	range?: { readonly offset: number; readonly length: number },
): ReadResult {
	using file = tree.openFile(rawFromText(path));
	const offset = Math.min(range?.offset ?? 0, file.size);
	const length = Math.min(range?.length ?? file.size, file.size - offset);
	if (offset < 0 || length < 0) throw new EngineError('ERR_USAGE', `no range of ${path} begins at ${offset}`);
	if (MAX_READ < length) {
		throw new EngineError('ERR_LIMIT', `${path} has ${length} bytes, more than the ${MAX_READ} that are read at once`, {
			path,
			actual: length,
			expected: MAX_READ,
		});
	}
	const bytes = new Uint8Array(length);
	file.read(offset, bytes);
	return { bytes, size: file.size };
}

export function propertiesOf(tree: MachineTree, path: string): string {
	const raw = rawFromText(path);
	const entry = tree.stat(raw);
	const target = entry.kind === 'symlink' ? tree.readLink(raw) : undefined;
	return propertiesText(entry, entry.inode ? tree.xattrs(raw) : [], target);
}

/**
 * Paths that contain all words of `query`, case folded: first those whose last component begins with the query, then
 * those whose last component holds it, then the rest; shorter paths first.
 */
export function findPaths(tree: MachineTree, query: string, limit: number, work: Work): ListRecord[] {
	const words = query
		.toLowerCase()
		.split(/\s+/)
		.filter(word => word !== '');
	if (words.length === 0 || limit <= 0) return [];
	const found: { path: string; rank: number; record: () => ListRecord }[] = [];
	let searched = 0;
	for (const item of walk(tree, '/', work)) {
		if (++searched > MAX_SEARCHED) break;
		if ('error' in item) continue; // A folder that cannot be listed hides its names; the tree shows why.
		const path = textFromRaw(item.entry.path);
		const folded = path.toLowerCase();
		if (!words.every(word => folded.includes(word))) continue;
		const name = folded.slice(folded.lastIndexOf('/') + 1);
		const rank = name.startsWith(words[0]!) ? 0 : words.every(word => name.includes(word)) ? 1 : 2; // OK: not empty.
		found.push({ path, rank, record: () => listRecord(tree, item.entry) });
	}
	found.sort((a, b) => a.rank - b.rank || a.path.length - b.path.length || (a.path < b.path ? -1 : 1));
	return found.slice(0, limit).map(({ record }) => record());
}
