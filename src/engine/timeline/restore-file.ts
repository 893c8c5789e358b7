/** One file of an image as a file of this host: complete or not there. */
import {
	closeSync,
	constants,
	fchmodSync,
	fchownSync,
	fstatSync,
	fsyncSync,
	ftruncateSync,
	futimesSync,
	linkSync,
	lstatSync,
	openSync,
	renameSync,
	unlinkSync,
	writeSync,
} from 'node:fs';
import { randomBytes } from 'node:crypto';
import type { Filesystem, Inode, Timestamp } from '../filesystem/filesystem.js';
import type { ByteSource } from '../io/source.js';
import type { FileTree, TreeEntry } from '../tree/file-tree.js';
import { EngineError } from '../util/errors.js';
import type { RawName } from '../util/names.js';
import type { HostFolder } from './host-folder.js';

const PIECE = 1024 * 1024;
/** Runs of zeros of this length become holes. */
const HOLE = 64 * 1024;
const ZEROS = Buffer.alloc(HOLE);
/** Smaller files count with their size: asking for their runs would cost more than it tells. */
const SPARSE_SIZE = 4 * PIECE;

export interface FileFacts {
	readonly mode: number;
	/** As `secondsOf()` gives them. */
	readonly atime: string;
	readonly mtime: string;
	readonly owner: { readonly uid: number; readonly gid: number } | undefined;
	/** After each piece. What it throws ends the copy. */
	readonly onBytes: (count: number) => void;
}

/**
 * Write `source` into `folder` under `name`: first under a name of its own, then, on the disk and complete, under the
 * right one. Nothing is left behind when it fails.
 *
 * @returns which file it became.
 * @throws the host's error with code EEXIST when the name is taken.
 */
export function writeNewFile(
	folder: HostFolder,
	name: RawName,
	source: ByteSource,
	facts: FileFacts,
): { device: bigint; inode: bigint } {
	const temporary = `.strata-restore-${randomBytes(8).toString('hex')}`;
	const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | (constants.O_NOFOLLOW ?? 0);
	const fd = openSync(folder.at(temporary), flags, 0o600);
	let isOpen = true;
	try {
		copy(source, fd, facts.onBytes);
		const { dev, ino, size } = fstatSync(fd, { bigint: true });
		if (size !== BigInt(source.size)) {
			throw new EngineError('ERR_IO', `${size} of ${source.size} bytes were written`, { file: folder.path });
		}
		// The owner first: giving a file away drops its set-user-ID bit.
		if (facts.owner) fchownSync(fd, facts.owner.uid, facts.owner.gid);
		fchmodSync(fd, facts.mode);
		futimesSync(fd, facts.atime, facts.mtime);
		fsyncSync(fd);
		closeSync(fd);
		isOpen = false;
		giveName(folder, temporary, name);
		return { device: dev, inode: ino };
	} catch (error) {
		if (isOpen) closeSync(fd);
		unlinkSync(folder.at(temporary));
		throw error;
	}
}

/** Bytes of a file that are not known to be a hole. */
export function dataSizeOf(tree: FileTree, entry: TreeEntry, inode: Inode, filesystem: Filesystem | undefined): number {
	if (inode.size < SPARSE_SIZE) return inode.size;
	try {
		using source = filesystem ? filesystem.openFile(inode) : tree.openFile(entry.path);
		let total = 0;
		for (const { length } of dataRanges(source)) total += length;
		return total;
	} catch (error) {
		// It will not be written either, and told then.
		if (EngineError.is(error) && error.code !== 'ERR_CANCELLED') return 0;
		throw error;
	}
}

/** For `node:fs`, which takes a negative number for the present, but a negative text for what it says. */
export function secondsOf({ sec, nsec }: Timestamp): string {
	return String(sec + nsec / 1e9);
}

/** A file that knows its holes. */
interface SparseSource extends ByteSource {
	dataRanges(): Iterable<{ readonly offset: number; readonly length: number }>;
}

function dataRanges(source: ByteSource | SparseSource): Iterable<{ readonly offset: number; readonly length: number }> {
	return 'dataRanges' in source ? source.dataRanges() : [{ offset: 0, length: source.size }];
}

function copy(source: ByteSource, fd: number, onBytes: (count: number) => void): void {
	const piece = Buffer.allocUnsafe(Math.min(PIECE, Math.max(1, source.size)));
	for (const { offset, length } of dataRanges(source)) {
		for (let done = 0; done < length;) {
			const bytes = piece.subarray(0, Math.min(piece.byteLength, length - done));
			source.read(offset + done, bytes);
			writeData(fd, bytes, offset + done);
			done += bytes.byteLength;
			onBytes(bytes.byteLength);
		}
	}
	ftruncateSync(fd, source.size);
}

/** Write all but long runs of zeros: the file was cut to size zero, and what is not written reads as zeros. */
function writeData(fd: number, bytes: Buffer, position: number): void {
	for (let from = 0; from < bytes.byteLength;) {
		let to = from;
		while (to < bytes.byteLength && !isHole(bytes, to)) to += HOLE;
		to = Math.min(to, bytes.byteLength);
		for (let done = from; done < to;) done += writeSync(fd, bytes, done, to - done, position + done);
		while (to < bytes.byteLength && isHole(bytes, to)) to += HOLE;
		from = to;
	}
}

function isHole(bytes: Buffer, at: number): boolean {
	return at + HOLE <= bytes.byteLength && bytes.subarray(at, at + HOLE).equals(ZEROS);
}

/** Linking fails where renaming would replace what came under the name meanwhile. */
function giveName(folder: HostFolder, temporary: RawName, name: RawName): void {
	try {
		linkSync(folder.at(temporary), folder.at(name));
		unlinkSync(folder.at(temporary));
	} catch (error) {
		const code = (error as NodeJS.ErrnoException).code ?? ''; // OK: node:fs throws nothing else.
		if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(code)) throw error;
		// No links on this file system.
		if (exists(folder.at(name)))
			throw Object.assign(new Error('the name is taken'), { code: 'EEXIST', syscall: 'rename' });
		renameSync(folder.at(temporary), folder.at(name));
	}
}

function exists(path: Buffer): boolean {
	return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}
