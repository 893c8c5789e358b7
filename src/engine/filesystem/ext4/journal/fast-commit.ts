/**
 * Fast commits of ext4: small logical records in an area behind the log. Between two transactions, an fsync may write
 * only what it must: this inode's bytes, these ranges, that name. They count from the last complete transaction on.
 *
 *     tag: 0 2 fc_tag  2 2 fc_len  4 … value, little-endian; a tag never crosses a block
 *     HEAD       0 4 fc_features  4 4 fc_tid
 *     ADD_RANGE  0 4 fc_ino  4 12 an extent (block 4, length 2, start high 2, start low 4)
 *     DEL_RANGE  0 4 fc_ino  4 4 fc_lblk  8 4 fc_len
 *     CREAT, LINK, UNLINK  0 4 fc_parent_ino  4 4 fc_ino  8 … name
 *     INODE      0 4 fc_ino  4 … the inode, without what lies behind i_extra_isize
 *     PAD        fills a block
 *     TAIL       0 4 fc_tid  4 4 fc_crc, then the rest of the block: commits what came before it
 *
 * Not supported: feature bits in HEAD (there are none yet); refused, and told as a problem.
 *
 * Source: ext4_fc_replay_scan in fs/ext4/fast_commit.c, and fast_commit.h, of Linux 6.x.
 */
import { crc32c } from '../../../util/crc32c.js';
import { rawFromBytes } from '../../../util/names.js';
import type { RawName } from '../../../util/names.js';
import type { ReadJournalBlock } from './blocks.js';
import { MAX_FAST_COMMIT_BYTES } from './format.js';
import type { JournalLayout } from './layout.js';
import type { JournalProblems } from './problems.js';
import { viewOf } from './records.js';

/** One record, in the words of the format. Block numbers and lengths are in blocks of the filesystem. */
export type FastCommitOperation =
	| { readonly tag: 'inode'; readonly inode: number; readonly raw: Uint8Array }
	| {
			readonly tag: 'addRange';
			readonly inode: number;
			readonly logical: number;
			readonly physical: number;
			readonly length: number;
			readonly unwritten: boolean;
	  }
	| { readonly tag: 'deleteRange'; readonly inode: number; readonly logical: number; readonly length: number }
	| {
			readonly tag: 'create' | 'link' | 'unlink';
			readonly directory: number;
			readonly inode: number;
			readonly name: RawName;
	  };

/** The valid fast commits, in order, and what they touch. */
export interface FastCommitOverlay {
	readonly operations: readonly FastCommitOperation[];
	/** Inodes whose own fields, content or number of links may differ from what `blocks` say. */
	readonly touchedInodes: ReadonlySet<number>;
	/** Directories whose names may differ from what `blocks` say. */
	readonly touchedDirectories: ReadonlySet<number>;
}

// fc_tag
const TAG_ADD_RANGE = 1;
const TAG_DEL_RANGE = 2;
const TAG_CREAT = 3;
const TAG_LINK = 4;
const TAG_UNLINK = 5;
const TAG_INODE = 6;
const TAG_PAD = 7;
const TAG_TAIL = 8;
const TAG_HEAD = 9;

/** Bytes of fc_tag and fc_len. */
const TAG_SIZE = 4;
/** Longer extents are unwritten: their length is what goes beyond this. */
const MAX_WRITTEN_LENGTH = 32768;
const MIN_INODE_SIZE = 128;

/**
 * The fast commits that belong to transaction `sequence`, up to the first that is not whole.
 *
 * What is not whole is no damage: a snapshot can fall between two blocks of a commit that was being written.
 */
export function scanFastCommits(
	layout: JournalLayout,
	read: ReadJournalBlock,
	sequence: number,
	problems: JournalProblems,
): FastCommitOverlay | undefined {
	if (!layout.fastCommits) return undefined;
	const { from, to } = layout.fastCommits;
	const scanner = new FastCommitScanner(sequence);
	const block = new Uint8Array(layout.blockSize);
	const limit = Math.min(to, from + Math.ceil(MAX_FAST_COMMIT_BYTES / layout.blockSize));
	for (let index = from; index < limit; index++) {
		read(index, block);
		if (index === from && viewOf(block).getUint16(0, true) !== TAG_HEAD) return undefined;
		if (scanner.block(block)) continue;
		if (scanner.unknownFeatures !== 0) {
			const bits = `0x${scanner.unknownFeatures.toString(16)}`;
			problems.add(index, 'fc_features', `fast commits with features ${bits} are not supported`, {}, 'ERR_UNSUPPORTED');
		}
		break;
	}
	const { operations } = scanner;
	return operations.length === 0 ? undefined : { operations, ...touchedBy(operations) };
}

