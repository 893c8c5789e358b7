/** Every version of one path over the states of a machine: which states hold the same, along the tree of snapshots. */
import { createHash } from 'node:crypto';
import type { FileKind, Filesystem, Inode, Timestamp } from '../filesystem/filesystem.js';
import { Ext4 } from '../filesystem/ext4/ext4.js';
import { changedRanges } from '../image/changed.js';
import type { Mount } from '../tree/file-tree.js';
import { EngineError, type ErrorRecord } from '../util/errors.js';
import { bytesFromRaw, type RawPath } from '../util/names.js';
import type { Work } from '../util/work.js';
import { isDamage, UnreadableSide } from './change.js';
import { contentByRuns } from './content.js';
import { diskOf, type ComparedState } from './diff.js';
import { Ext4Side } from './ext4-side.js';
import { blocksThatMayDiffer } from './fast/may-differ.js';

/** A state with its place in the tree. */
export interface VersionState extends ComparedState {
	readonly id: string;
	/** Id of the state that it grew from; null, or one that is not among the states, where that is not known. */
	readonly parent: string | null;
	/** When it was taken. */
	readonly time: Timestamp;
}

/** A run of states, connected in the tree, in which a path holds the same. */
export interface Version {
	/** Newest first. */
	readonly states: readonly string[];
	readonly present: boolean;
	/** When the oldest of the states was taken: the version is there since then, at the latest. */
	readonly time: Timestamp;
	readonly kind: FileKind | undefined;
	/** Bytes of a regular file's content or of a link's target; else 0. */
	readonly size: number;
	/** Of the content of a regular file, or of a link's target; else empty. */
	readonly sha256: string;
	/** The path could not be read, and so nothing is known of it. */
	readonly error: ErrorRecord | undefined;
}

/**
 * The versions of `path`, newest first. Mode, owner and times do not make a version; type and content do.
 *
 * A file is read once a version, and not at all where an older state keeps it in the same place.
 *
 * @param states the newest first, as the timeline has them.
 * @throws EngineError `ERR_CANCELLED`, `ERR_CHANGED`, `ERR_IO`.
 */
export function versionsOf(states: readonly VersionState[], path: RawPath, work: Work): Version[] {
	const facts = new Map<string, Fact>();
	const byId = new Map(states.map(state => [state.id, state]));
	let done = 0;
	for (const state of parentsFirst(states)) {
		work.throwIfCancelled();
		work.report({ step: 'Reading versions', done: ++done, total: states.length, unit: 'snapshots' });
		const parent = state.parent === null ? undefined : byId.get(state.parent);
		const known = parent && facts.get(parent.id);
		facts.set(state.id, factOf(state, path, parent && known ? { state: parent, fact: known } : undefined, work));
	}
	return runsOf(states, facts);
}

/** What a path is in one state. */
interface Fact {
	readonly present: boolean;
	readonly kind: FileKind | undefined;
	readonly size: number;
	readonly sha256: string;
	/** Of what has no content: a device's numbers. */
	readonly other: string;
	readonly error: ErrorRecord | undefined;
	readonly place: { readonly mount: Mount; readonly inode: Inode } | undefined;
}

const ABSENT: Fact = {
	present: false,
	kind: undefined,
	size: 0,
	sha256: '',
	other: '',
	error: undefined,
	place: undefined,
};

function factOf(
	state: VersionState,
	path: RawPath,
	parent: { readonly state: VersionState; readonly fact: Fact } | undefined,
	work: Work,
): Fact {
	try {
		const entry = state.tree.stat(path);
		if (!entry.inode) return { ...ABSENT, present: true, kind: entry.kind };
		const { inode } = entry;
		const mount = mountOf(state, path);
		const fact: Fact = { ...ABSENT, present: true, kind: inode.kind, place: mount && { mount, inode } };
		if (inode.kind === 'symlink') {
			const target = bytesFromRaw(state.tree.readLink(path));
			return { ...fact, size: target.byteLength, sha256: createHash('sha256').update(target).digest('hex') };
		}
		if (inode.kind !== 'file') {
			return { ...fact, other: inode.device ? `${inode.device.major}:${inode.device.minor}` : '' };
		}
		const isSame = parent && mount && isKeptInPlace(parent.state, parent.fact, state, mount, inode, work);
		const sha256 = isSame ? parent.fact.sha256 : hash(mount?.filesystem(), state, path, inode, work);
		return { ...fact, size: inode.size, sha256 };
	} catch (error) {
		if (EngineError.is(error, 'ERR_NOT_FOUND') || EngineError.is(error, 'ERR_NOT_A_DIRECTORY')) return ABSENT;
		if (isDamage(error)) return { ...ABSENT, present: true, error: error.toJSON() };
		throw error;
	}
}

