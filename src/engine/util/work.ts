import { EngineError } from './errors.js';

/** How far long work has come. `total` is `undefined` while it is not known. */
export interface Progress {
	/** What is being done, for a person: "Comparing inodes". */
	readonly step: string;
	readonly done: number;
	readonly total?: number;
	readonly unit: 'bytes' | 'files' | 'clusters' | 'snapshots' | 'steps';
}

/**
 * The line between long work and whoever asked for it.
 *
 * The engine reads synchronously, so it cannot hear an event while it works; it asks instead. In a worker thread
 * the answer comes from memory shared with the caller.
 */
export interface Work {
	/** Called at loop heads. @throws EngineError `ERR_CANCELLED` once the caller has lost interest. */
	throwIfCancelled(): void;
	/** Cheap to call often: the receiver drops what comes more than ten times a second. */
	report(progress: Progress): void;
}

/** Work that nobody watches. */
export const UNWATCHED: Work = {
	throwIfCancelled: () => undefined,
	report: () => undefined,
};

export function cancelled(): EngineError {
	return new EngineError('ERR_CANCELLED', 'cancelled');
}
