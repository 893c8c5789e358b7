/** What every filesystem reader offers. Inodes are numbers, names are bytes, nothing is ever written. */
import type { ByteSource } from '../io/source.js';
import type { ErrorRecord } from '../util/errors.js';
import type { RawName } from '../util/names.js';

export type FileKind = 'file' | 'directory' | 'symlink' | 'fifo' | 'socket' | 'chardev' | 'blockdev';

/** A time as filesystems keep it: two plain numbers, because 100,000 bigints would cost more than reading the inodes. */
export interface Timestamp {
	/** Seconds since 1970-01-01 UTC; may be negative. */
	readonly sec: number;
	/** 0 to 999,999,999. */
	readonly nsec: number;
}

export interface Inode {
	readonly number: number;
	/** Told apart from an earlier file with the same number; 0 where the filesystem has none. */
	readonly generation: number;
	readonly kind: FileKind;
	/** Bytes of content: of a regular file, of a link's target, of a directory's blocks. */
	readonly size: number;
	/** Permission bits with set-user-ID, set-group-ID and sticky: 0 to 0o7777. */
	readonly mode: number;
	readonly uid: number;
	readonly gid: number;
	readonly links: number;
	readonly atime: Timestamp;
	readonly mtime: Timestamp;
	readonly ctime: Timestamp;
	/** Birth time, where it is recorded. */
	readonly crtime: Timestamp | undefined;
	/** Of device nodes. */
	readonly device: { readonly major: number; readonly minor: number } | undefined;
	/** Names of attributes that a person should see: 'immutable', 'append', 'encrypted', 'verity', 'casefold', 'compressed'. */
	readonly attributes: readonly string[];
	/** The inode could be read, but something about it is damaged (its checksum does not match, say). */
	readonly problem: ErrorRecord | undefined;
}

export interface Dirent {
	readonly name: RawName;
	readonly inode: number;
	/** From the directory itself, when it says; the inode has the last word. */
	readonly kind: FileKind | undefined;
}

export interface Xattr {
	/** With its prefix: `user.comment`, `security.capability`, `system.posix_acl_access`. Bytes. */
	readonly name: RawName;
	readonly value: Uint8Array;
}

/** An opened filesystem. Does not own the volume it reads. */
export interface Filesystem extends Disposable {
	/** `'ext2'`, `'ext3'`, `'ext4'`, … */
	readonly type: string;
	/** Bytes as stored, one character each. */
	readonly label: RawName;
	/** Lower case with hyphens; empty when there is none. */
	readonly uuid: string;
	readonly blockSize: number;
	readonly rootInode: number;
	/** Damage and features met so far that do not stop reading: a bad checksum of a group, an external journal. */
	readonly problems: readonly ErrorRecord[];
	/** @throws EngineError `ERR_CORRUPT` when there is no such inode or it cannot be understood. */
	inode(number: number): Inode;
	/**
	 * The entries of a directory in the order in which they are stored, without `.` and `..`.
	 *
	 * @throws EngineError `ERR_NOT_A_DIRECTORY`, `ERR_CORRUPT`.
	 */
	entries(directory: Inode): Iterable<Dirent>;
	/** The inode that a name in a directory stands for; `undefined` when there is no such name. */
	lookup(directory: Inode, name: RawName): number | undefined;
	/** Content of a regular file. Holes and unwritten runs read as zeros. @throws EngineError `ERR_ENCRYPTED`, `ERR_CORRUPT`. */
	openFile(inode: Inode): ByteSource;
	/** Target of a symbolic link, as bytes. */
	readLink(inode: Inode): RawName;
	/** Sorted by name. @throws EngineError `ERR_CORRUPT`. */
	xattrs(inode: Inode): readonly Xattr[];
}
