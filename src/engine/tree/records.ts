/** Entries of a tree as the plain records that leave the engine. */
import type { Timestamp } from '../filesystem/filesystem.js';
import type { ListRecord, VolumeRecord } from '../../shared/records.js';
import { EngineError } from '../util/errors.js';
import { textFromRaw, type RawName, type RawPath } from '../util/names.js';
import type { Volume } from '../volume/volume.js';
import type { FileTree, MachineTree, TreeEntry } from './file-tree.js';

/** Beyond what JavaScript's dates reach, some 285,000 years from now. */
const MAX_DATE_SECONDS = 8.64e12;

/** Of nearly every entry: a listing asks 100,000 times. */
const NO_LINK = { target: undefined, error: undefined };

/**
 * The record of an entry of `tree`. Reads the target of a symbolic link; what cannot be read of it is told in `error`.
 *
 * @throws EngineError `ERR_CANCELLED`, nothing else.
 */
export function listRecord(tree: FileTree | MachineTree, entry: TreeEntry): ListRecord {
	const { inode } = entry;
	const { target, error } = linkOf(tree, entry);
	return {
		path: textFromRaw(entry.path),
		type: entry.kind,
		size: inode?.size ?? 0,
		mode: modeText(inode?.mode ?? (entry.kind === 'directory' ? 0o755 : 0)),
		uid: inode?.uid ?? 0,
		gid: inode?.gid ?? 0,
		mtime: isoTime(inode?.mtime ?? { sec: 0, nsec: 0 }),
		...(target === undefined ? {} : { target }),
		...(inode?.device === undefined ? {} : { device: `${inode.device.major}:${inode.device.minor}` }),
		...(inode === undefined ? {} : { links: inode.links, inode: inode.number }),
		...(error === undefined ? {} : { error }),
		...(entry.volume === undefined ? {} : { volume: volumeRecord(entry.volume, entry.path) }),
	};
}

/** Where a symbolic link leads, as text, and the code of what is wrong with an entry. @throws as `listRecord()` does. */
export function linkOf(
	tree: FileTree | MachineTree,
	entry: TreeEntry,
): { readonly target: string | undefined; readonly error: string | undefined } {
	const error = entry.problem?.code;
	if (entry.inode?.kind !== 'symlink') return error === undefined ? NO_LINK : { target: undefined, error };
	try {
		return { target: textFromRaw(readTarget(tree, entry)), error };
	} catch (thrown) {
		if (!EngineError.is(thrown) || thrown.code === 'ERR_CANCELLED') throw thrown;
		return { target: undefined, error: error ?? thrown.code };
	}
}

export function volumeRecord(volume: Volume, path: RawPath): VolumeRecord {
	return {
		path: textFromRaw(path),
		offset: volume.offset,
		size: volume.size,
		type: volume.type,
		label: textFromRaw(volume.label),
		uuid: textFromRaw(volume.uuid),
		readable: volume.readable,
		partitionType: volume.partitionType,
		partitionName: textFromRaw(volume.partitionName),
		...(volume.problem === undefined ? {} : { problem: volume.problem }),
	};
}

/** Four octal digits. */
export function modeText(mode: number): string {
	return mode.toString(8).padStart(4, '0');
}

/**
 * ISO 8601 in UTC with nine digits of a second. Years outside 0–9999 have a sign and six digits, as ISO 8601 has them;
 * seconds outside JavaScript's dates are given as `@` and a number.
 */
export function isoTime({ sec, nsec }: Timestamp): string {
	const fraction = String(nsec).padStart(9, '0');
	if (Math.abs(sec) >= MAX_DATE_SECONDS) return `@${sec}.${fraction}`;
	const day = Math.floor(sec / SECONDS_A_DAY);
	// Files that lie beside each other are mostly of one day, and a date costs ten times the rest.
	if (day !== lastDay.day) lastDay = { day, text: new Date(day * SECONDS_A_DAY * 1000).toISOString().slice(0, -13) };
	const second = sec - day * SECONDS_A_DAY;
	const hours = twoDigits(Math.floor(second / 3600));
	const minutes = twoDigits(Math.floor(second / 60) % 60);
	return `${lastDay.text}${hours}:${minutes}:${twoDigits(second % 60)}.${fraction}Z`;
}

const SECONDS_A_DAY = 86_400;
/** The date that was asked for last, up to its `T`. */
let lastDay = { day: 0, text: '1970-01-01T' };

function twoDigits(value: number): string {
	return value < 10 ? `0${value}` : String(value);
}

/** Straight from the inode where the tree is a machine's: looking the path up would read its folder for each link in it. */
function readTarget(tree: FileTree | MachineTree, entry: TreeEntry): RawName {
	const mount = 'mountOf' in tree ? tree.mountOf(entry.path) : undefined;
	return mount && entry.inode ? mount.filesystem().readLink(entry.inode) : tree.readLink(entry.path);
}
