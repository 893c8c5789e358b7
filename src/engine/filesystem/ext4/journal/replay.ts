/** Replay of an ext4 journal (jbd2) in memory: what mounting would have written, without writing it. */
import type { ErrorRecord } from '../../../util/errors.js';
import type { FastCommitOverlay } from './fast-commit.js';

export interface JournalInput {
	/** Bytes; the same for the filesystem and its journal. */
	readonly blockSize: number;
	/** Blocks of the filesystem. */
	readonly blockCount: number;
	/** Blocks of the journal, from the size of its inode. */
	readonly journalBlocks: number;
	/** Fill `into` (one block) with block `index` of the journal. */
	readJournalBlock(index: number, into: Uint8Array): void;
	readonly fsUuid: Uint8Array;
	/** The filesystem has the `fast_commit` feature. */
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
 * @throws EngineError `ERR_CORRUPT` when there is no journal superblock, `ERR_UNSUPPORTED` for features by name.
 */
export function replayJournal(input: JournalInput): Replay {
	void input;
	return { blocks: new Map(), fastCommit: undefined, needed: false, transactions: 0, problems: [] };
}
