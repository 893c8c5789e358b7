/**
 * Copies files out of a tree into a folder of this host, and never outside it.
 *
 * What an image holds is hostile: names are checked one at a time, links are made and never followed, devices, pipes
 * and sockets are left out, set-user-ID bits and owners are dropped unless asked for. A file appears under its name
 * only when it is complete and on the disk. What is there already is never replaced.
 */
import {
	lutimesSync,
	linkSync,
	lchownSync,
	lstatSync,
	mkdirSync,
	statfsSync,
	symlinkSync,
	unlinkSync,
	writeFileSync,
} from 'node:fs';
import { randomBytes } from 'node:crypto';
import { geteuid, platform } from 'node:process';
import type { RestoreResult } from '../../shared/engine-api.js';
import type { Filesystem, Inode } from '../filesystem/filesystem.js';
import { ioError } from '../io/file.js';
import type { FileTree, MachineTree, TreeEntry } from '../tree/file-tree.js';
import { walk, type WalkItem } from '../tree/walk.js';
import { EngineError } from '../util/errors.js';
import { bytesFromRaw, splitRaw, textFromRaw, type RawName, type RawPath } from '../util/names.js';
import type { Work } from '../util/work.js';
import { HostFolder } from './host-folder.js';
import { foldName, whyNameRefused } from './host-names.js';
import { dataSizeOf, secondsOf, writeNewFile } from './restore-file.js';

export interface RestoreOptions {
	/** Absolute. Made when it is not there. */
	readonly to: string;
	/** Needs root. */
	readonly keepOwner?: boolean;
	readonly keepSetuid?: boolean;
}

/** Folders inside each other. Each is held open while what is in it is written. */
const MAX_DEPTH = 500;
/** Told one by one; more are counted. */
const MAX_SKIPPED = 10_000;
/** Left on the target for others. */
const SPACE_MARGIN = 16 * 1024 * 1024;
const SET_ID_BITS = 0o6000;

/**
 * Restore `paths`, each under its last name, into `options.to`; folders with all that is in them.
 *
 * Damage, refused names and names that are taken are told in `skipped`, and the rest goes on.
 *
 * @throws EngineError `ERR_NOT_FOUND` for a path that is not in the tree; `ERR_NO_SPACE` before anything is written, when
 * the space will not do; `ERR_CANCELLED`: what is complete stays; `ERR_IO` when the folder itself cannot be written.
 */
export function restoreToHost(
	tree: FileTree | MachineTree,
	paths: readonly RawPath[],
	options: RestoreOptions,
	work: Work,
): RestoreResult {
	for (const path of paths) tree.stat(path);
	try {
		mkdirSync(options.to, { recursive: true });
	} catch (cause) {
		throw ioError(options.to, cause);
	}
	using root = HostFolder.open(options.to);
	const total = measure(tree, paths, work);
	checkSpace(options.to, total);
	return new Restore(tree, root, options, total, work).run(paths);
}

/** A folder that is being filled, and what it will be when it is full. */
interface Level {
	readonly folder: HostFolder;
	/** Of a folder that was made here; one that was there keeps what it has. */
	readonly inode: Inode | undefined;
	/** Names as a file system without case keeps them, to what they were. */
	readonly names: Map<string, RawName>;
}

class Restore {
	readonly #skipped: { path: string; reason: string }[] = [];
	#skippedBeyond = 0;
	#files = 0;
	#directories = 0;
	#links = 0;
	#bytes = 0;
	#withXattrs = 0;
	readonly #ignoresCase: boolean;
	readonly #keepOwner: boolean;
	/** Of files with several links: where the first one went, by names from the root. */
	readonly #firstLinks = new Map<
		Filesystem | undefined,
		Map<number, { names: RawName[]; device: bigint; inode: bigint }>
	>();