/** Whether both states hold the same bytes for certain, by where they are kept and by reading no more than differs. */
function isKeptInPlace(
	parent: VersionState,
	fact: Fact,
	state: VersionState,
	mount: Mount,
	inode: Inode,
	work: Work,
): boolean {
	const { place } = fact;
	if (!place || fact.error || place.inode.kind !== 'file' || place.inode.size !== inode.size) return false;
	const disk = diskOf(state, mount);
	if (diskOf(parent, place.mount) !== disk || parent.images[disk] !== state.images[disk]) return false;
	if (place.mount.volume.offset !== mount.volume.offset) return false;
	const [a, b] = [place.mount.filesystem(), mount.filesystem()];
	if (!(a instanceof Ext4) || !(b instanceof Ext4)) return false;
	if (inode.size === 0) return true;
	const sides = { a: new Ext4Side('a', a, place.mount.source), b: new Ext4Side('b', b, mount.source) };
	const changed = changedRanges(parent.disks[disk]!, state.disks[disk]!, work); // OK: one a disk.
	try {
		return contentByRuns(sides, blocksThatMayDiffer(changed, mount.volume.offset, sides), work)(place.inode, inode);
	} catch (error) {
		if (error instanceof UnreadableSide) return false; // Reading it says what is wrong.
		throw error;
	}
}

function hash(
	filesystem: Filesystem | undefined,
	state: VersionState,
	path: RawPath,
	inode: Inode,
	work: Work,
): string {
	using source = filesystem ? filesystem.openFile(inode) : state.tree.openFile(path);
	const sum = createHash('sha256');
	const chunk = Buffer.allocUnsafe(Math.min(source.size, 256 * 1024));
	for (let at = 0; at < source.size; at += chunk.length) {
		work.throwIfCancelled();
		const part = chunk.subarray(0, Math.min(chunk.length, source.size - at));
		source.read(at, part);
		sum.update(part);
	}
	return sum.digest('hex');
}

function mountOf(state: VersionState, path: RawPath): Mount | undefined {
	return state.tree.mounts.find(mount => path === mount.path || path.startsWith(`${mount.path}/`));
}

/** Join each state to its parent where both hold the same. */
function runsOf(states: readonly VersionState[], facts: ReadonlyMap<string, Fact>): Version[] {
	const runs = new Map<string, string[]>();
	for (const { id, parent } of parentsFirst(states)) {
		const run = parent === null ? undefined : runs.get(parent);
		const isSame = parent !== null && isSameVersion(facts.get(parent), facts.get(id));
		if (run && isSame) run.push(id);
		runs.set(id, run && isSame ? run : [id]);
	}
	const byId = new Map(states.map(state => [state.id, state]));
	const versions: Version[] = [];
	// OK below: every id is a state's, and has a fact.
	for (const run of new Set(states.map(state => runs.get(state.id)!))) {
		const { present, kind, size, sha256, error } = facts.get(run[0]!)!;
		versions.push({ states: [...run].reverse(), present, time: byId.get(run[0]!)!.time, kind, size, sha256, error });
	}
	return versions;
}

/** The oldest first, and each state behind its parent, whatever the clocks said. */
function parentsFirst(states: readonly VersionState[]): VersionState[] {
	const byId = new Map(states.map(state => [state.id, state]));
	const ordered = new Set<VersionState>();
	for (const state of [...states].reverse()) {
		const line: VersionState[] = [];
		for (let at: VersionState | undefined = state; at && !ordered.has(at) && !line.includes(at);) {
			line.push(at);
			at = at.parent === null ? undefined : byId.get(at.parent);
		}
		for (const each of line.reverse()) ordered.add(each);
	}
	return [...ordered];
}

function isSameVersion(a: Fact | undefined, b: Fact | undefined): boolean {
	if (!a || !b || a.error || b.error) return false;
	return (
		a.present === b.present && a.kind === b.kind && a.size === b.size && a.sha256 === b.sha256 && a.other === b.other
	);
}
