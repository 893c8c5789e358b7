/** What the parts of the ext4 reader share: the superblock, the blocks, and a place to report to. */
import type { ErrorRecord } from '../../util/errors.js';
import type { BlockReader } from './blocks.js';
import type { Superblock } from './superblock.js';

export interface Core {
	readonly superblock: Superblock;
	readonly blocks: BlockReader;
	/** Damage that was met and does not stop reading. */
	report(problem: ErrorRecord): void;
}

/** A run of blocks of a file. Numbers are blocks; `[logical, logical + count)` is kept at `physical` and after. */
export interface BlockRun {
	readonly logical: number;
	readonly physical: number;
	readonly count: number;
	/** Allocated but never written: reads as zeros. */
	readonly unwritten: boolean;
}