	constructor(
		private readonly tree: FileTree | MachineTree,
		private readonly root: HostFolder,
		private readonly options: RestoreOptions,
		private readonly total: number,
		private readonly work: Work,
	) {
		this.#ignoresCase = ignoresCase(root);
		this.#keepOwner = options.keepOwner === true && geteuid?.() === 0;
		if (options.keepOwner && !this.#keepOwner) this.#skip('/', 'owners are not kept: only root can give files away');
	}

	run(paths: readonly RawPath[]): RestoreResult {
		const names = new Map<string, RawName>();
		for (const path of paths) this.#restore(path, names);
		if (this.#withXattrs > 0) {
			this.#skip('/', `extended attributes and ACLs of ${this.#withXattrs} files are not restored`);
		}
		if (this.#skippedBeyond > 0) this.#skipped.push({ path: '/', reason: `and ${this.#skippedBeyond} more` });
		return {
			files: this.#files,
			directories: this.#directories,
			links: this.#links,
			bytes: this.#bytes,
			skipped: this.#skipped,
		};
	}

	/** One path and all below. */
	#restore(path: RawPath, rootNames: Map<string, RawName>): void {
		const levels: Level[] = [{ folder: this.root, inode: undefined, names: rootNames }];
		const base = splitRaw(path).length;
		// Depth of a folder that was not made: what is below it is not made either.
		let leftOut = Infinity;
		try {
			for (const item of walk(this.tree, path, this.work)) {
				this.work.throwIfCancelled();
				if ('error' in item) {
					this.#skip(item.path, `${item.error.code}: ${item.error.message}`);
					continue;
				}
				// The root of the tree has no name: what is in it goes straight into the folder.
				if (item.entry.name === '') continue;
				const depth = splitRaw(item.entry.path).length - Math.max(base, 1);
				if (leftOut < depth) continue;
				leftOut = Infinity;
				while (levels.length > depth + 1) this.#leave(levels.pop()!); // OK: longer than depth + 1.
				const level = levels[depth]!; // OK: a walk goes down one level at a time, and made folders were pushed.
				const made = this.#make(item, level, levels.length, base);
				if (made instanceof HostFolder) {
					levels.push({ folder: made, inode: this.#lastMade, names: new Map() });
				} else if (item.entry.kind === 'directory') leftOut = depth;
			}
		} finally {
			while (levels.length > 1) this.#leave(levels.pop()!); // OK: not empty.
		}
	}

	/** Inode of the folder that `#make()` made last; `undefined` when it was there before. */
	#lastMade: Inode | undefined;

	/** Make one entry. A folder is returned, to be filled. */
	#make(
		item: Extract<WalkItem, { entry: TreeEntry }>,
		level: Level,
		depth: number,
		base: number,
	): HostFolder | undefined {
		const { entry, filesystem } = item;
		const refused = whyNameRefused(entry.name, platform) ?? this.#whyTaken(entry.name, level);
		if (refused !== undefined) return this.#skip(entry.path, refused);
		if (MAX_DEPTH < depth) return this.#skip(entry.path, `it lies more than ${MAX_DEPTH} folders deep`);
		try {
			// Asking for its list makes it say why it has none.
			if (entry.volume && !entry.volume.readable) this.tree.list(entry.path);
			if (entry.problem && entry.inode) this.#skip(entry.path, `restored although damaged: ${entry.problem.message}`);
			if (entry.kind === 'directory') return this.#makeFolder(entry, filesystem, level);
			if (!entry.inode) return this.#skip(entry.path, entry.problem?.message ?? 'it cannot be read');
			if (entry.kind === 'symlink') return this.#makeSymlink(entry, entry.inode, filesystem, level);
			if (entry.kind !== 'file') return this.#skip(entry.path, `a ${entry.kind} is not restored`);
			this.#makeFile(entry, entry.inode, filesystem, level, base);
		} catch (error) {
			this.#skipFailed(entry, error);
		}
		return undefined;
	}

	#makeFolder(entry: TreeEntry, filesystem: Filesystem | undefined, level: Level): HostFolder | undefined {
		const where = level.folder.at(entry.name);
		let isNew = true;
		try {
			mkdirSync(where, 0o700);
		} catch (error) {
			if (codeOf(error) !== 'EEXIST') throw error;
			if (!lstatSync(where).isDirectory())
				return this.#skip(entry.path, 'the name is taken by something that is no folder');
			isNew = false;
		}
		const folder = level.folder.child(entry.name);
		if (isNew) this.#directories++;
		this.#lastMade = isNew ? entry.inode : undefined;
		this.#countXattrs(entry, filesystem);
		return folder;
	}

	#makeSymlink(entry: TreeEntry, inode: Inode, filesystem: Filesystem | undefined, level: Level): undefined {
		const target = filesystem ? filesystem.readLink(inode) : this.tree.readLink(entry.path);
		const where = level.folder.at(entry.name);
		symlinkSync(Buffer.from(bytesFromRaw(target)), where);
		this.#links++;
		if (this.#keepOwner) lchownSync(where, inode.uid, inode.gid);
		lutimesSync(where, secondsOf(inode.atime), secondsOf(inode.mtime));
		return undefined;
	}

	#makeFile(entry: TreeEntry, inode: Inode, filesystem: Filesystem | undefined, level: Level, base: number): void {
		const known = inode.links > 1 ? this.#firstLinks.get(filesystem)?.get(inode.number) : undefined;
		if (known && this.#link(known, level.folder.at(entry.name))) {
			this.#links++;
			return;
		}
		using source = filesystem ? filesystem.openFile(inode) : this.tree.openFile(entry.path);
		const setIds = inode.mode & SET_ID_BITS;
		const mode = this.options.keepSetuid ? inode.mode : inode.mode & ~SET_ID_BITS;
		const written = writeNewFile(level.folder, entry.name, source, {
			mode,
			atime: secondsOf(inode.atime),
			mtime: secondsOf(inode.mtime),
			owner: this.#keepOwner ? { uid: inode.uid, gid: inode.gid } : undefined,
			onBytes: count => {
				this.work.throwIfCancelled();
				this.#bytes += count;
				this.work.report({ step: 'Restoring', done: this.#bytes, total: this.total, unit: 'bytes' });
			},
		});
		this.#files++;
		if (setIds !== 0 && !this.options.keepSetuid)
			this.#skip(entry.path, 'its set-user-ID or set-group-ID bit was dropped');
		this.#countXattrs(entry, filesystem);
		if (inode.links < 2) return;
		const links = this.#firstLinks.get(filesystem) ?? new Map<number, never>();
		this.#firstLinks.set(filesystem, links.set(inode.number, { names: this.#namesOf(entry.path, base), ...written }));
	}

	/** Link to a file that was written before, found again from the root without following links. */
	#link(first: { names: RawName[]; device: bigint; inode: bigint }, where: Buffer): boolean {
		const held: HostFolder[] = [];
		try {
			let folder = this.root;
			for (const name of first.names.slice(0, -1)) held.push((folder = folder.child(name)));
			const from = folder.at(first.names[first.names.length - 1]!); // OK: a path has at least one name.
			const stat = lstatSync(from, { bigint: true });
			if (stat.dev !== first.device || stat.ino !== first.inode) return false;
			linkSync(from, where);
			return true;
		} catch (error) {
			// A file system without links, or with no more of them for this file: a copy will do.
			if (['EPERM', 'EMLINK', 'ENOTSUP', 'EOPNOTSUPP', 'ENOENT', 'ENOTDIR', 'ELOOP'].includes(codeOf(error)))
				return false;
			throw error;
		} finally {
			for (const folder of held) folder[Symbol.dispose]();
		}
	}

	/** Names from the target's root: the start's own name and what is below. */
	#namesOf(path: RawPath, base: number): RawName[] {
		return splitRaw(path).slice(Math.max(base, 1) - 1);
	}

