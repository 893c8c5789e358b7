/** One path that differs between two file trees, and in what. The engine's own form; `changeRecord` makes the shared one. */
import type {
	ChangeField,
	ChangeRecord,
	ChangeStatus,
	ErrorRecord as SharedErrorRecord,
} from '../../shared/records.js';
import type { FileKind, Inode } from '../filesystem/filesystem.js';
import { EngineError, type ErrorRecord } from '../util/errors.js';
import { textFromRaw, type RawPath } from '../util/names.js';

/** What a path was, or is, on one side. A volume that cannot be read has a place in the tree and no inode. */
export interface ChangeSide {
	readonly kind: FileKind;
	readonly inode: Inode | undefined;
}

/**
 * A difference of one path.
 *
 * - `A`, `D`: the path is there on one side only. A new or removed directory comes with every path below it.
 * - `M`: what the node holds differs: a file's bytes, a link's target, a device's numbers.
 * - `m`: only what is said about it differs: mode, owner, mtime, extended attributes, number of links.
 * - `T`: another type of file; what lay below a directory that is none any more is `D`, and the other way round `A`.
 * - `R`: the path is new, and what it names was at `from` before. Every path below a moved directory is told by itself.
 * - `E`: the path could not be read on `side`; nothing else is said about it.
 */
export interface Change {
	readonly status: ChangeStatus;
	readonly path: RawPath;
	readonly from?: RawPath;
	/** In the order of `FIELD_ORDER`; empty for A, D and E. */
	readonly fields: readonly ChangeField[];
	readonly a: ChangeSide | undefined;
	readonly b: ChangeSide | undefined;
	readonly side?: 'a' | 'b';
	readonly error?: ErrorRecord;
	/** Index of the pair of volumes in which it was found. */
	readonly volume: number;
}

export const FIELD_ORDER: readonly ChangeField[] = [
	'content',
	'type',
	'mode',
	'owner',
	'mtime',
	'xattr',
	'target',
	'device',
	'links',
];

/** Fields that make a change an `M`; all others alone make it an `m`. */
const HOLDS: ReadonlySet<ChangeField> = new Set(['content', 'target', 'device']);

export function statusOfFields(fields: readonly ChangeField[]): 'M' | 'm' | 'T' {
	if (fields.includes('type')) return 'T';
	return fields.some(field => HOLDS.has(field)) ? 'M' : 'm';
}

/** Byte order of the paths; of one path, side a before side b. */
export function sortChanges(changes: Change[]): Change[] {
	return changes.sort((x, y) =>
		x.path < y.path ? -1 : y.path < x.path ? 1 : (x.side ?? '') < (y.side ?? '') ? -1 : x.side === y.side ? 0 : 1,
	);
}

/** The plain record that leaves the engine. */
export function changeRecord(change: Change): ChangeRecord {
	const { a, b } = change;
	return {
		status: change.status,
		path: textFromRaw(change.path),
		...(change.from === undefined ? {} : { from: textFromRaw(change.from) }),
		fields: change.fields,
		size: [sizeOf(a), sizeOf(b)],
		type: [a?.kind ?? null, b?.kind ?? null],
		mode: [modeOf(a), modeOf(b)],
		...(change.side === undefined ? {} : { side: change.side }),
		// OK: details of an error are strings and numbers; the engine's type only names which.
		...(change.error === undefined ? {} : { error: change.error as SharedErrorRecord }),
	};
}

function sizeOf(side: ChangeSide | undefined): number | null {
	if (!side) return null;
	return side.kind === 'directory' ? 0 : (side.inode?.size ?? 0);
}

function modeOf(side: ChangeSide | undefined): string | null {
	return side?.inode ? side.inode.mode.toString(8).padStart(4, '0') : null;
}

/** Something could not be read on one side of a comparison. Caught where the path is known, and told as an `E`. */
export class UnreadableSide extends Error {
	constructor(
		readonly side: 'a' | 'b',
		readonly reason: EngineError,
	) {
		super(reason.message, { cause: reason });
	}
}

/**
 * Run `read`, and say which side it was that failed. Cancellation, a changed image and bugs pass through as they are:
 * they end the comparison.
 */
export function onSide<T>(side: 'a' | 'b', read: () => T): T {
	try {
		return read();
	} catch (error) {
		if (isDamage(error)) throw new UnreadableSide(side, error);
		throw error;
	}
}

/** Whether an error is about the bytes that were read, so that work can go on with the rest. */
export function isDamage(error: unknown): error is EngineError {
	return (
		EngineError.is(error) &&
		error.code !== 'ERR_CANCELLED' &&
		error.code !== 'ERR_CHANGED' &&
		error.code !== 'ERR_BUSY' &&
		error.code !== 'ERR_USAGE'
	);
}
