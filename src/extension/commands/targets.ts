/** What a command works on: the row it was called on, else what the person picks. */
import * as vscode from 'vscode';
import type { TimelineRecord } from '../../shared/engine-api.js';
import type { SnapshotRecord } from '../../shared/records.js';
import type { ChangesNode } from '../changes/changes-tree.js';
import { activeTabUri, addressOfUri, type DocumentAddress } from '../documents/addresses.js';
import { info, pick, type Choice } from '../notify.js';
import type { Services } from '../services.js';
import { isSourceNode, type MachineNode, type SourceNode, type StateNode } from '../sources/nodes.js';
import { snapshotRow } from '../sources/rows.js';
import type { Machine } from '../sources/source-store.js';
import { currentOf, namedSnapshot, type NamedState } from '../state-name.js';
import { stateOfRow, timelineRowOf } from '../timeline/row-context.js';
import { stateOfVersion, type VersionNode } from '../versions/versions-view.js';

const LAST_USED = 'lastUsed';

/** The machine that was last worked with in this workspace: what a command without a row offers first. */
export function lastUsed({ context }: Services): string | undefined {
	return context.workspaceState.get<string>(LAST_USED);
}

export function rememberUsed({ context }: Services, source: string): void {
	if (context.workspaceState.get<string>(LAST_USED) !== source) void context.workspaceState.update(LAST_USED, source);
}

/** The machine of a row; of no row, the only one there is, or the one that is picked. */
export async function machineFor(services: Services, argument: unknown, title: string): Promise<Machine | undefined> {
	const machines = await services.sources.load();
	const node = isSourceNode(argument) ? machineNodeOf(argument) : undefined;
	const row = timelineRowOf(argument);
	const wanted =
		node?.machine.record.id ??
		row?.slice(0, row.lastIndexOf('/')) ??
		(typeof argument === 'string' ? argument : undefined);
	if (wanted !== undefined) {
		rememberUsed(services, wanted);
		return services.sources.machine(wanted);
	}
	if (machines.length === 0) {
		await info(vscode.l10n.t('There is no machine yet. Add a disk image to Sources.'));
		return undefined;
	}
	const last = lastUsed(services);
	const sorted = [...machines].sort((a, b) => Number(b.record.id === last) - Number(a.record.id === last));
	const chosen =
		sorted.length === 1
			? sorted[0]
			: await pick(
					title,
					sorted.map(machine => ({
						label: machine.record.name,
						description: machine.record.disks.map(({ path }) => path).join(', '),
						icon: 'vm',
						value: machine,
					})),
					vscode.l10n.t('Machine'),
				);
	if (chosen) rememberUsed(services, chosen.record.id);
	return chosen;
}

export interface StateTarget {
	readonly timeline: TimelineRecord;
	readonly state: NamedState;
	readonly snapshot: SnapshotRecord | undefined;
}

export interface SnapshotTarget extends StateTarget {
	readonly snapshot: SnapshotRecord;
}

/** The state of a row; of no row, the one that is picked. */
export async function stateFor(services: Services, argument: unknown, title: string): Promise<StateTarget | undefined> {
	if (isSourceNode(argument)) {
		const node = stateNodeOf(argument);
		if (node) {
			rememberUsed(services, node.state.source);
			return node;
		}
	}
	const row = await rowTarget(services, argument);
	if (row) return row;
	const machine = await machineFor(services, argument, title);
	if (!machine) return undefined;
	const timeline = await services.sources.timeline(machine.record.id);
	return await pickState(timeline, title, { current: true });
}

/** The snapshot of a row; of no row, the one that is picked. */
export async function snapshotFor(
	services: Services,
	argument: unknown,
	title: string,
): Promise<SnapshotTarget | undefined> {
	if (isSnapshotTarget(argument)) return argument;
	const row = await rowTarget(services, argument);
	if (row && isSnapshotTarget(row)) return row;
	const machine = await machineFor(services, argument, title);
	if (!machine) return undefined;
	const timeline = await services.sources.timeline(machine.record.id);
	if (timeline.snapshots.length === 0) {
		await info(vscode.l10n.t('{0} has no snapshots yet.', machine.record.name));
		return undefined;
	}
	const target = await pickState(timeline, title, { current: false });
	return target && isSnapshotTarget(target) ? target : undefined;
}

/** The state of a row of the Snapshot Timeline, whose menu called the command. */
async function rowTarget(services: Services, argument: unknown): Promise<StateTarget | undefined> {
	const row = timelineRowOf(argument);
	const found = row === undefined ? undefined : await stateOfRow(services, row);
	if (!found) return undefined;
	rememberUsed(services, found.state.source);
	const { timeline, state } = found;
	return { timeline, state, snapshot: timeline.snapshots.find(({ key }) => key === state.state) };
}

export async function pickState(
	timeline: TimelineRecord,
	title: string,
	options: { readonly current: boolean; readonly except?: string },
): Promise<StateTarget | undefined> {
	const choices: Choice<StateTarget>[] = timeline.snapshots
		.filter(({ key }) => key !== options.except)
		.map(snapshot => {
			const row = snapshotRow(timeline, snapshot);
			return {
				label: row.label,
				description: row.description,
				...(snapshot.note ? { detail: snapshot.note } : {}),
				icon: row.icon!.name, // OK: a snapshot's row has an icon.
				value: { timeline, state: namedSnapshot(timeline, snapshot), snapshot },
			};
		});
	if (options.current && options.except !== 'current') {
		const state = currentOf(timeline);
		choices.unshift({ label: state.label, icon: 'record', value: { timeline, state, snapshot: undefined } });
	}
	return await pick(title, choices, timeline.source.name);
}

/** A file: of a row in any view, of a document, else of the active tab. */
export function fileFor(services: Services, argument: unknown): DocumentAddress | undefined {
	if (argument instanceof vscode.Uri) return addressOfUri(services.sources, argument);
	if (timelineRowOf(argument) !== undefined) return undefined;
	if (isSourceNode(argument)) {
		return argument.kind === 'entry' ? { state: argument.state, path: argument.entry.path } : undefined;
	}
	if (isChangeNode(argument)) {
		const { pair, node } = argument;
		if (node.kind === 'package') return undefined;
		if (node.kind === 'folder') return { state: node.change?.status === 'D' ? pair.a : pair.b, path: node.path };
		return { state: node.change.status === 'D' ? pair.a : pair.b, path: node.change.path };
	}
	if (isVersionNode(argument)) {
		const state = stateOfVersion(argument);
		return state && { state, path: argument.history.address.path };
	}
	const uri = activeTabUri();
	return uri && addressOfUri(services.sources, uri);
}

export function machineNodeOf(node: SourceNode): MachineNode | undefined {
	if (node.kind === 'machine') return node;
	return node.parent && machineNodeOf(node.parent);
}

export function stateNodeOf(node: SourceNode): StateNode | undefined {
	if (node.kind === 'state') return node;
	return node.kind === 'machine' || !node.parent ? undefined : stateNodeOf(node.parent);
}

function isSnapshotTarget(value: unknown): value is SnapshotTarget {
	return (
		typeof value === 'object' &&
		value !== null &&
		'timeline' in value &&
		'snapshot' in value &&
		value.snapshot !== undefined
	);
}

function isChangeNode(value: unknown): value is ChangesNode & { kind: 'node' } {
	return typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'node' && 'pair' in value;
}

function isVersionNode(value: unknown): value is VersionNode {
	return (
		typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'version' && 'history' in value
	);
}
