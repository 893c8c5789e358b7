import { l10n } from 'vscode';
import type { StateRef, TimelineRecord } from '../shared/engine-api.js';
import type { SnapshotRecord } from '../shared/records.js';
import { snapshotOf } from './snapshot-index.js';

/** A state of a source with the names that a person knows it by. Plain data: it is kept over a restart. */
export interface NamedState extends StateRef {
	/** The source's name. */
	readonly sourceName: string;
	/** The snapshot's label, or the words for the current state. */
	readonly label: string;
}

export const CURRENT = 'current';

export function currentLabel(): string {
	return l10n.t('Current state');
}

export function currentOf(timeline: TimelineRecord): NamedState {
	const { id, name } = timeline.source;
	return { source: id, state: CURRENT, sourceName: name, label: currentLabel() };
}

export function namedSnapshot(timeline: TimelineRecord, snapshot: SnapshotRecord): NamedState {
	const { id, name } = timeline.source;
	return { source: id, state: snapshot.key, sourceName: name, label: snapshot.name };
}

/** The state that `key` names; `undefined` when there is no such snapshot (any more). */
export function stateOf(timeline: TimelineRecord, key: string): NamedState | undefined {
	if (key === CURRENT) return currentOf(timeline);
	const snapshot = snapshotOf(timeline, key);
	return snapshot && namedSnapshot(timeline, snapshot);
}

export function sameState(a: StateRef, b: StateRef): boolean {
	return a.source === b.source && a.state === b.state;
}

export function refOf({ source, state }: StateRef): StateRef {
	return { source, state };
}

/** What `strata` on the command line calls this state: `dev@before-install`. */
export function addressOf(state: NamedState): string {
	return state.state === CURRENT ? state.sourceName : `${state.sourceName}@${state.label}`;
}