class FastCommitScanner {
	/** Of complete commits. */
	readonly operations: FastCommitOperation[] = [];
	unknownFeatures = 0;
	/** Of the commit being walked. */
	#pending: FastCommitOperation[] = [];
	#crc = 0;

	constructor(private readonly sequence: number) {}

	/** @returns whether the next block is worth reading. */
	block(block: Uint8Array): boolean {
		const view = viewOf(block);
		for (let at = 0; at + TAG_SIZE <= block.byteLength;) {
			const tag = view.getUint16(at, true);
			const length = view.getUint16(at + 2, true);
			const value = at + TAG_SIZE;
			const end = value + length;
			if (block.byteLength < end || !isLengthValid(tag, length)) return false;
			if (tag === TAG_TAIL) {
				const crc = crc32c(this.#crc, block, at, value + 4); // All but fc_crc itself.
				if (view.getUint32(value, true) !== this.sequence || view.getUint32(value + 4, true) !== crc) return false;
				for (const operation of this.#pending) this.operations.push(operation);
				this.#pending = [];
				this.#crc = 0;
			} else {
				if (tag === TAG_HEAD) {
					this.unknownFeatures = view.getUint32(value, true);
					if (this.unknownFeatures !== 0 || view.getUint32(value + 4, true) !== this.sequence) return false;
				}
				this.#crc = crc32c(this.#crc, block, at, end);
				const operation = decodeOperation(tag, block.subarray(value, end));
				if (operation) this.#pending.push(operation);
			}
			at = end;
		}
		return true;
	}
}

function isLengthValid(tag: number, length: number): boolean {
	switch (tag) {
		case TAG_ADD_RANGE:
			return length === 16;
		case TAG_DEL_RANGE:
			return length === 12;
		case TAG_CREAT:
		case TAG_LINK:
		case TAG_UNLINK:
			return 9 <= length && length <= 8 + 255;
		case TAG_INODE:
			return 4 + MIN_INODE_SIZE <= length;
		case TAG_PAD:
			return true;
		case TAG_TAIL:
			return 8 <= length;
		case TAG_HEAD:
			return length === 8;
		default:
			return false;
	}
}

/** `undefined` for tags that change nothing. OK: the lengths were checked. */
function decodeOperation(tag: number, value: Uint8Array): FastCommitOperation | undefined {
	const view = viewOf(value);
	switch (tag) {
		case TAG_INODE:
			return { tag: 'inode', inode: view.getUint32(0, true), raw: value.slice(4) };
		case TAG_ADD_RANGE: {
			const stored = view.getUint16(8, true);
			const unwritten = MAX_WRITTEN_LENGTH < stored;
			return {
				tag: 'addRange',
				inode: view.getUint32(0, true),
				logical: view.getUint32(4, true),
				physical: view.getUint16(10, true) * 2 ** 32 + view.getUint32(12, true),
				length: unwritten ? stored - MAX_WRITTEN_LENGTH : stored,
				unwritten,
			};
		}
		case TAG_DEL_RANGE:
			return {
				tag: 'deleteRange',
				inode: view.getUint32(0, true),
				logical: view.getUint32(4, true),
				length: view.getUint32(8, true),
			};
		case TAG_CREAT:
		case TAG_LINK:
		case TAG_UNLINK:
			return {
				tag: tag === TAG_CREAT ? 'create' : tag === TAG_LINK ? 'link' : 'unlink',
				directory: view.getUint32(0, true),
				inode: view.getUint32(4, true),
				name: rawFromBytes(value.subarray(8)),
			};
		default:
			return undefined;
	}
}

function touchedBy(
	operations: readonly FastCommitOperation[],
): Pick<FastCommitOverlay, 'touchedInodes' | 'touchedDirectories'> {
	const touchedInodes = new Set<number>();
	const touchedDirectories = new Set<number>();
	for (const operation of operations) {
		touchedInodes.add(operation.inode);
		if ('directory' in operation) {
			touchedDirectories.add(operation.directory);
			touchedInodes.add(operation.directory);
			// A directory that is created begins with no names of its own, whatever its blocks held before.
			if (operation.tag === 'create') touchedDirectories.add(operation.inode);
		}
	}
	return { touchedInodes, touchedDirectories };
}
