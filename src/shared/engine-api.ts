/**
 * What the engine does for its callers, as plain data: the command line calls it in its own process, the extension
 * through a worker thread. `engine/timeline/engine.ts` implements it; `engine/worker/` carries it across the thread.
 *
 * Every method may be slow and may be cancelled. Errors are `EngineError`, or their record on the far side of a thread.
 * Paths are text (see records.ts) and begin with `/`; `/` lists volumes (or disks, when a machine has several).
 */
import type {
	ChangeRecord,
	ErrorRecord,
	FileKind,
	HistoryRecord,
	InfoRecord,
	ListRecord,
	SnapshotRecord,
} from './records.js';

/** A state of a source. */
export interface StateRef {
	/** Id of a registered source (8 characters), or the absolute path of an image. */
	readonly source: string;
	/** `current`, or a snapshot's key. */
	readonly state: string;
}

export interface DiskSpec {
	/** Absolute. */
	readonly path: string;
	/** Fixed when the source is added, never probed again; without it, found by content (and never `raw` by suffix alone). */
	readonly format?: 'raw' | 'qcow2';
}

/** How a machine is reached while it runs. */
export interface MachineConnection {
	/** QMP: the absolute path of a Unix socket, a Windows named pipe, or `tcp:HOST:PORT`. */
	readonly qmp?: string;
	/** The guest's agent: as `qmp`. */
	readonly agent?: string;
	/** Name of a libvirt domain, reached through virsh. */
	readonly libvirt?: string;
	/** The command with which the machine is started. */
	readonly command?: string;
}

export interface SourceRecord {
	readonly id: string;
	readonly name: string;
	readonly kind: 'machine';
	readonly disks: readonly DiskSpec[];
	/** The built-in example. */
	readonly example: boolean;
	/** Absent when the machine is only known as images. */
	readonly connection?: MachineConnection;
	/**
	 * `ready`; `inUse`: held by a hypervisor; `unsettled`: an action was cut off, do not start this machine;
	 * `missing`: a disk is not where it was; `changed`: another image lies at its path; `error`: it cannot be opened.
	 */
	readonly status: 'ready' | 'inUse' | 'unsettled' | 'missing' | 'changed' | 'error';
	/** Of every status but `ready`: what happened, and what to do next. */
	readonly statusText: string;
	readonly error?: ErrorRecord;
}

export interface TimelineRecord {
	readonly source: SourceRecord;
	/** Newest first. */
	readonly snapshots: readonly SnapshotRecord[];
	/** Key of the snapshot that the current state grew from; null when not known. */
	readonly position: string | null;
	readonly positionInferred: boolean;
	/** What `undo` would do, by keys; null when there is nothing to undo. */
	readonly undo: { readonly time: string; readonly rolledBackTo: string; readonly safetySnapshot: string } | null;
	/** Why snapshots cannot be made in this source ("raw images hold no snapshots; …"); null when they can. */
	readonly readOnlyReason: string | null;
	/** Sentences about the timeline itself: parents that were not guessed and why, damaged records. */
	readonly notes?: readonly string[];
	/** Changes whenever anything of the above may have changed: poll it. */
	readonly generation: string;
}

export interface ActionResult {
	/** Key of the snapshot that was made, rolled back to, or deleted. */
	readonly key: string;
	readonly id: string;
	readonly name: string;
	/** Of a rollback and an undo: the snapshot that keeps what was there before. */
	readonly safetySnapshot: { readonly key: string; readonly id: string; readonly name: string } | null;
	readonly milliseconds: number;
	/** Sentences that a person should read: "the memory of this snapshot is not restored", … */
	readonly warnings: readonly string[];
	/** Bytes that a deletion freed. */
	readonly freedBytes?: number;
	/** Of a running machine: how long it stood still. */
	readonly pausedMilliseconds?: number;
	/** How long the guest's filesystems were frozen. */
	readonly frozenMilliseconds?: number;
}

export interface CompareOptions {
	/** Only this path and what is below it. */
	readonly path?: string;
	/** Trust size and times; say so. */
	readonly quick?: boolean;
	/** Also directories of which only the mtime changed. */
	readonly directoryTimes?: boolean;
	/** Glob patterns (like .gitignore's, against the path inside the volume); what they match is counted and left out. */
	readonly noise?: readonly string[];
	/** Refuse above this many changes: `ERR_LIMIT`. Default 1,000,000. */
	readonly limit?: number;
}

