/** Finds the journal of a filesystem that was not unmounted, and has it replayed in memory. */
import { EngineError, corrupt, type ErrorRecord } from '../../util/errors.js';
import { divCeil } from '../../util/numbers.js';
import type { BlockRun } from './core.js';
import { COMPAT, INCOMPAT } from './features.js';
import { replayJournal, type Replay } from './journal/replay.js';
import type { Superblock } from './superblock.js';

/** Runs of a journal. mke2fs makes it of a few; a filesystem that was full when it was added may have thousands. */
const MAX_RUNS = 65536;

/** What the search for the journal needs of the filesystem as it is stored. */
export interface StoredFilesystem {
	readonly superblock: Superblock;
	readBlock(number: number, into: Uint8Array): void;
	/** Size and runs of the journal's inode. @throws EngineError when it is damaged. */
	journalFile(inode: number): { readonly size: number; readonly runs: Iterable<BlockRun> };
	/** The same from the copy of its i_block that the superblock keeps. */
	journalBackup(): { readonly size: number; readonly runs: Iterable<BlockRun> } | undefined;
}

/** Whether mounting would replay a journal. */
export function needsRecovery(superblock: Superblock): boolean {
	return (superblock.featureIncompat & INCOMPAT.needs_recovery) !== 0;
}

/**
 * Replay the journal.
 *
 * @throws EngineError `ERR_UNSUPPORTED` when the journal is on another device; `ERR_CORRUPT` when it cannot be found.
 */
export function recover(stored: StoredFilesystem): Replay {
	const { superblock } = stored;
	if (superblock.journalInum === 0) {
		const where = superblock.journalUuid.some(byte => byte !== 0) || superblock.journalDev !== 0;
		const message = where
			? 'ext4: the journal is on another device: what it holds is not shown, and files may be older than they seem'
			: 'ext4: the filesystem needs recovery, but has no journal';
		throw new EngineError(where ? 'ERR_UNSUPPORTED' : 'ERR_CORRUPT', message, {
			format: 'ext4',
			field: where ? 's_journal_dev' : 's_journal_inum',
			actual: where ? superblock.journalDev : 0,
		});
	}
	const { size, runs, problem } = findJournal(stored);
	const { blockSize, blockCount } = superblock;
	let last = 0;
	const replay = replayJournal({
		blockSize,
		blockCount,
		journalBlocks: Math.floor(size / blockSize),
		fsUuid: superblock.uuid,
		fastCommit: (superblock.featureCompat & COMPAT.fast_commit) !== 0,
		readJournalBlock(index, into) {
			if (!holds(runs[last], index)) last = runs.findIndex(run => holds(run, index));
			const run = runs[last];
			if (!run || run.unwritten) return corrupt('ext4', 'journal', 0, `a block ${index} on disk`, 'a hole');
			stored.readBlock(run.physical + (index - run.logical), into);
		},
	});
	return problem ? { ...replay, problems: [problem, ...replay.problems] } : replay;
}

interface Journal {
	readonly size: number;
	readonly runs: readonly BlockRun[];
	/** Why the copy of its inode was used. */
	readonly problem: ErrorRecord | undefined;
}

/** The journal's inode or, where that is damaged, the copy in the superblock. */
function findJournal(stored: StoredFilesystem): Journal {
	const { journalInum, blockSize } = stored.superblock;
	try {
		const { size, runs } = stored.journalFile(journalInum);
		if (divCeil(size, blockSize) < 2) corrupt('ext4', 'i_size of the journal', 0, 'at least 2 blocks', size);
		return { size, runs: listRuns(runs), problem: undefined };
	} catch (error) {
		if (!EngineError.is(error, 'ERR_CORRUPT')) throw error;
		const backup = stored.journalBackup();
		if (!backup) throw error;
		return { size: backup.size, runs: listRuns(backup.runs), problem: error.toJSON() };
	}
}

function listRuns(runs: Iterable<BlockRun>): BlockRun[] {
	const list: BlockRun[] = [];
	for (const run of runs) {
		if (MAX_RUNS <= list.length) throw new EngineError('ERR_LIMIT', `ext4: the journal has more than ${MAX_RUNS} runs`);
		list.push(run);
	}
	return list;
}

function holds(run: BlockRun | undefined, index: number): boolean {
	return run !== undefined && run.logical <= index && index < run.logical + run.count;
}
