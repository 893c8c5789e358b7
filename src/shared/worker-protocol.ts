/**
 * What travels between the extension host and the engine's worker threads: calls of `EngineApi`, their answers,
 * their progress, and the wish to end them.
 *
 * A call carries an id, a word of shared memory and its arguments. The caller writes 1 into the word to cancel: the
 * engine computes synchronously and hears no message meanwhile, but it reads the word. Errors travel as records.
 */
import type { EngineApi, ProgressRecord } from './engine-api.js';
import type { ErrorRecord } from './records.js';

export type EngineMethod = keyof EngineApi;

/** `interactive` is what a person waits for at the keyboard; `long` may take minutes and must not stand before it. */
export type WorkerRole = 'interactive' | 'long';

/** Of each method: how many parameters stand before `call`, and which thread does it. */
export const METHODS = {
	listSources: { arity: 0, role: 'interactive' },
	addMachine: { arity: 1, role: 'interactive' },
	removeSource: { arity: 1, role: 'interactive' },
	relocateSource: { arity: 2, role: 'interactive' },
	setConnection: { arity: 2, role: 'interactive' },
	discover: { arity: 1, role: 'long' },
	info: { arity: 1, role: 'interactive' },
	timeline: { arity: 1, role: 'interactive' },
	generation: { arity: 1, role: 'interactive' },
	exclusiveBytes: { arity: 1, role: 'long' },
	takeSnapshot: { arity: 2, role: 'long' },
	rollBack: { arity: 1, role: 'long' },
	undo: { arity: 1, role: 'long' },
	deleteSnapshot: { arity: 1, role: 'long' },
	renameSnapshot: { arity: 2, role: 'interactive' },
	setNote: { arity: 2, role: 'interactive' },
	settle: { arity: 1, role: 'long' },
	stat: { arity: 2, role: 'interactive' },
	list: { arity: 3, role: 'interactive' },
	facts: { arity: 2, role: 'interactive' },
	read: { arity: 3, role: 'interactive' },
	properties: { arity: 2, role: 'interactive' },
	render: { arity: 3, role: 'interactive' },
	find: { arity: 3, role: 'long' },
	restore: { arity: 3, role: 'long' },
	compare: { arity: 3, role: 'long' },
	summary: { arity: 3, role: 'long' },
	history: { arity: 2, role: 'long' },
	textDiff: { arity: 3, role: 'interactive' },
} as const satisfies Record<EngineMethod, { readonly arity: number; readonly role: WorkerRole }>;

/** What a worker is told when it starts. */
export interface WorkerSetup {
	readonly role: WorkerRole;
	/** Strata's home; without it, the platform's data folder. */
	readonly home?: string;
	/** Without it, `qemu-img` on the PATH. */
	readonly qemuImg?: string;
	/** False in a workspace that is not trusted: no program may be started. */
	readonly trusted: boolean;
	/** How many safety snapshots a source keeps. */
	readonly keepSafetySnapshots: number;
}

export type Reply = { readonly ok: unknown } | { readonly error: ErrorRecord };

/** What the worker does for the extension. */
export interface WorkerFunctions {
	call(id: number, method: EngineMethod, args: readonly unknown[], cancel: SharedArrayBuffer): Promise<Reply>;
	/** Beside the shared word, for a call that waits for a program and not in a loop. */
	cancel(id: number): void;
}

/** What the worker tells the extension. Events, but for `piece`: none is answered. */
export interface ClientFunctions {
	progress(id: number, progress: ProgressRecord): void;
	/**
	 * A piece of an answer's long list, before the answer that lacks it. Awaited: the next piece is sent when this one
	 * was taken, so that whoever else waits for the extension host has its turn in between.
	 */
	piece(id: number, items: readonly unknown[]): void;
	log(level: 'error' | 'warn' | 'info' | 'debug', message: string): void;
}

/** Answers with a list that may be long, by the field that holds it: it travels in pieces. */
export const LISTS: Partial<Record<EngineMethod, string>> = {
	timeline: 'snapshots',
	list: 'entries',
	compare: 'changes',
};

/** Items of a message: what decodes within a few milliseconds, since the extension host does nothing else meanwhile. */
export const ITEMS_PER_MESSAGE = 500;
