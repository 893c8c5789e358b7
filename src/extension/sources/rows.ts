/**
 * What the rows of *Sources* say. A row's description begins with the most telling word, because VS Code cuts it at
 * some 300 pixels; the rest is in the tooltip. A screen reader hears `spoken`. Knows no VS Code but its words.
 */
import { l10n } from 'vscode';
import type { ComparisonRecord, SourceRecord, TimelineRecord } from '../../shared/engine-api.js';
import type { ListRecord, SnapshotRecord } from '../../shared/records.js';
import { isReachable } from '../commands/snapshot-content.js';
import { snapshotBefore, snapshotOf } from '../snapshot-index.js';
import { CURRENT } from '../state-name.js';
import {
	clock,
	consistencyWord,
	countsSpoken,
	countsText,
	exactTime,
	kindWord,
	longAge,
	plural,
	shortAge,
	sizeText,
} from '../words.js';

export interface Row {
	readonly label: string;
	readonly description: string;
	readonly spoken: string;
	readonly icon: { readonly name: string; readonly color?: string } | undefined;
	/** For `viewItem =~ /\bsnapshot\b/`. */
	readonly tokens: readonly string[];
	/** Of the tooltip: a heading and facts, one a line. Worked out when somebody asks. */
	readonly facts: readonly (readonly [string, string])[];
}

/** What `compare` said of the current state, when somebody asked. */
export type Counts = ComparisonRecord['counts'];

export function machineRow(record: SourceRecord, timeline: TimelineRecord | undefined): Row {
	const position = timeline && snapshotOf(timeline, timeline.position);
	const words = [statusWord(record)];
	if (position) words.push(l10n.t('on {0}', position.name));
	else if (timeline) words.push(snapshotsText(timeline.snapshots.length));
	if (record.status === 'ready' && record.example) words.push(l10n.t('built-in'));
	const description = words.filter(word => word !== '').join(' · ');
	const tokens = ['source', record.status];
	if (timeline?.undo) tokens.push('undo');
	const reachable = isReachable(record);
	if (record.status === 'inUse' && !reachable) tokens.push('unreachable');
	if (timeline && timeline.readOnlyReason === null && (record.status === 'ready' || reachable)) tokens.push('writable');
	return {
		label: record.name,
		description,
		spoken: [record.name, l10n.t('machine'), description].filter(part => part !== '').join(', '),
		icon: machineIcon(record),
		tokens,
		facts: [
			...(record.statusText ? [[l10n.t('Status'), record.statusText] as const] : []),
			...record.disks.map(({ path }) => [l10n.t('Disk'), path] as const),
			...(record.connection?.qmp ? [['QMP', record.connection.qmp] as const] : []),
			...(record.connection?.agent ? [[l10n.t('Guest agent'), record.connection.agent] as const] : []),
			...(timeline ? [[l10n.t('Snapshots'), String(timeline.snapshots.length)] as const] : []),
			...(timeline?.readOnlyReason ? [[l10n.t('Read-only'), timeline.readOnlyReason] as const] : []),
		],
	};
}

export function currentRow(timeline: TimelineRecord, counts: Counts | undefined): Row {
	const words: string[] = [];
	if (timeline.undo) words.push(l10n.t('rolled back {0}', clock(new Date(timeline.undo.time))));
	if (timeline.source.status === 'inUse') words.push(statusWord(timeline.source));
	if (counts) words.push(countsText(counts));
	const position = snapshotOf(timeline, timeline.position);
	const label = l10n.t('Current state');
	const facts: (readonly [string, string])[] = [];
	if (position) facts.push([l10n.t('Grew from'), guessed(position.name, timeline.positionInferred)]);
	if (counts) facts.push([l10n.t('Since then'), countsSpoken(counts)]);
	if (timeline.undo) {
		const { time, rolledBackTo, safetySnapshot } = timeline.undo;
		const nameOfKey = (key: string) => snapshotOf(timeline, key)?.name ?? key;
		facts.push([l10n.t('Rolled back'), l10n.t('to {0}, {1}', nameOfKey(rolledBackTo), exactTime(time))]);
		facts.push([l10n.t('Undo'), l10n.t('brings back "{0}"', nameOfKey(safetySnapshot))]);
	}
	if (timeline.source.status === 'inUse') facts.push([l10n.t('In use'), timeline.source.statusText]);
	return {
		label,
		description: words.join(' · '),
		spoken: [
			label,
			l10n.t('of {0}', timeline.source.name),
			...(counts ? [countsSpoken(counts)] : []),
			...(timeline.undo ? [l10n.t('a rollback can be undone')] : []),
		].join(', '),
		icon: { name: 'record', color: 'charts.blue' },
		tokens: ['state', CURRENT, ...(timeline.undo ? ['undo'] : []), ...(position ? ['hasParent'] : [])],
		facts,
	};
}