	/** A folder is full: it gets its own permissions and times, which writing into it would have changed. */
	#leave(level: Level): void {
		using folder = level.folder;
		const { inode } = level;
		if (!inode) return;
		const mode = this.options.keepSetuid ? inode.mode : inode.mode & ~SET_ID_BITS;
		folder.setFacts({
			mode,
			atime: secondsOf(inode.atime),
			mtime: secondsOf(inode.mtime),
			owner: this.#keepOwner ? { uid: inode.uid, gid: inode.gid } : undefined,
		});
	}

	#whyTaken(name: RawName, level: Level): string | undefined {
		if (!this.#ignoresCase) return undefined;
		const folded = foldName(name);
		const other = level.names.get(folded);
		level.names.set(folded, name);
		if (other === undefined) return undefined;
		return `its name differs from "${textFromRaw(other)}" only in what this folder's file system ignores`;
	}

	#countXattrs(entry: TreeEntry, filesystem: Filesystem | undefined): void {
		if (!entry.inode) return;
		try {
			const xattrs = filesystem ? filesystem.xattrs(entry.inode) : this.tree.xattrs(entry.path);
			if (xattrs.length > 0) this.#withXattrs++;
		} catch (error) {
			if (!EngineError.is(error) || error.code === 'ERR_CANCELLED') throw error;
			this.#skip(entry.path, `its extended attributes cannot be read: ${error.message}`);
		}
	}

	/** What failed for one entry alone is told; what will fail for all of them is thrown. */
	#skipFailed(entry: TreeEntry, error: unknown): void {
		if (EngineError.is(error)) {
			if (['ERR_CANCELLED', 'ERR_NO_SPACE', 'ERR_CHANGED'].includes(error.code)) throw error;
			this.#skip(entry.path, error.message);
			return;
		}
		const code = codeOf(error);
		if (code === '') throw error;
		if (code === 'EEXIST') return this.#skip(entry.path, 'the name is taken; what is there was left as it is');
		const known = ioError(textFromRaw(entry.path), error);
		if (known.code === 'ERR_NO_SPACE' || code === 'EROFS') throw known;
		this.#skip(entry.path, known.message);
	}

	#skip(path: RawPath, reason: string): undefined {
		if (this.#skipped.length < MAX_SKIPPED) this.#skipped.push({ path: textFromRaw(path), reason });
		else this.#skippedBeyond++;
		return undefined;
	}
}

