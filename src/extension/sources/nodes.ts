import type { TimelineRecord } from '../../shared/engine-api.js';
import type { ListRecord, SnapshotRecord } from '../../shared/records.js';
import type { NamedState } from '../state-name.js';
import type { Machine } from './source-store.js';

/** What the tree of *Sources* shows. Plain handles: the engine is asked again for what is in them. */
export type SourceNode = MachineNode | StateNode | EntryNode | MoreNode | MessageNode;

export interface MachineNode {
	readonly kind: 'machine';
	readonly id: string;
	readonly machine: Machine;
}

export interface StateNode {
	readonly kind: 'state';
	readonly id: string;
	readonly parent: MachineNode;
	readonly timeline: TimelineRecord;
	readonly state: NamedState;
	/** `undefined` for the current state. */
	readonly snapshot: SnapshotRecord | undefined;
}

export interface EntryNode {
	readonly kind: 'entry';
	readonly id: string;
	readonly parent: StateNode | EntryNode;
	readonly state: NamedState;
	readonly entry: ListRecord;
}

export interface MoreNode {
	readonly kind: 'more';
	readonly id: string;
	readonly parent: MachineNode | StateNode | EntryNode;
	readonly shown: number;
	readonly total: number;
}

/** A row that says something: an error, or what to do. */
export interface MessageNode {
	readonly kind: 'message';
	readonly id: string;
	readonly parent: SourceNode | undefined;
	readonly label: string;
	readonly description: string;
	readonly icon: string;
	readonly tooltip: readonly (readonly [string, string])[];
	readonly command?: { readonly command: string; readonly title: string; readonly arguments: readonly unknown[] };
}

export function isSourceNode(value: unknown): value is SourceNode {
	return (
		typeof value === 'object' &&
		value !== null &&
		'kind' in value &&
		['machine', 'state', 'entry', 'more', 'message'].includes(String(value.kind))
	);
}
