/** Machines' timelines as the rows of the Snapshot Timeline. */
import { l10n } from 'vscode';
import type { TimelineRecord } from '../../shared/engine-api.js';
import type { SnapshotRecord } from '../../shared/records.js';
import type { TimelineMachine, TimelineRow, TimelineStrings } from '../../shared/timeline-protocol.js';
import { plain } from '../plain.js';
import { currentRow, snapshotTokens, spokenSnapshot } from '../sources/rows.js';
import { CURRENT } from '../state-name.js';
import { sizeText } from '../words.js';

export function timelineMachine({ source }: TimelineRecord): TimelineMachine {
	return { id: source.id, name: plain(source.name), status: source.status === 'ready' ? '' : plain(source.statusText) };
}

/** The current state, then the snapshots, newest first. One after the other: ten thousand are not made in one go. */
export function* timelineRows(timeline: TimelineRecord, now = Date.now()): Generator<TimelineRow> {
	yield currentStateRow(timeline, now);
	for (const snapshot of timeline.snapshots) yield snapshotStateRow(timeline, snapshot, now);
}

function currentStateRow(timeline: TimelineRecord, now: number): TimelineRow {
	const { source, position } = timeline;
	const current = currentRow(timeline, undefined);
	return {
		id: rowId(timeline, CURRENT),
		source: source.id,
		state: CURRENT,
		label: current.label,
		time: new Date(now).toISOString(),
		parent: position === null ? null : rowId(timeline, position),
		inferred: timeline.positionInferred,
		isPosition: false,
		safety: false,
		facts: current.description === '' ? [] : [current.description],
		note: '',
		spoken: current.spoken,
		tokens: current.tokens.join(' '),
	};
}

function snapshotStateRow(timeline: TimelineRecord, snapshot: SnapshotRecord, now: number): TimelineRow {
	const facts: string[] = [];
	if (snapshot.kind === 'memory') facts.push(l10n.t('memory'));
	if (snapshot.consistency === 'crash') facts.push(l10n.t('crash-consistent'));
	if (snapshot.consistency === 'validated') facts.push(l10n.t('validated'));
	if (snapshot.missingOn.length > 0) facts.push(l10n.t('incomplete'));
	if (snapshot.exclusiveBytes !== null) facts.push(sizeText(snapshot.exclusiveBytes));
	return {
		id: rowId(timeline, snapshot.key),
		source: timeline.source.id,
		state: snapshot.key,
		label: plain(snapshot.name),
		time: snapshot.time,
		parent: snapshot.parent === null ? null : rowId(timeline, snapshot.parent),
		inferred: snapshot.inferred,
		isPosition: snapshot.current,
		safety: snapshot.safety,
		facts,
		note: plain(snapshot.note),
		spoken: plain(spokenSnapshot(timeline, snapshot, now)),
		tokens: snapshotTokens(timeline, snapshot).join(' '),
	};
}

function rowId(timeline: TimelineRecord, state: string): string {
	return `${timeline.source.id}/${state}`;
}

export function timelineStrings(): TimelineStrings {
	return {
		allMachines: l10n.t('All machines'),
		machine: l10n.t('Machine'),
		filter: l10n.t('Filter by name, note, date'),
		hideOthers: l10n.t('Hide what does not match'),
		base: l10n.t('Base'),
		target: l10n.t('Target'),
		none: l10n.t('none'),
		compare: l10n.t('Compare'),
		rollBack: l10n.t('Roll Back…'),
		openFiles: l10n.t('Open Files'),
		today: l10n.t('Today'),
		yesterday: l10n.t('Yesterday'),
		snapshots: l10n.t('Snapshots'),
		empty: l10n.t('No machines yet. Add a disk image in Sources.'),
		noMatch: l10n.t('No snapshot matches.'),
		matches: l10n.t('{0} of {1}', '{0}', '{1}'),
		guessed: l10n.t('The parent is a guess from the disk’s contents'),
		activity: l10n.t('Snapshots over time'),
		loading: l10n.t('Loading…'),
	};
}