export function snapshotRow(timeline: TimelineRecord, snapshot: SnapshotRecord, now = Date.now()): Row {
	const parent = snapshotOf(timeline, snapshot.parent);
	const branch = parent !== undefined && isBranch(timeline, snapshot);
	const words: string[] = [];
	if (snapshot.current) words.push(timeline.positionInferred ? '◉?' : '◉');
	if (branch) words.push(l10n.t('from {0}', snapshot.inferred ? `${parent.name}?` : parent.name));
	words.push(shortAge(snapshot.time, now));
	if (snapshot.kind === 'memory') words.push(l10n.t('memory'));
	if (snapshot.consistency === 'crash') words.push('⚡');
	if (snapshot.missingOn.length > 0) words.push(l10n.t('incomplete'));
	if (snapshot.exclusiveBytes !== null) words.push(sizeText(snapshot.exclusiveBytes));
	return {
		label: snapshot.name,
		description: words.join(' · ').replace(/^(◉\??) · /, '$1 '),
		spoken: spokenSnapshot(timeline, snapshot, now),
		icon: { name: snapshot.safety ? 'shield' : branch ? 'git-branch' : 'git-commit' },
		tokens: snapshotTokens(timeline, snapshot),
		get facts() {
			return snapshotFacts(timeline, snapshot, parent);
		},
	};
}

/** A row of a folder's listing: a volume, a folder, a file. */
export function entryRow(entry: ListRecord): Row {
	return entry.volume ? volumeRow(entry) : fileRow(entry);
}

/** The last component of a path in text form. */
export function nameOf(path: string): string {
	return path.slice(path.lastIndexOf('/') + 1) || path;
}

function volumeRow(entry: ListRecord): Row {
	// OK: entryRow asked.
	const { type, label, size, readable, problem, partitionName, partitionType, uuid } = entry.volume!;
	const name = nameOf(entry.path);
	const given = label || partitionName;
	const title = given.toLowerCase() === type ? type : [type, given].filter(part => part !== '').join(' ');
	const description = [title, sizeText(size)].filter(Boolean).join(' · ');
	return {
		label: name,
		description,
		spoken: [l10n.t('volume {0}', name), description, readable ? '' : l10n.t('has no files to show')]
			.filter(Boolean)
			.join(', '),
		// What is recognised but not read (swap, LVM, …) is no error: it only has nothing to open.
		icon: readable ? { name: 'database' } : { name: 'circle-outline', color: 'disabledForeground' },
		tokens: ['volume', readable ? 'readable' : 'unreadable'],
		facts: [
			[l10n.t('Filesystem'), type],
			...(label ? [[l10n.t('Label'), label] as const] : []),
			...(uuid ? [['UUID', uuid] as const] : []),
			[l10n.t('Size'), sizeText(size)],
			...(partitionType ? [[l10n.t('Partition type'), partitionType] as const] : []),
			...(problem ? [[l10n.t('Problem'), problem] as const] : []),
		],
	};
}

function fileRow(entry: ListRecord): Row {
	const name = nameOf(entry.path);
	const words: string[] = [];
	if (entry.error) words.push(l10n.t('damaged ({0})', entry.error));
	if (entry.type === 'symlink') words.push(`→ ${entry.target ?? ''}`);
	else if (entry.type === 'file') words.push(sizeText(entry.size));
	else if (entry.type !== 'directory') words.push([kindWord(entry.type), entry.device ?? ''].join(' ').trim());
	return {
		label: name,
		description: words.join(' · '),
		spoken: [name, kindWord(entry.type), ...words].join(', '),
		icon: entryIcon(entry),
		tokens: ['entry', entry.type],
		get facts() {
			return [
				[l10n.t('Path'), entry.path],
				[l10n.t('Modified'), exactTime(entry.mtime)],
				[l10n.t('Size'), sizeText(entry.size)],
				[l10n.t('Mode'), `${entry.mode} · ${entry.uid}:${entry.gid}`],
				...(entry.target !== undefined ? [[l10n.t('Target'), entry.target] as const] : []),
			] as const;
		},
	};
}

/** Files and folders have the icons of the reader's theme (`undefined`). */
function entryIcon(entry: ListRecord): Row['icon'] {
	if (entry.error) return { name: 'warning', color: 'list.warningForeground' };
	if (entry.type === 'symlink') return { name: 'file-symlink-file' };
	return entry.type === 'file' || entry.type === 'directory' ? undefined : { name: 'plug' };
}

