/** Comparing states, and how the open comparison is looked at. */
import * as vscode from 'vscode';
import type { ChangeRecord } from '../../shared/records.js';
import type { Pair } from '../changes/comparison.js';
import type { ChangesNode } from '../changes/changes-tree.js';
import type { ChangesView } from '../changes/changes-view.js';
import { openCommand } from '../changes/changes-tree.js';
import { VIEWS } from '../contributions.js';
import { resolveSides } from '../documents/resolver.js';
import { info, liveInput, pick, progress, quiet } from '../notify.js';
import { plain } from '../plain.js';
import type { Services } from '../services.js';
import { isSourceNode } from '../sources/nodes.js';
import { currentOf, sameState, stateOf, type NamedState } from '../state-name.js';
import { changeUri } from '../uri.js';
import { machineFor, pickState, stateFor, stateNodeOf, type StateTarget } from './targets.js';

/** `vscode.changes` loads everything at once: beyond this the person is asked. */
const MAX_OPEN_FILES = 100;
const MAX_OPEN_BYTES = 10 * 1024 * 1024;

/** Fills *Changes*, and brings it into sight. */
export async function compareStates(
	services: Services,
	base: NamedState,
	targets: readonly NamedState[],
): Promise<void> {
	const others = targets.filter(target => !sameState(base, target));
	if (others.length === 0) {
		await info(vscode.l10n.t('Both sides are "{0}".', base.label));
		return;
	}
	await vscode.commands.executeCommand(`${VIEWS.changes}.focus`);
	await services.comparison.compare(base, others);
}

export async function selectAsBase(services: Services, argument: unknown): Promise<void> {
	const target = await stateFor(services, argument, vscode.l10n.t('Select as Base'));
	if (!target) return;
	services.base.select(target.state);
	quiet(vscode.l10n.t('"{0}" is the base of the next comparison', target.state.label));
}

export async function compareWithBase(
	services: Services,
	argument: unknown,
	selection: readonly unknown[],
): Promise<void> {
	const { base } = services.base;
	if (!base) return await compareWith(services, argument);
	const targets = await statesFor(services, argument, selection, vscode.l10n.t('Compare with Base'));
	if (targets.length > 0) {
		await compareStates(
			services,
			base,
			targets.map(({ state }) => state),
		);
	}
}

export async function compareWithParent(services: Services, argument: unknown): Promise<void> {
	const target = await stateFor(services, argument, vscode.l10n.t('Compare with Parent'));
	if (!target) return;
	const { timeline, snapshot, state } = target;
	const key = snapshot ? snapshot.parent : timeline.position;
	const parent = key === null ? undefined : stateOf(timeline, key);
	if (!parent) {
		const choose = vscode.l10n.t('Compare with…');
		const message = vscode.l10n.t('The parent of "{0}" is not known.', state.label);
		if ((await info(message, choose)) === choose) await pickOther(services, target);
		return;
	}
	await compareStates(services, parent, [state]);
}

export async function compareWithCurrent(services: Services, argument: unknown): Promise<void> {
	const target = await stateFor(services, argument, vscode.l10n.t('Compare with Current State'));
	if (target) await compareStates(services, target.state, [currentOf(target.timeline)]);
}

/** Several selected rows: the oldest is the base. One: the other side is picked. */
export async function compareWith(
	services: Services,
	argument: unknown,
	selection: readonly unknown[] = [],
): Promise<void> {
	const selected = statesOfSelection(selection);
	if (1 < selected.length) {
		const oldestFirst = [...selected].sort((a, b) => timeOf(a) - timeOf(b));
		const [base, ...targets] = oldestFirst.map(({ state }) => state);
		return await compareStates(services, base!, targets); // OK: there are at least two.
	}
	const target = await stateFor(services, argument, vscode.l10n.t('Compare'));
	if (target) await pickOther(services, target);
}

async function pickOther(services: Services, target: StateTarget): Promise<void> {
	const machines = await services.sources.load();
	const title = vscode.l10n.t('Compare "{0}" with', target.state.label);
	let { timeline } = target;
	if (1 < machines.length) {
		const machine = await machineFor(services, undefined, title);
		if (!machine) return;
		timeline = await services.sources.timeline(machine.record.id);
	}
	const same = timeline.source.id === target.state.source;
	const other = await pickState(timeline, title, { current: true, ...(same ? { except: target.state.state } : {}) });
	if (!other) return;
	// The older one is the base, as a reader expects additions to be what came later.
	const [a, b] = timeOf(other) <= timeOf(target) ? [other, target] : [target, other];
	await compareStates(services, a.state, [b.state]);
}

export async function filterChanges({ comparison }: Services): Promise<void> {
	await liveInput(vscode.l10n.t('Filter changes by words of the path'), comparison.filter, text => {
		comparison.filter = text;
	});
}

