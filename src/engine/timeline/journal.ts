/**
 * The journal of one machine: JSON records, one a line, only ever appended, each on the disk before anything relies on it.
 * It holds what the images cannot: labels, notes, parents, the position, and every action with its begin and its end.
 *
 * A last line that was cut off is passed over. Records of a newer Strata are read as far as they are known; then nothing
 * is written, because what was not understood could be contradicted.
 */
import {
	closeSync,
	constants,
	existsSync,
	fstatSync,
	fsyncSync,
	mkdirSync,
	openSync,
	readSync,
	statSync,
	writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import * as v from 'valibot';
import { ioError } from '../io/file.js';
import { EngineError } from '../util/errors.js';
import { openOwnFile, readOwnFile } from './own-file.js';

export const JOURNAL_VERSION = 1;

/** Far above what a machine collects in years; more is not a journal. */
const MAX_JOURNAL = 512 * 1024 * 1024;

const base = { v: v.number(), time: v.string() };
const KEY = v.string();

/** What Strata knows of a snapshot beyond the image. */
const FACTS = v.object({
	key: KEY,
	note: v.optional(v.string(), ''),
	parent: v.nullable(KEY),
	/** The parent was guessed. */
	inferred: v.optional(v.boolean(), false),
	safety: v.optional(v.boolean(), false),
	consistency: v.optional(v.picklist(['offline', 'validated', 'crash', 'unknown']), 'unknown'),
});

/** One disk as it was when an action began. Tables are raw bytes, deflated, in base64. */
const DISK_BEFORE = v.object({
	path: v.string(),
	/** Ids of the snapshots that there were. */
	ids: v.array(v.string()),
	activeL1: v.string(),
	/** Of a rollback, an undo and a deletion: the snapshot on this disk; null when this disk does not have it. */
	target: v.nullable(v.object({ id: v.string(), name: v.string(), l1: v.string(), diskSize: v.number() })),
	/** The image's first bytes. */
	header: v.string(),
});

const BEGIN = v.object({
	...base,
	type: v.literal('begin'),
	action: v.string(),
	verb: v.picklist(['take', 'rollback', 'undo', 'delete']),
	/** On the command line of every program of this action. */
	marker: v.string(),
	/** Key of the snapshot that the action is about; null when it is being made. */
	target: v.nullable(KEY),
	/** Of a deletion: where the children of what goes will hang. */
	targetParent: v.optional(v.nullable(KEY), null),
	/** Name of the snapshot that is being made: the snapshot itself, or the safety snapshot. Empty for a deletion. */
	making: v.string(),
	note: v.optional(v.string(), ''),
	/** Of what is being made, when the machine runs; else it is `offline`. */
	consistency: v.optional(v.picklist(['offline', 'validated', 'crash', 'unknown'])),
	/** Where the current state was. */
	position: v.nullable(KEY),
	positionInferred: v.optional(v.boolean(), false),
	disks: v.array(DISK_BEFORE),
});

const END = v.object({
	...base,
	type: v.literal('end'),
	action: v.string(),
	verb: v.picklist(['take', 'rollback', 'undo', 'delete']),
	/** `done`: the new state; `undone`: the old one; `left`: neither, somebody else changed the image meanwhile. */
	outcome: v.picklist(['done', 'undone', 'left']),
	made: v.optional(v.array(FACTS), []),
	deleted: v.optional(v.array(v.object({ key: KEY, parent: v.nullable(KEY) })), []),
	/** Absent when it did not change. */
	position: v.optional(v.nullable(KEY)),
	/** Of a rollback: what undoing it needs. */
	undo: v.optional(v.object({ to: KEY, safety: KEY })),
});

const RECORD = v.variant('type', [
	BEGIN,
	/** The safety snapshot of an action stands on every disk: from here on the action is finished, not taken back. */
	v.object({ ...base, type: v.literal('safe'), action: v.string(), key: KEY }),
	END,
	v.object({ ...base, type: v.literal('label'), key: KEY, label: v.string() }),
	v.object({ ...base, type: v.literal('note'), key: KEY, note: v.string() }),
]);

export type JournalRecord = v.InferOutput<typeof RECORD>;
export type BeginRecord = v.InferOutput<typeof BEGIN>;
export type EndRecord = v.InferOutput<typeof END>;
export type SnapshotFacts = v.InferOutput<typeof FACTS>;
export type DiskBefore = v.InferOutput<typeof DISK_BEFORE>;
type Input<T> = T extends unknown ? Omit<T, 'v' | 'time'> : never;
/** A record before it is written: version and time are added. */
export type NewRecord = Input<v.InferInput<typeof RECORD>>;

/** Everything that a journal says, put together. */
export interface JournalState {
	readonly facts: ReadonlyMap<string, SnapshotFacts>;
	readonly labels: ReadonlyMap<string, string>;
	readonly notes: ReadonlyMap<string, string>;
	/** Of deleted snapshots, their parents: children climb to them. */
	readonly deleted: ReadonlyMap<string, string | null>;
	/** `undefined` when no action has set it. */
	readonly position: { readonly key: string | null; readonly time: string } | undefined;
	/** Rollbacks that can be undone, the last one last. A new snapshot begins anew. */
	readonly rollbacks: readonly { readonly time: string; readonly to: string; readonly safety: string }[];
	/** An action that has begun and not ended; `safe` once its safety snapshot stood everywhere. */
	readonly open: { readonly begin: BeginRecord; readonly safe: string | undefined } | undefined;
	/** The highest version of any record. */
	readonly version: number;
	/** Lines that are no JSON. One at the end is an append that was cut off. */
	readonly damagedLines: number;
}

interface Growing {
	facts: Map<string, SnapshotFacts>;
	labels: Map<string, string>;
	notes: Map<string, string>;
	deleted: Map<string, string | null>;
	position: JournalState['position'];
	rollbacks: { time: string; to: string; safety: string }[];
	open: JournalState['open'];
	version: number;
	damagedLines: number;
}

/** Read a journal; one that does not exist is empty. Kept until the file changes. */
export function readJournal(path: string): JournalState {
	const stamp = journalStamp(path);
	const known = cache.get(path);
	if (known?.stamp === stamp) return known.state;
	const state = parseJournal(stamp === '' ? '' : readText(path));
	cache.delete(path);
	cache.set(path, { stamp, state });
	if (MAX_CACHED < cache.size) cache.delete(cache.keys().next().value!); // OK: the map is not empty.
	return state;
}

const MAX_CACHED = 16;
const cache = new Map<string, { stamp: string; state: JournalState }>();

/** Differs when the file does; empty when there is none. */
export function journalStamp(path: string): string {
	const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
	return stat === undefined ? '' : `${stat.ino}.${stat.size}.${stat.mtimeNs}`;
}

export function parseJournal(text: string): JournalState {
	const state: Growing = {
		facts: new Map(),
		labels: new Map(),
		notes: new Map(),
		deleted: new Map(),
		position: undefined,
		rollbacks: [],
		open: undefined,
		version: 0,
		damagedLines: 0,
	};
	for (const line of text.split('\n')) {
		if (line === '') continue;
		let value: unknown;
		try {
			value = JSON.parse(line);
		} catch {
			state.damagedLines++;
			continue;
		}
		const version = (value as { v?: unknown } | null)?.v;
		if (typeof version === 'number') state.version = Math.max(state.version, version);
		const record = v.safeParse(RECORD, value);
		// What is not understood belongs to a newer version, or is damage that still is JSON.
		if (record.success) apply(state, record.output);
		else if (version === JOURNAL_VERSION) state.damagedLines++;
	}
	return state;
}

/**
 * Append records, and return once they are on the disk.
 *
 * @throws EngineError `ERR_UNSUPPORTED` when a newer Strata has written here; `ERR_NO_SPACE`, `ERR_IO`.
 */
export function appendJournal(path: string, ...records: readonly NewRecord[]): void {
	const { version } = readJournal(path);
	if (JOURNAL_VERSION < version) {
		throw new EngineError(
			'ERR_UNSUPPORTED',
			`${path} was written by a newer Strata (version ${version}): update Strata to change this machine`,
			{
				file: path,
				field: 'v',
				expected: JOURNAL_VERSION,
				actual: version,
			},
		);
	}
	const time = new Date().toISOString();
	const lines = records.map(record => `${JSON.stringify({ v: JOURNAL_VERSION, time, ...record })}\n`).join('');
	const isNew = !existsSync(path);
	try {
		mkdirSync(dirname(path), { recursive: true });
		const fd = openOwnFile(path, constants.O_RDWR | constants.O_APPEND | constants.O_CREAT);
		try {
			// A line that was cut off must not swallow the record that follows it.
			const bytes = Buffer.from(endsCleanly(fd) ? lines : `\n${lines}`);
			for (let done = 0; done < bytes.byteLength;) done += writeSync(fd, bytes, done);
			fsyncSync(fd);
		} finally {
			closeSync(fd);
		}
		if (isNew) syncFolder(dirname(path));
	} catch (cause) {
		throw EngineError.is(cause) ? cause : ioError(path, cause);
	}
}

/** Make names in a folder durable. Not every system lets a folder be opened; those keep names safe by themselves. */
export function syncFolder(folder: string): void {
	let fd: number;
	try {
		fd = openSync(folder, 'r');
	} catch {
		return;
	}
	try {
		fsyncSync(fd);
	} catch (cause) {
		const { code } = cause as NodeJS.ErrnoException;
		if (code !== 'EINVAL' && code !== 'EPERM' && code !== 'EISDIR') throw cause;
	} finally {
		closeSync(fd);
	}
}

function apply(state: Growing, record: JournalRecord): void {
	switch (record.type) {
		case 'begin':
			state.open = { begin: record, safe: undefined };
			break;
		case 'safe':
			if (state.open?.begin.action === record.action) state.open = { ...state.open, safe: record.key };
			break;
		case 'label':
			state.labels.set(record.key, record.label);
			break;
		case 'note':
			state.notes.set(record.key, record.note);
			break;
		case 'end':
			applyEnd(state, record);
			break;
	}
}

function applyEnd(state: Growing, record: EndRecord): void {
	if (state.open?.begin.action === record.action) state.open = undefined;
	for (const facts of record.made) {
		state.facts.set(facts.key, facts);
		state.deleted.delete(facts.key);
	}
	for (const { key, parent } of record.deleted) {
		state.deleted.set(key, parent);
		state.facts.delete(key);
		state.labels.delete(key);
		state.notes.delete(key);
	}
	if (record.position !== undefined) state.position = { key: record.position, time: record.time };
	if (record.outcome !== 'done') return;
	if (record.verb === 'take') state.rollbacks = [];
	else if (record.verb === 'undo') state.rollbacks.pop();
	else if (record.undo) state.rollbacks.push({ time: record.time, ...record.undo });
}

function readText(path: string): string {
	try {
		return readOwnFile(path, MAX_JOURNAL);
	} catch (cause) {
		throw EngineError.is(cause) ? cause : ioError(path, cause);
	}
}

function endsCleanly(fd: number): boolean {
	const { size } = fstatSync(fd);
	if (size === 0) return true;
	const last = Buffer.alloc(1);
	return readSync(fd, last, 0, 1, size - 1) === 0 || last[0] === 10;
}