export interface ComparisonRecord {
	readonly a: StateRef;
	readonly b: StateRef;
	/** Sorted by path. */
	readonly changes: readonly ChangeRecord[];
	readonly counts: Readonly<Record<ChangeRecord['status'], number>>;
	/** Left out by noise rules. */
	readonly hidden: number;
	/** How it was found: by changed clusters, or by walking both trees; and why, when it was the slow way. */
	readonly method: 'fast' | 'walk' | 'quick';
	readonly methodReason: string;
	/** Things the reader should know: "journal replayed on both sides", "3 files could not be read". */
	readonly notes: readonly string[];
	readonly milliseconds: number;
}

/** What changed, in the words of the system inside: packages, services, users. */
export interface SummaryRecord {
	/** One line each, most telling first: "3 packages installed: nginx 1.22.1, …". */
	readonly lines: readonly string[];
	readonly packages: readonly {
		readonly name: string;
		readonly before: string | null;
		readonly after: string | null;
	}[];
	readonly services: readonly {
		readonly name: string;
		readonly change: 'enabled' | 'disabled' | 'added' | 'removed';
	}[];
	readonly users: readonly { readonly name: string; readonly change: 'added' | 'removed' | 'changed' }[];
	/** Path of a changed file to the name of the package that owns it. */
	readonly ownerOf: Readonly<Record<string, string>>;
}

export interface ReadResult {
	readonly bytes: Uint8Array;
	/** Of the whole file. */
	readonly size: number;
}

/** What a file is, so that a caller can pick an editor before it reads a byte. */
export interface FileFacts {
	readonly entry: ListRecord;
	readonly kind:
		| 'text'
		| 'binary'
		| 'empty'
		| 'sqlite'
		| 'elf'
		| 'archive'
		| 'image'
		| 'symlink'
		| 'directory'
		| 'device'
		| 'encrypted'
		| 'unreadable';
	/** Longest line, in characters, of a text file below 50 MB. */
	readonly longestLine: number;
	readonly error?: ErrorRecord;
}

export interface FoundMachine {
	readonly name: string;
	/** Top of each chain. */
	readonly disks: readonly {
		readonly path: string;
		readonly format: string;
		readonly size: number;
		readonly chain: readonly string[];
		readonly snapshots: number;
	}[];
	/** Where the knowledge comes from: 'file', 'libvirt', 'lima', 'vagrant', … */
	readonly origin: string;
	readonly registeredAs: string | null;
}

export interface RestoreResult {
	readonly files: number;
	readonly directories: number;
	readonly links: number;
	readonly bytes: number;
	/** What was left out or changed on the way, and why (devices, refused names, set-user-ID bits dropped). */
	readonly skipped: readonly { readonly path: string; readonly reason: string }[];
}

/** Progress of a call, at most ten a second. */
export interface ProgressRecord {
	readonly step: string;
	readonly done: number;
	readonly total?: number;
	readonly unit: 'bytes' | 'files' | 'clusters' | 'snapshots' | 'steps';
}

/** How a caller follows and ends a call. */
export interface CallOptions {
	readonly signal?: AbortSignal;
	readonly onProgress?: (progress: ProgressRecord) => void;
}

export interface EngineApi {
	// Sources
	listSources(call?: CallOptions): Promise<readonly SourceRecord[]>;
	/**
	 * Register a machine. Nothing is written to the images. `allowOutside`: backing and data files outside the image's
	 * folder may be opened (without it, `ERR_REFUSED` names them).
	 */
	addMachine(
		options: {
			readonly disks: readonly DiskSpec[];
			readonly name?: string;
			readonly allowOutside?: boolean;
			readonly example?: boolean;
			readonly connection?: MachineConnection;
		},
		call?: CallOptions,
	): Promise<SourceRecord>;
	/** Forget a machine. Images and journals stay. */
	removeSource(source: string, call?: CallOptions): Promise<void>;
	/** The image lies elsewhere now: same machine, new paths. Refused when the fingerprint disagrees. */
	relocateSource(source: string, disks: readonly DiskSpec[], call?: CallOptions): Promise<SourceRecord>;
	/** How the machine is reached while it runs, in place of what was known; `null` forgets it. */
	setConnection(source: string, connection: MachineConnection | null, call?: CallOptions): Promise<SourceRecord>;
	discover(
		options: { readonly folders: readonly string[]; readonly knownPlaces: boolean },
		call?: CallOptions,
	): Promise<readonly FoundMachine[]>;
	info(state: StateRef, call?: CallOptions): Promise<InfoRecord>;

