/**
 * The files of a machine at one moment: volumes at the top, their filesystems below.
 *
 * One disk: `/p1/etc/hosts`, and `/disk/…` for a filesystem on the whole disk. Several disks: `/disk1/p1/…`.
 * A volume that is recognised but not read is a directory that cannot be listed, and says why.
 */
import type { Filesystem, Inode, Xattr } from '../filesystem/filesystem.js';
import type { DiskView } from '../image/image.js';
import { MappedSlice } from '../io/slice.js';
import type { ByteSource, MappedSource } from '../io/source.js';
import { EngineError, type ErrorCode } from '../util/errors.js';
import { joinRaw, parentRaw, splitRaw, textFromRaw, type RawName, type RawPath } from '../util/names.js';
import { listVolumes } from '../volume/list-volumes.js';
import type { Volume, VolumeTable } from '../volume/volume.js';
import { readDirectory } from './directory.js';
import type { MachineTree, Mount, TreeEntry } from './file-tree.js';
import { DRIVERS, isReadable, openFilesystem, type FilesystemDriver } from './registry.js';

/** Directories whose inode is remembered by path, so that a folder's children are found without walking down again. */
const REMEMBERED_DIRECTORIES = 1024;
/** Components of a path. Linux cannot even name what is deeper, but a tree on disk can be. */
const MAX_DEPTH = 4096;

/**
 * Open the tree of a machine. Reads partition tables and signatures, and no filesystem yet.
 * Does not own the disks. Damage of a disk's tables is kept: listing the disk tells it.
 */
export function openMachineTree(
	disks: readonly DiskView[],
	drivers: readonly FilesystemDriver[] = DRIVERS,
): MachineTree {
	return new Machine(disks, drivers);
}

class Machine implements MachineTree {
	readonly mounts: readonly Mount[];
	readonly tables: readonly VolumeTable[];
	/** By path. What is above the mounts: the root, and the disks when there are several. */
	readonly #above = new Map<
		RawPath,
		{ readonly children: readonly TreeEntry[]; readonly table: VolumeTable | undefined }
	>();
	readonly #mountByPath = new Map<RawPath, LazyMount>();
	readonly #directories = new Map<RawPath, Inode>();

