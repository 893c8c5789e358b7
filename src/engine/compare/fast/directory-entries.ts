/**
 * The entries of a directory, without making anything of them: a search for the names of a few inodes goes through
 * hundreds of directories, and asks of almost every entry only which inode it names.
 *
 * Source: Linux, Documentation/filesystems/ext4/directory.rst.
 */
import { FLAG } from '../../filesystem/ext4/inode.js';
import { INCOMPAT } from '../../filesystem/ext4/features.js';
import { le16, le32 } from '../../util/bytes.js';
import { corrupt } from '../../util/errors.js';
import { bytesFromRaw } from '../../util/names.js';
import type { Ext4Side } from '../ext4-side.js';

const HEADER = 8;
const MIN_ENTRY = 12;
const DOT = 0x2e;
/** Bytes read at a time; a block is at most that. */
const CHUNK = 64 * 1024;
let buffer: Buffer | undefined;

/** The name is `bytes[from, to)`, valid until `visit` returns; `visit` visits no other directory meanwhile. */
export type VisitEntry = (inode: number, bytes: Buffer, from: number, to: number) => void;

/**
 * Visit the entries in the order in which they are stored, without `.` and `..`. Checksums are not looked at.
 *
 * @throws EngineError `ERR_CORRUPT`, after some entries were visited.
 */
export function visitEntries(side: Ext4Side, directory: number, visit: VisitEntry): void {
	const { filesystem } = side;
	const inode = filesystem.inode(directory);
	const isTouched = filesystem.replay?.fastCommit?.touchedDirectories.has(directory);
	if (isTouched || (inode.flags & (FLAG.inlineData | FLAG.encrypted)) !== 0) {
		for (const entry of filesystem.entries(inode)) {
			const name = Buffer.from(bytesFromRaw(entry.name));
			visit(entry.inode, name, 0, name.length);
		}
		return;
	}
	const { blockSize, superblock } = filesystem;
	const hasType = (superblock.featureIncompat & INCOMPAT.filetype) !== 0;
	const end = Math.ceil(inode.size / blockSize);
	const step = CHUNK / blockSize;
	buffer ??= Buffer.allocUnsafeSlow(CHUNK);
	for (const run of filesystem.blockRuns(directory)) {
		if (run.unwritten) continue;
		const last = Math.min(run.logical + run.count, end);
		for (let logical = run.logical; logical < last; logical += step) {
			const length = Math.min(step, last - logical) * blockSize;
			side.volume.read((run.physical + logical - run.logical) * blockSize, buffer.subarray(0, length));
			for (let at = 0; at < length; at += blockSize) {
				if (visitBlock(buffer, at, blockSize, hasType, visit)) continue;
				const block = run.physical + logical - run.logical + at / blockSize;
				corrupt(
					'ext4',
					`rec_len of directory ${directory}`,
					block * blockSize,
					'one that leads to the next',
					'another',
				);
			}
		}
	}
}

/** @returns whether every record leads to the next one and holds its name. */
function visitBlock(bytes: Buffer, from: number, size: number, hasType: boolean, visit: VisitEntry): boolean {
	const to = from + size;
	let at = from;
	while (at + HEADER <= to) {
		const length = recordLength(bytes, at, size);
		const nameLength = hasType ? bytes[at + 6]! : le16(bytes, at + 6); // OK: at + 8 <= to.
		if (length < MIN_ENTRY || length % 4 !== 0 || to < at + length || length < HEADER + nameLength) return false;
		const number = le32(bytes, at);
		const start = at + HEADER;
		at += length;
		if (number === 0) continue;
		if (nameLength === 0) return false;
		if (bytes[start] === DOT && (nameLength === 1 || (nameLength === 2 && bytes[start + 1] === DOT))) continue;
		visit(number, bytes, start, start + nameLength);
	}
	return at === to;
}

/** A length of 64 KiB does not fit 16 bits: it is written as 65,535 or 0. */
function recordLength(bytes: Buffer, at: number, blockSize: number): number {
	const length = le16(bytes, at + 4);
	return blockSize === CHUNK && (length === 65535 || length === 0) ? blockSize : length;
}