function snapshotsText(count: number): string {
	if (count === 0) return l10n.t('no snapshots');
	return plural(count, l10n.t('1 snapshot'), l10n.t('{0} snapshots', count.toLocaleString()));
}

function machineIcon({ status }: SourceRecord): Row['icon'] {
	switch (status) {
		case 'ready':
			return { name: 'vm' };
		case 'inUse':
			return { name: 'vm-running', color: 'charts.green' };
		case 'missing':
		case 'unsettled':
		case 'changed':
		case 'error':
			return { name: 'warning', color: 'list.warningForeground' };
	}
}

function statusWord(record: SourceRecord): string {
	switch (record.status) {
		case 'ready':
			return '';
		case 'inUse':
			return isReachable(record) ? l10n.t('running') : l10n.t('in use');
		case 'unsettled':
			return l10n.t('not settled: do not start it');
		case 'missing':
			return l10n.t('image moved or deleted');
		case 'changed':
			return l10n.t('another image is at its path');
		case 'error':
			return l10n.t('cannot be opened');
	}
}

/** A branch begins where a snapshot's parent is not the one that was taken before it. */
function isBranch(timeline: TimelineRecord, snapshot: SnapshotRecord): boolean {
	return snapshotBefore(timeline, snapshot.key)?.key !== snapshot.parent;
}

/** For `when` clauses of a snapshot's menu. */
export function snapshotTokens(timeline: TimelineRecord, snapshot: SnapshotRecord): string[] {
	const tokens = ['state', 'snapshot', snapshot.kind];
	if (snapshot.current) tokens.push('position');
	if (snapshot.parent !== null) tokens.push('hasParent');
	if (timeline.readOnlyReason === null) tokens.push('writable');
	return tokens;
}

/** What a screen reader says of a snapshot. */
export function spokenSnapshot(timeline: TimelineRecord, snapshot: SnapshotRecord, now = Date.now()): string {
	const parent = snapshotOf(timeline, snapshot.parent)?.name;
	const words = [snapshot.name, l10n.t('snapshot')];
	if (snapshot.current) words.push(l10n.t('current parent'));
	words.push(longAge(snapshot.time, now));
	if (snapshot.kind === 'memory') words.push(l10n.t('with memory'));
	if (parent !== undefined && isBranch(timeline, snapshot)) words.push(l10n.t('child of {0}', parent));
	if (snapshot.inferred) words.push(l10n.t('parent guessed'));
	if (snapshot.consistency === 'crash') words.push(l10n.t('crash-consistent'));
	if (snapshot.exclusiveBytes !== null) words.push(sizeText(snapshot.exclusiveBytes));
	return words.join(', ');
}

function snapshotFacts(
	timeline: TimelineRecord,
	snapshot: SnapshotRecord,
	parent: SnapshotRecord | undefined,
): Row['facts'] {
	const facts: (readonly [string, string])[] = [[l10n.t('Taken'), exactTime(snapshot.time)]];
	if (snapshot.note) facts.push([l10n.t('Note'), snapshot.note]);
	if (parent) facts.push([l10n.t('Parent'), guessed(parent.name, snapshot.inferred)]);
	else if (snapshot.candidates.length > 0) {
		const names = snapshot.candidates.map(key => snapshotOf(timeline, key)?.name ?? key);
		facts.push([l10n.t('Parent'), l10n.t('not known; one of {0}', names.join(', '))]);
	}
	if (snapshot.current) {
		const word = timeline.positionInferred
			? l10n.t('grew from this snapshot (guessed)')
			: l10n.t('grew from this snapshot');
		facts.push([l10n.t('Current state'), word]);
	}
	facts.push([l10n.t('State'), consistencyWord(snapshot)]);
	if (snapshot.kind === 'memory') facts.push([l10n.t('Memory'), sizeText(snapshot.vmStateSize)]);
	if (snapshot.exclusiveBytes !== null) facts.push([l10n.t('Deleting frees'), sizeText(snapshot.exclusiveBytes)]);
	if (snapshot.safety)
		facts.push([l10n.t('Kept by'), l10n.t('Strata, before a rollback; it goes by the retention setting')]);
	if (snapshot.tag !== snapshot.name) facts.push([l10n.t('Name in the image'), snapshot.tag]);
	if (snapshot.missingOn.length > 0) facts.push([l10n.t('Missing on'), snapshot.missingOn.join(', ')]);
	return facts;
}

function guessed(name: string, inferred: boolean): string {
	return inferred ? l10n.t('{0} (guessed from what the disks hold)', name) : name;
}
