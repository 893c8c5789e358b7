/** What callers ask of two states, or of all states of one path, answered as records. */
import type { CompareOptions, ComparisonRecord, TimelineRecord } from '../../shared/engine-api.js';
import type { ChangeRecord, HistoryRecord } from '../../shared/records.js';
import { changeRecord } from '../compare/change.js';
import { diffStates } from '../compare/diff.js';
import { looksLikeText } from '../compare/file-kind.js';
import { noiseFilter } from '../compare/noise.js';
import { unifiedDiff } from '../compare/text-diff.js';
import { isoTime } from '../tree/records.js';
import type { FileTree } from '../tree/file-tree.js';
import { EngineError } from '../util/errors.js';
import { rawFromText, textFromRaw, type RawPath } from '../util/names.js';
import type { Work } from '../util/work.js';
import { CURRENT } from './address.js';
import type { OpenState, Sessions } from './session.js';
import type { Source } from './source.js';
import { versionsOf, type VersionState } from '../compare/history.js';

/** Text of more bytes is not compared line by line. */
const MAX_TEXT = 20 * 1024 * 1024;

export function compareStates(
	a: OpenState,
	b: OpenState,
	options: CompareOptions,
	work: Work,
): Omit<ComparisonRecord, 'a' | 'b'> {
	const started = performance.now();
	const { path, quick, directoryTimes, limit } = options;
	const result = diffStates(
		a,
		b,
		{
			...(path === undefined ? {} : { path: rawFromText(path) }),
			...(quick === undefined ? {} : { quick }),
			...(directoryTimes === undefined ? {} : { directoryTimes }),
			...(limit === undefined ? {} : { limit }),
		},
		work,
	);
	const volumes = [...a.tree.mounts, ...b.tree.mounts].map(mount => textFromRaw(mount.path));
	const isNoise = noiseFilter(options.noise ?? [], volumes);
	const counts = { A: 0, D: 0, M: 0, T: 0, R: 0, m: 0, E: 0 };
	const changes: ChangeRecord[] = [];
	for (const change of result.changes) {
		const record = changeRecord(change);
		if (isNoise(record.path)) continue;
		counts[record.status]++;
		changes.push(record);
	}
	const notes = [...result.notes];
	if (counts.E > 0) notes.push(`${counts.E} ${counts.E === 1 ? 'path' : 'paths'} could not be read`);
	return {
		changes,
		counts,
		hidden: result.changes.length - changes.length,
		method: result.method,
		methodReason: result.methodReason,
		notes,
		milliseconds: Math.round(performance.now() - started),
	};
}

/**
 * A unified difference of one path; `undefined` where a side is not text, or more text than can be compared.
 * A symbolic link's target counts as its text, as git has it.
 */
export function textDiffOf(
	a: OpenState,
	b: OpenState,
	change: { readonly path: string; readonly from?: string },
): string | undefined {
	const from = change.from ?? change.path;
	const before = textAt(a.tree, rawFromText(from));
	const after = textAt(b.tree, rawFromText(change.path));
	if (before === undefined || after === undefined) return undefined;
	return unifiedDiff(
		{ label: before === null ? '/dev/null' : `a${from}`, text: before ?? '' },
		{ label: after === null ? '/dev/null' : `b${change.path}`, text: after ?? '' },
	);
}

/** Text of a path; `null` when it does not exist, `undefined` when it is not text. */
function textAt(tree: FileTree, path: RawPath): string | null | undefined {
	try {
		const { kind } = tree.stat(path);
		if (kind === 'symlink') return textFromRaw(tree.readLink(path));
		if (kind !== 'file') return undefined;
		using file = tree.openFile(path);
		if (MAX_TEXT < file.size) return undefined;
		const bytes = Buffer.alloc(file.size);
		file.read(0, bytes);
		return looksLikeText(bytes) ? bytes.toString('utf8') : undefined;
	} catch (error) {
		if (EngineError.is(error, 'ERR_NOT_FOUND') || EngineError.is(error, 'ERR_NOT_A_DIRECTORY')) return null;
		throw error;
	}
}

/** Every version of a path, newest first. Of a machine that a hypervisor holds, the current state is left out. */
export async function historyOf(
	sessions: Sessions,
	source: Source,
	timeline: TimelineRecord,
	path: RawPath,
	work: Work,
): Promise<HistoryRecord[]> {
	const busy = await sessions.inUse(source);
	const keys = timeline.snapshots.map(snapshot => snapshot.key);
	const names = new Map(timeline.snapshots.map(snapshot => [snapshot.key, snapshot.name]));
	const states = busy ? keys : [CURRENT, ...keys];
	return sessions.use(source, states, machine => {
		const list: VersionState[] = states.map(state => {
			const snapshot = timeline.snapshots.find(each => each.key === state);
			const { tree, disks, images, time } = machine.state(state);
			return { id: state, parent: snapshot ? snapshot.parent : timeline.position, time, tree, disks, images };
		});
		return versionsOf(list, path, work).map(version => ({
			snapshots: version.states,
			names: version.states.map(state => names.get(state) ?? state),
			state: version.present ? 'present' : 'absent',
			time: isoTime(version.time),
			type: version.kind ?? null,
			size: version.size,
			sha256: version.sha256,
			...(version.error === undefined ? {} : { error: { ...version.error, details: { ...version.error.details } } }),
		}));
	});
}
