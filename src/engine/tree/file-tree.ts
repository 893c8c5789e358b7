/** The files of a source at one moment, by path, whatever holds them. */
import type { FileKind, Filesystem, Inode, Xattr } from '../filesystem/filesystem.js';
import type { ByteSource, MappedSource } from '../io/source.js';
import type { ErrorRecord } from '../util/errors.js';
import type { RawName, RawPath } from '../util/names.js';
import type { Volume, VolumeTable } from '../volume/volume.js';

/** One path. `inode` is absent for what is no file of a filesystem: the root, a disk, a volume that cannot be read. */
export interface TreeEntry {
	readonly path: RawPath;
	/** Last component; empty for the root. */
	readonly name: RawName;
	readonly kind: FileKind;
	readonly inode: Inode | undefined;
	/** Set where the path is a volume's top. */
	readonly volume: Volume | undefined;
	/** The entry is listed, but could not be read. */
	readonly problem: ErrorRecord | undefined;
}

export interface FileTree extends Disposable {
	/** Does not follow a symbolic link in the last component, nor in any other. @throws EngineError `ERR_NOT_FOUND`, `ERR_NOT_A_DIRECTORY`. */
	stat(path: RawPath): TreeEntry;
	/** Children sorted by name (bytes). @throws EngineError `ERR_NOT_FOUND`, `ERR_NOT_A_DIRECTORY`, `ERR_UNSUPPORTED` for a volume that cannot be read. */
	list(path: RawPath): readonly TreeEntry[];
	/** @throws EngineError `ERR_IS_A_DIRECTORY`, `ERR_NOT_FOUND`. The caller disposes it. */
	openFile(path: RawPath): ByteSource;
	readLink(path: RawPath): RawName;
	xattrs(path: RawPath): readonly Xattr[];
}

/** A volume of a machine with the filesystem on it. */
export interface Mount {
	/** `/p1`; `/disk2/p1` when the machine has several disks. */
	readonly path: RawPath;
	readonly volume: Volume;
	/** The volume's bytes, with the identity of where they are kept. */
	readonly source: MappedSource;
	/** Opened at the first call. @throws EngineError when the volume cannot be read, and why. */
	filesystem(): Filesystem;
}

/** The tree of a machine at one moment: its volumes at the top, their files below. */
export interface MachineTree extends FileTree {
	/** In the order of the disks, then of the partition tables. */
	readonly mounts: readonly Mount[];
	/** One a disk. */
	readonly tables: readonly VolumeTable[];
	/** The mount that a path lies at or below; `undefined` above all of them. Costs no reading. */
	mountOf(path: RawPath): Mount | undefined;
}