	constructor(
		disks: readonly DiskView[],
		private readonly drivers: readonly FilesystemDriver[],
	) {
		const single = disks.length === 1;
		const roots: TreeEntry[] = [];
		this.tables = disks.map(disk => tableOf(disk, drivers));
		for (const [index, disk] of disks.entries()) {
			const table = this.tables[index]!; // OK: one a disk.
			const parent = single ? '/' : `/disk${index + 1}`;
			const children = table.volumes.map(volume => this.#mount(disk, volume, joinRaw(parent, volume.name)));
			this.#above.set(parent, { children: children.sort(byVolumeNumber), table });
			if (!single) roots.push(directoryEntry(parent, undefined));
		}
		if (!single) this.#above.set('/', { children: roots, table: undefined });
		this.mounts = [...this.#mountByPath.values()];
	}

	mountOf(path: RawPath): Mount | undefined {
		return this.#locate(path)?.mount;
	}

	stat(path: RawPath): TreeEntry {
		const clean = joinParts(splitRaw(path));
		if (this.#above.has(clean)) return directoryEntry(clean, undefined);
		const place = this.#locate(clean);
		if (!place) throw noSuchPath(clean);
		if (place.names.length === 0) return topEntry(place.mount);
		const inode = this.#resolve(place.mount, clean, place.names);
		return {
			path: clean,
			name: place.names[place.names.length - 1]!, // OK: not empty.
			kind: inode.kind,
			inode,
			volume: undefined,
			problem: inode.problem,
		};
	}

	list(path: RawPath): readonly TreeEntry[] {
		const clean = joinParts(splitRaw(path));
		const above = this.#above.get(clean);
		if (above) {
			const problem = above.table?.problem;
			if (problem && above.children.length === 0) throw EngineError.from(problem);
			return above.children;
		}
		const { filesystem, inode } = this.#find(clean);
		return at(clean, () => {
			if (inode.kind !== 'directory') throw notADirectory(clean);
			return readDirectory(filesystem, inode, clean);
		});
	}

	openFile(path: RawPath): ByteSource {
		const { filesystem, inode } = this.#findBelow(path);
		return at(path, () => {
			if (inode.kind !== 'file') {
				const what = `${textFromRaw(path)} is a ${inode.kind}: it has no content`;
				throw new EngineError(inode.kind === 'directory' ? 'ERR_IS_A_DIRECTORY' : 'ERR_USAGE', what);
			}
			return filesystem.openFile(inode);
		});
	}

	readLink(path: RawPath): RawName {
		const { filesystem, inode } = this.#findBelow(path);
		return at(path, () => {
			if (inode.kind !== 'symlink') throw pathError('ERR_USAGE', `${textFromRaw(path)} is no symbolic link`, path);
			return filesystem.readLink(inode);
		});
	}

	xattrs(path: RawPath): readonly Xattr[] {
		if (this.#above.has(joinParts(splitRaw(path)))) return [];
		const { filesystem, inode } = this.#find(path);
		return at(path, () => filesystem.xattrs(inode));
	}

	[Symbol.dispose](): void {
		this.#directories.clear();
		for (const mount of this.#mountByPath.values()) mount[Symbol.dispose]();
	}

	#mount(disk: DiskView, volume: Volume, path: RawPath): TreeEntry {
		const mount = new LazyMount(path, volume, sliceOf(disk, volume), this.drivers);
		this.#mountByPath.set(path, mount);
		return directoryEntry(path, volume);
	}

	/** The mount that a path is at or below, and the names below it. */
	#locate(path: RawPath): { mount: LazyMount; names: readonly RawName[] } | undefined {
		const names = splitRaw(path);
		const depth = this.tables.length === 1 ? 1 : 2;
		const mount = this.#mountByPath.get(joinParts(names.slice(0, depth)));
		return mount && depth <= names.length ? { mount, names: names.slice(depth) } : undefined;
	}

	#find(path: RawPath): { filesystem: Filesystem; inode: Inode } {
		const place = this.#locate(path);
		if (!place) throw noSuchPath(path);
		return { filesystem: place.mount.filesystem(), inode: this.#resolve(place.mount, path, place.names) };
	}

	/** The same, for what only a file of a filesystem has. */
	#findBelow(path: RawPath): { filesystem: Filesystem; inode: Inode } {
		const clean = joinParts(splitRaw(path));
		if (this.#above.has(clean)) throw pathError('ERR_IS_A_DIRECTORY', `${textFromRaw(clean)} is a directory`, clean);
		return this.#find(clean);
	}

	/** Walk down from the top of a mount, beginning at the deepest directory that is remembered. Follows no link. */
	#resolve(mount: LazyMount, path: RawPath, names: readonly RawName[]): Inode {
		if (MAX_DEPTH < names.length) throw pathError('ERR_LIMIT', `a path of more than ${MAX_DEPTH} names`, path);
		const filesystem = mount.filesystem();
		return at(path, () => {
			let here = joinParts([...splitRaw(mount.path), ...names]);
			let next = names.length;
			let inode: Inode | undefined;
			while (next > 0 && !(inode = this.#directories.get(here))) {
				here = parentRaw(here);
				next--;
			}
			inode ??= filesystem.inode(filesystem.rootInode);
			for (; next < names.length; next++) {
				if (inode.kind !== 'directory') throw notADirectory(here);
				const name = names[next]!; // OK: next < length.
				const number = name === '.' || name === '..' ? undefined : filesystem.lookup(inode, name);
				here = joinRaw(here, name);
				if (number === undefined) throw noSuchPath(here);
				inode = filesystem.inode(number);
				if (inode.kind === 'directory') this.#remember(here, inode);
			}
			return inode;
		});
	}

	#remember(path: RawPath, directory: Inode): void {
		this.#directories.delete(path);
		this.#directories.set(path, directory);
		if (this.#directories.size <= REMEMBERED_DIRECTORIES) return;
		this.#directories.delete(this.#directories.keys().next().value!); // OK: the map is not empty.
	}
}

/** A volume whose filesystem is opened when it is first asked for; a failure is remembered too. */
class LazyMount implements Mount, Disposable {
	#opened: Filesystem | EngineError | undefined;

	constructor(
		readonly path: RawPath,
		readonly volume: Volume,
		readonly source: MappedSource,
		private readonly drivers: readonly FilesystemDriver[],
	) {}

	filesystem(): Filesystem {
		this.#opened ??= this.#open();
		if (EngineError.is(this.#opened)) throw this.#opened;
		return this.#opened;
	}

	#open(): Filesystem | EngineError {
		try {
			return openFilesystem(this.volume, this.source, this.drivers);
		} catch (error) {
			if (!EngineError.is(error)) throw error;
			const known = error.with({ path: textFromRaw(this.path) });
			// A read that failed may succeed the next time; damage stays.
			if (error.code === 'ERR_IO' || error.code === 'ERR_CANCELLED') throw known;
			return known;
		}
	}

	[Symbol.dispose](): void {
		if (this.#opened && !EngineError.is(this.#opened)) this.#opened[Symbol.dispose]();
		this.#opened = undefined;
	}
}

function tableOf(disk: DiskView, drivers: readonly FilesystemDriver[]): VolumeTable {
	try {
		return listVolumes(disk, type => isReadable(type, drivers));
	} catch (error) {
		if (!EngineError.is(error) || error.code === 'ERR_CANCELLED') throw error;
		// One damaged disk does not hide the others.
		return { scheme: 'none', sectorSize: 512, uuid: '', volumes: [], notes: [error.message], problem: error.toJSON() };
	}
}

/** The bytes of a volume, as far as the disk has them. */
function sliceOf(disk: DiskView, volume: Volume): MappedSource {
	const offset = Math.min(volume.offset, disk.size);
	return new MappedSlice(disk, offset, Math.min(volume.size, disk.size - offset));
}

/** What is known of a volume's top. Its inode is read when there is a filesystem, and left out when there is none. */
function topEntry(mount: LazyMount): TreeEntry {
	const entry = directoryEntry(mount.path, mount.volume);
	if (!mount.volume.readable) return entry;
	try {
		const filesystem = mount.filesystem();
		const inode = filesystem.inode(filesystem.rootInode);
		return { ...entry, inode, problem: inode.problem };
	} catch (error) {
		if (!EngineError.is(error)) throw error;
		return { ...entry, problem: error.toJSON() };
	}
}

function directoryEntry(path: RawPath, volume: Volume | undefined): TreeEntry {
	const name = path.slice(path.lastIndexOf('/') + 1);
	return { path, name, kind: 'directory', inode: undefined, volume, problem: undefined };
}

function joinParts(names: readonly RawName[]): RawPath {
	return `/${names.join('/')}`;
}

/** `p2` before `p10`. */
function byVolumeNumber(a: TreeEntry, b: TreeEntry): number {
	return Number(a.name.slice(1)) - Number(b.name.slice(1)) || 0;
}

/** Run `action`, and let an error of the engine know the path. */
function at<T>(path: RawPath, action: () => T): T {
	try {
		return action();
	} catch (error) {
		if (EngineError.is(error) && error.details.path === undefined) throw error.with({ path: textFromRaw(path) });
		throw error;
	}
}

function noSuchPath(path: RawPath): EngineError {
	return pathError('ERR_NOT_FOUND', `no such file or directory: ${textFromRaw(path)}`, path);
}

function notADirectory(path: RawPath): EngineError {
	return pathError('ERR_NOT_A_DIRECTORY', `${textFromRaw(path)} is not a directory`, path);
}

function pathError(code: ErrorCode, message: string, path: RawPath): EngineError {
	return new EngineError(code, message, { path: textFromRaw(path) });
}
