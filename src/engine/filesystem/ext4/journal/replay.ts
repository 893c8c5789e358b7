/**
 * Replay of an ext3 or ext4 journal (jbd2) in memory: what mounting would have written, without writing it. A snapshot
 * of a running machine is not clean, and most of what just happened in it is in the journal alone.
 *
 * Supported: superblocks of version 1 and 2; features revoke, 64bit, async_commit, csum_v2, csum_v3, fast_commit and
 * version 1 checksums; logs that wrap around; transaction numbers that wrap around.
 * Not supported: an external journal (the caller says so); other incompatible features, refused by name.
 *
 * Damage: where mounting would fail, the transactions before the damage are replayed all the same, and the damage is
 * told in `problems`. A data block whose checksum is wrong is left out and the rest of its transaction replayed, which
 * is what mounting does before it fails.
 *
 * Sources: see format.ts. Oracle in tests: recovery by the kernel (mount), and by e2fsck.
 */
import type { ErrorRecord } from '../../../util/errors.js';
import { ReplayedBlocks } from './blocks.js';
import type { ReadJournalBlock } from './blocks.js';
import type { FastCommitOverlay } from './fast-commit.js';
import { scanFastCommits } from './fast-commit.js';
import { MAX_REPLAYED_BLOCKS, MAX_REVOKED_BLOCKS, TAG_ESCAPE } from './format.js';
import { advance, decodeLayout } from './layout.js';
import type { JournalLayout } from './layout.js';
import { JournalProblems } from './problems.js';
import { isDataValid, revokedBy, tagsOf } from './records.js';
import { scanLog } from './scan.js';
import type { Transaction } from './scan.js';

export interface JournalInput {
	/** Bytes; the same for the filesystem and its journal. */
	readonly blockSize: number;
	/** Blocks of the filesystem. */
	readonly blockCount: number;
	/** Blocks of the journal, from the size of its inode. */
	readonly journalBlocks: number;
	/** Fill `into` (one block) with block `index` of the journal. Called during replay, and later by `blocks.get`. */
	readJournalBlock(index: number, into: Uint8Array): void;
	readonly fsUuid: Uint8Array;
	/** The filesystem has the `fast_commit` feature. The journal has its own, and that one decides. */
	readonly fastCommit: boolean;
}

export interface Replay {
	/** Newest content of every block that the journal holds, by block number of the filesystem. Read on demand. */
	readonly blocks: ReadonlyMap<number, Uint8Array>;
	/** What fast commits changed on top of `blocks`; `undefined` when there are none. */
	readonly fastCommit: FastCommitOverlay | undefined;
	/** The journal was not empty. */
	readonly needed: boolean;
	/** Complete transactions that were replayed. */
	readonly transactions: number;
	/** Damage that mounting would have met too, and how far replay got. */
	readonly problems: readonly ErrorRecord[];
}

/**
 * Replay the journal as mounting would.
 *
 * @throws EngineError `ERR_CORRUPT` when the journal's superblock cannot be trusted, `ERR_UNSUPPORTED` for features by
 * name, `ERR_LIMIT`; what `readJournalBlock` throws.
 */
export function replayJournal(input: JournalInput): Replay {
	const { blockSize, journalBlocks } = input;
	const read: ReadJournalBlock = (index, into) => {
		input.readJournalBlock(index, into);
	};
	const superblock = new Uint8Array(blockSize);
	read(0, superblock);
	const layout = decodeLayout(superblock, blockSize, journalBlocks);
	const blocks = new ReplayedBlocks(blockSize, read);
	if (layout.start === 0) {
		return { blocks, fastCommit: undefined, needed: false, transactions: 0, problems: [] };
	}

	const problems = new JournalProblems(blockSize);
	const scan = scanLog(layout, read, problems);
	const revoked = readRevokes(layout, read, scan.transactions, problems);
	const transactions = scan.transactions.slice(0, revoked.usable);
	const isWhole = transactions.length === scan.transactions.length && !scan.isDamaged;
	for (const transaction of transactions) {
		placeBlocks(transaction, {
			layout,
			read,
			revoked: revoked.records,
			blockCount: input.blockCount,
			blocks,
			problems,
		});
	}
	// Fast commits are steps on from the last transaction: without it they lead nowhere.
	const fastCommit = isWhole ? scanFastCommits(layout, read, scan.end, problems) : undefined;
	return { blocks, fastCommit, needed: true, transactions: transactions.length, problems: problems.records };
}

