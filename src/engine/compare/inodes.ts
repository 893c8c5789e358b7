/** Two inodes, field by field. */
import type { ChangeField } from '../../shared/records.js';
import type { Filesystem, Inode, Timestamp, Xattr } from '../filesystem/filesystem.js';
import type { ByteSource } from '../io/source.js';
import type { Work } from '../util/work.js';
import { onSide } from './change.js';

/** The filesystems that hold the two sides. */
export interface Sides {
	readonly a: Filesystem;
	readonly b: Filesystem;
}

/** Whether two regular files of equal size, above 0, hold the same bytes. @throws UnreadableSide. */
export type SameContent = (a: Inode, b: Inode) => boolean;

/**
 * The fields in which two inodes differ, in the order of `FIELD_ORDER`; `['type']` alone when they are different things.
 * Never atime and ctime: reading a file changes the one, and nobody can set the other. Links are not counted for
 * directories, whose count is that of their folders.
 *
 * @throws UnreadableSide.
 */
export function differingFields(
	sides: Sides,
	a: Inode,
	b: Inode,
	sameContent: SameContent,
	haveSameXattrs = (x: Inode, y: Inode): boolean => sameXattrs(sides, x, y),
): ChangeField[] {
	if (a.kind !== b.kind) return ['type'];
	const fields: ChangeField[] = [];
	if (a.kind === 'file' && (a.size !== b.size || (a.size > 0 && !sameContent(a, b)))) fields.push('content');
	if (a.mode !== b.mode) fields.push('mode');
	if (a.uid !== b.uid || a.gid !== b.gid) fields.push('owner');
	if (!sameTime(a.mtime, b.mtime)) fields.push('mtime');
	if (!haveSameXattrs(a, b)) fields.push('xattr');
	if (a.kind === 'symlink' && !sameTarget(sides, a, b)) fields.push('target');
	if (a.device?.major !== b.device?.major || a.device?.minor !== b.device?.minor) fields.push('device');
	if (a.kind !== 'directory' && a.links !== b.links) fields.push('links');
	return fields;
}

export function sameTime(a: Timestamp, b: Timestamp): boolean {
	return a.sec === b.sec && a.nsec === b.nsec;
}

/** Reads both files to the end, or to the first difference. Works for any two filesystems. */
export function readingContent(sides: Sides, work: Work): SameContent {
	return (a, b) => {
		using left = onSide('a', () => sides.a.openFile(a));
		using right = onSide('b', () => sides.b.openFile(b));
		return sameBytes(left, right, 0, a.size, work);
	};
}

/**
 * Trusts what is said about a file: equal size and times mean equal bytes. What it does not trust it reads. An overwrite
 * can keep both times, so the answer may be wrong, and whoever uses it says so.
 */
export function trustingContent(read: SameContent, options: { readonly sameFilesystem: boolean }): SameContent {
	return (a, b) =>
		// A copy of a filesystem keeps mtime; ctime is only of use where both are the same filesystem at two moments.
		(sameTime(a.mtime, b.mtime) && (!options.sameFilesystem || sameTime(a.ctime, b.ctime))) || read(a, b);
}

/** Whether `[from, to)` of two sources is the same. @throws UnreadableSide. */
export function sameBytes(a: ByteSource, b: ByteSource, from: number, to: number, work: Work): boolean {
	const [left, right] = scratch();
	for (let at = from; at < to; at += CHUNK) {
		work.throwIfCancelled();
		const length = Math.min(CHUNK, to - at);
		const one = left.subarray(0, length);
		const other = right.subarray(0, length);
		onSide('a', () => a.read(at, one));
		onSide('b', () => b.read(at, other));
		if (one.compare(other) !== 0) return false;
	}
	return true;
}

/** Bytes compared at a time. */
const CHUNK = 256 * 1024;
let buffers: readonly [Buffer, Buffer] | undefined;

/** One pair for all comparisons: a fresh buffer costs as much as the read. OK: comparing neither awaits nor nests. */
function scratch(): readonly [Buffer, Buffer] {
	buffers ??= [Buffer.allocUnsafeSlow(CHUNK), Buffer.allocUnsafeSlow(CHUNK)];
	return buffers;
}

function sameTarget(sides: Sides, a: Inode, b: Inode): boolean {
	return onSide('a', () => sides.a.readLink(a)) === onSide('b', () => sides.b.readLink(b));
}

/** @throws UnreadableSide. */
export function sameXattrs(sides: Sides, a: Inode, b: Inode): boolean {
	const left = onSide('a', () => sides.a.xattrs(a));
	const right = onSide('b', () => sides.b.xattrs(b));
	return left.length === right.length && left.every((xattr, i) => sameXattr(xattr, right[i]!)); // OK: equal lengths.
}

function sameXattr(a: Xattr, b: Xattr): boolean {
	return a.name === b.name && Buffer.compare(a.value, b.value) === 0;
}