/** Bytes that restoring will write. */
function measure(tree: FileTree | MachineTree, paths: readonly RawPath[], work: Work): number {
	let total = 0;
	const seen = new Map<Filesystem | undefined, Set<number>>();
	for (const path of paths) {
		for (const item of walk(tree, path, work)) {
			if ('error' in item || item.entry.kind !== 'file' || !item.entry.inode) continue;
			const { inode } = item.entry;
			if (inode.links > 1) {
				const numbers = seen.get(item.filesystem) ?? new Set();
				if (numbers.has(inode.number)) continue;
				seen.set(item.filesystem, numbers.add(inode.number));
			}
			total += dataSizeOf(tree, item.entry, inode, item.filesystem);
		}
	}
	return total;
}

function checkSpace(path: string, needed: number): void {
	const { bavail, bsize } = statfsSync(path);
	const free = bavail * bsize;
	if (needed + SPACE_MARGIN <= free) return;
	throw new EngineError(
		'ERR_NO_SPACE',
		`${path} has ${free} bytes free, and ${needed} would be written; nothing was written`,
		{ file: path, expected: needed, actual: free },
	);
}

/** Whether the folder's file system takes `a` and `A` for one name: tried, since nothing tells. */
function ignoresCase(folder: HostFolder): boolean {
	const name = `.strata-case-${randomBytes(6).toString('hex')}a`;
	try {
		writeFileSync(folder.at(name), '', { flag: 'wx' });
		try {
			lstatSync(folder.at(name.toUpperCase()));
			return true;
		} catch (error) {
			if (codeOf(error) !== 'ENOENT') throw error;
			return false;
		} finally {
			unlinkSync(folder.at(name));
		}
	} catch (cause) {
		throw EngineError.is(cause) ? cause : ioError(folder.path, cause);
	}
}

/** The host's code of an error; empty for what is no error of the host. */
function codeOf(error: unknown): string {
	const code = error instanceof Error && 'code' in error && 'syscall' in error ? error.code : undefined;
	return typeof code === 'string' ? code : '';
}