	// The timeline and its verbs
	timeline(source: string, call?: CallOptions): Promise<TimelineRecord>;
	/** Cheap: changes when the image or the journal did. */
	generation(source: string, call?: CallOptions): Promise<string>;
	/** Key to bytes. Walks every table of the image: on demand only. */
	exclusiveBytes(source: string, call?: CallOptions): Promise<Readonly<Record<string, number | null>>>;
	takeSnapshot(
		source: string,
		options: {
			readonly label: string;
			readonly note?: string;
			/** RAM and devices too: the running machine can be rolled back to it. Not together with `validated`. */
			readonly memory?: boolean;
			/** Freeze the guest's filesystems for the moment, through its agent. */
			readonly validated?: boolean;
		},
		call?: CallOptions,
	): Promise<ActionResult>;
	rollBack(state: StateRef, call?: CallOptions): Promise<ActionResult>;
	undo(source: string, call?: CallOptions): Promise<ActionResult>;
	deleteSnapshot(state: StateRef, call?: CallOptions): Promise<ActionResult>;
	renameSnapshot(state: StateRef, label: string, call?: CallOptions): Promise<void>;
	setNote(state: StateRef, note: string, call?: CallOptions): Promise<void>;
	settle(source: string, call?: CallOptions): Promise<{ readonly done: readonly string[] }>;

	// Files
	stat(state: StateRef, path: string, call?: CallOptions): Promise<ListRecord>;
	/** Children in name order, from `offset`; `total` is the number there is. */
	list(
		state: StateRef,
		path: string,
		page?: { readonly offset: number; readonly limit: number },
		call?: CallOptions,
	): Promise<{ readonly entries: readonly ListRecord[]; readonly total: number }>;
	facts(state: StateRef, path: string, call?: CallOptions): Promise<FileFacts>;
	/** `ERR_LIMIT` above `maximum` bytes (default 50 MB), before a byte is read. */
	read(
		state: StateRef,
		path: string,
		range?: { readonly offset: number; readonly length: number },
		call?: CallOptions,
	): Promise<ReadResult>;
	/** Mode, owner, times, xattrs, link target: one line a fact, stable, so that two moments diff well. */
	properties(state: StateRef, path: string, call?: CallOptions): Promise<string>;
	/** Text that stands for a file that is not text. `renderer`: 'sqlite', 'elf', 'archive', 'binary' (size, hash, first bytes), 'auto'. */
	render(state: StateRef, path: string, renderer: string, call?: CallOptions): Promise<string>;
	/** Names that contain all of `query`'s words, best first. */
	find(state: StateRef, query: string, limit: number, call?: CallOptions): Promise<readonly ListRecord[]>;
	/** Copy files out into a folder of this host. */
	restore(
		state: StateRef,
		paths: readonly string[],
		options: { readonly to: string; readonly keepOwner?: boolean; readonly keepSetuid?: boolean },
		call?: CallOptions,
	): Promise<RestoreResult>;

	// Comparing
	compare(a: StateRef, b: StateRef, options?: CompareOptions, call?: CallOptions): Promise<ComparisonRecord>;
	summary(a: StateRef, b: StateRef, paths: readonly string[], call?: CallOptions): Promise<SummaryRecord>;
	/** Every version of one path, newest first along each branch. */
	history(source: string, path: string, call?: CallOptions): Promise<readonly HistoryRecord[]>;
	/** Unified text difference of one path; `undefined` for what is not text. */
	textDiff(
		a: StateRef,
		b: StateRef,
		change: { readonly path: string; readonly from?: string },
		call?: CallOptions,
	): Promise<string | undefined>;
}

export type { FileKind };