export async function openChange(services: Services, argument: unknown): Promise<void> {
	const node = argument as ChangesNode | undefined;
	if (node?.kind !== 'node' || node.node.kind !== 'change') return;
	const { command, arguments: args } = await openCommand(services.engine, node.pair, node.node.change);
	await vscode.commands.executeCommand(command, ...((args ?? []) as unknown[]));
}

/** All changed files in one editor; of many, the first hundred or ten megabytes, in the order of the view. */
export async function openAllChanges(services: Services, view: ChangesView, argument: unknown): Promise<void> {
	const node = isChangesNode(argument) ? argument : undefined;
	const changes = view.tree.visibleChanges(node);
	if (changes.length === 0) {
		await info(vscode.l10n.t('There are no changes to open.'));
		return;
	}
	let chosen = changes;
	if (MAX_OPEN_FILES < changes.length) {
		const answer = await pick(vscode.l10n.t('{0} files are many for one editor', changes.length.toLocaleString()), [
			{
				label: vscode.l10n.t('Open the first {0} of {1}', MAX_OPEN_FILES, changes.length.toLocaleString()),
				icon: 'files',
				value: 'first' as const,
			},
			{ label: vscode.l10n.t('Only one folder…'), icon: 'folder', value: 'folder' as const },
			{ label: vscode.l10n.t('Filter…'), icon: 'filter', value: 'filter' as const },
		]);
		if (answer === undefined) return;
		if (answer === 'filter') return await filterChanges(services);
		const part = answer === 'folder' ? await pickFolder(changes) : changes;
		if (!part) return;
		chosen = part.slice(0, MAX_OPEN_FILES);
	}
	await openTogether(services, chosen);
}

type PairedChange = { readonly pair: Pair; readonly change: ChangeRecord };

async function openTogether(services: Services, changes: readonly PairedChange[]): Promise<void> {
	let bytes = 0;
	const entries = await progress(vscode.l10n.t('Opening {0} changes', changes.length), async call => {
		const made: [vscode.Uri, vscode.Uri | undefined, vscode.Uri | undefined][] = [];
		for (const [index, { pair, change }] of changes.entries()) {
			const sides = await resolveSides(services.engine, pair.a, pair.b, change, call);
			bytes += sides.bytes;
			if (MAX_OPEN_BYTES < bytes && made.length > 0) break;
			const [left, right] = [sides.left, sides.right].map(side => side && vscode.Uri.from(side));
			made.push([right ?? left ?? vscode.Uri.from(changeUri('c0', change.path, change.status)), left, right]);
			call.onProgress?.({ step: vscode.l10n.t('Reading'), done: index + 1, total: changes.length, unit: 'files' });
		}
		return made;
	});
	if (!entries) return;
	const { a, b } = changes[0]!.pair; // OK: callers give at least one.
	await vscode.commands.executeCommand('vscode.changes', plain(`${a.label} ↔ ${b.label}`), entries);
	if (entries.length < changes.length) {
		await info(
			vscode.l10n.t('The first {0} of {1} changes are open; more would be slow.', entries.length, changes.length),
		);
	}
}

async function pickFolder(changes: readonly PairedChange[]): Promise<readonly PairedChange[] | undefined> {
	const folders = new Map<string, PairedChange[]>();
	for (const item of changes) {
		const folder = item.change.path.split('/').slice(0, 4).slice(0, -1).join('/') || '/';
		const members = folders.get(folder);
		if (members) members.push(item);
		else folders.set(folder, [item]);
	}
	return await pick(
		vscode.l10n.t('Open the changes of one folder'),
		[...folders].map(([folder, members]) => ({
			label: folder,
			description: String(members.length),
			icon: 'folder',
			value: members,
		})),
	);
}

/** The rows that are selected, else the one the command was called on, else what is picked. */
async function statesFor(
	services: Services,
	argument: unknown,
	selection: readonly unknown[],
	title: string,
): Promise<readonly StateTarget[]> {
	const selected = statesOfSelection(selection);
	if (selected.length > 0) return selected;
	const target = await stateFor(services, argument, title);
	return target ? [target] : [];
}

function statesOfSelection(selection: readonly unknown[]): StateTarget[] {
	return selection.flatMap(item => {
		const node = isSourceNode(item) ? stateNodeOf(item) : undefined;
		return node ? [node] : [];
	});
}

/** The current state is later than every snapshot. */
function timeOf({ snapshot }: StateTarget): number {
	return snapshot ? Date.parse(snapshot.time) : Infinity;
}

function isChangesNode(value: unknown): value is ChangesNode {
	return (
		typeof value === 'object' && value !== null && 'kind' in value && ['target', 'node'].includes(String(value.kind))
	);
}