interface Revokes {
	/** Block of the filesystem → the newest transaction that revokes it: what it and older ones hold is not replayed. */
	readonly records: ReadonlyMap<number, number>;
	/** How many transactions, from the oldest, can be replayed. */
	readonly usable: number;
}

/** The second pass. Without all its revokes, a transaction and those behind it would write over what others reuse. */
function readRevokes(
	layout: JournalLayout,
	read: ReadJournalBlock,
	transactions: readonly Transaction[],
	problems: JournalProblems,
): Revokes {
	const records = new Map<number, number>();
	const block = new Uint8Array(layout.blockSize);
	for (const [usable, { sequence, revokes }] of transactions.entries()) {
		for (const index of revokes) {
			read(index, block);
			const numbers = revokedBy(layout, block);
			if (!numbers) {
				problems.add(index, 'r_count', `transaction ${sequence} has a damaged revoke block; the log ends before it`);
				return { records, usable };
			}
			for (const number of numbers) records.set(number, sequence); // Transactions are walked in order: the newest stays.
			if (MAX_REVOKED_BLOCKS < records.size) {
				problems.add(index, 'r_count', `more than ${MAX_REVOKED_BLOCKS} blocks are revoked`, {}, 'ERR_LIMIT');
				return { records, usable };
			}
		}
	}
	return { records, usable: transactions.length };
}

interface Placing {
	readonly layout: JournalLayout;
	readonly read: ReadJournalBlock;
	readonly revoked: ReadonlyMap<number, number>;
	readonly blockCount: number;
	readonly blocks: ReplayedBlocks;
	readonly problems: JournalProblems;
}

/** The third pass, of one transaction. */
function placeBlocks(transaction: Transaction, placing: Placing): void {
	const { layout, read, revoked, blockCount, blocks, problems } = placing;
	const { sequence } = transaction;
	const descriptor = new Uint8Array(layout.blockSize);
	const data = new Uint8Array(layout.blockSize);
	for (const index of transaction.descriptors) {
		read(index, descriptor);
		let place = index;
		for (const tag of tagsOf(layout, descriptor)) {
			place = advance(layout, place, 1);
			const { block } = tag;
			const revoke = revoked.get(block);
			if (revoke !== undefined && !isAfter(sequence, revoke)) continue;
			if (blockCount <= block) {
				problems.add(
					place,
					't_blocknr',
					`transaction ${sequence} has block ${block}, which is outside the filesystem`,
					{
						expected: `below ${blockCount}`,
						actual: block,
					},
				);
				continue;
			}
			if (2 <= layout.checksumVersion) {
				read(place, data);
				if (!isDataValid(layout, tag, data, sequence)) {
					problems.add(place, 't_checksum', `block ${block} of transaction ${sequence} is damaged and left out`);
					continue;
				}
			}
			if (MAX_REPLAYED_BLOCKS <= blocks.size && !blocks.has(block)) {
				problems.add(place, 't_blocknr', `more than ${MAX_REPLAYED_BLOCKS} blocks are changed`, {}, 'ERR_LIMIT');
				return;
			}
			blocks.place(block, place, { escaped: (tag.flags & TAG_ESCAPE) !== 0 });
		}
	}
}

/** Transaction numbers are 32 bits and go round. */
function isAfter(sequence: number, other: number): boolean {
	return ((sequence - other) | 0) > 0;
}
