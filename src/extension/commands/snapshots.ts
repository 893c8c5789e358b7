/** Taking, rolling back, undoing, deleting, renaming, noting, settling. */
import * as vscode from 'vscode';
import type { ActionResult, EngineApi, StateRef, TimelineRecord } from '../../shared/engine-api.js';
import { INTERNAL_COMMANDS } from '../contributions.js';
import { StrataError } from '../engine-error.js';
import { confirm, info, input, progress, quiet, quietWith, warn } from '../notify.js';
import { installAdvice } from '../qemu-status.js';
import type { Services } from '../services.js';
import type { Counts } from '../sources/rows.js';
import { currentOf, refOf, stateOf } from '../state-name.js';
import { toggledInput } from '../toggled-input.js';
import { clock, countsText, filesText, longAge, sizeText } from '../words.js';
import { compareStates } from './comparing.js';
import { canBeReached, contentLook, isReachable, knownContent, type SnapshotContent } from './snapshot-content.js';
import { nameProblem, proposedLabel } from './snapshot-name.js';
import { machineFor, snapshotFor } from './targets.js';

/** How long the question before a rollback may wait for its figures. */
const COUNT_PATIENCE_MS = 4000;

/** Of the workspace's state, with the machine's id: what its last snapshot was made to hold. */
const SNAPSHOT_CONTENT = 'snapshotContent';

export async function takeSnapshot(services: Services, argument: unknown): Promise<void> {
	if (!(await canChange(services))) return;
	const machine = await machineFor(services, argument, vscode.l10n.t('Take Snapshot'));
	if (!machine) return;
	// Whether it runs may have changed since somebody looked.
	if (canBeReached(machine.record.connection)) await services.sources.reload(machine.record.id);
	const timeline = await services.sources.timeline(machine.record.id);
	if (await explainReadOnly(timeline)) return;
	const options = await askWhatToTake(services, timeline);
	if (options === undefined) return;
	const title = vscode.l10n.t('Taking a snapshot of {0}', machine.record.name);
	const result = await progress(title, call => services.engine.takeSnapshot(machine.record.id, options, call));
	await services.sources.reload(machine.record.id);
	if (!result) return;
	const taken = vscode.l10n.t('Snapshot "{0}" taken in {1} s', result.name, seconds(result));
	const message = [taken, ...pauseTexts(result)].join(' · ');
	await Promise.all([told(result, message), offerComparison(services, machine.record.id, result, message)]);
}

/** The label; of a machine that runs, also what the snapshot holds, which is remembered for the machine. */
async function askWhatToTake(
	{ context, installs }: Services,
	timeline: TimelineRecord,
): Promise<Parameters<EngineApi['takeSnapshot']>[1] | undefined> {
	const { id, name, status, statusText, connection } = timeline.source;
	const title = vscode.l10n.t('Take Snapshot of {0}', name);
	const value = proposedLabel(timeline, new Date(), installs.at(Date.now()));
	const validate = (text: string) => nameProblem(timeline, text);
	if (!isReachable(timeline.source)) {
		const prompt =
			status === 'unsettled'
				? vscode.l10n.t('What was cut off is settled first, then the snapshot is taken.')
				: status === 'inUse'
					? statusText
					: vscode.l10n.t('Disk only · the machine is off. Press Enter to take it.');
		const label = await input({ title, prompt, value, validate });
		return label === undefined ? undefined : { label };
	}
	const memory = `${SNAPSHOT_CONTENT}/${id}`;
	const answer = await toggledInput<SnapshotContent>({
		title,
		value,
		validate,
		chosen: knownContent(context.workspaceState.get<string>(memory), connection),
		look: chosen => contentLook(chosen, connection),
	});
	if (answer === undefined) return undefined;
	const { text, chosen } = answer;
	await context.workspaceState.update(memory, chosen);
	return { label: text, memory: chosen === 'memory', validated: chosen === 'validated' };
}

/** Says with the snapshot what it holds that its parent does not, and a click shows it. Nothing, when nothing differs. */
async function offerComparison(services: Services, id: string, result: ActionResult, message: string): Promise<void> {
	const timeline = await services.sources.timeline(id);
	const snapshot = stateOf(timeline, result.key);
	const parent = timeline.snapshots.find(({ key }) => key === result.key)?.parent ?? null;
	const base = parent === null ? undefined : stateOf(timeline, parent);
	if (!snapshot || !base) return;
	const counts = await countsBetween(services, base, snapshot);
	if (!counts || sum(counts) === 0) return;
	quietWith(vscode.l10n.t('{0} · {1} · Compare', message, countsText(counts)), {
		command: INTERNAL_COMMANDS.compareStates,
		title: vscode.l10n.t('Compare with "{0}"', base.label),
		arguments: [{ base, targets: [snapshot] }],
	});
}

export async function rollBack(services: Services, argument: unknown): Promise<void> {
	if (!(await canChange(services))) return;
	const target = await snapshotFor(services, argument, vscode.l10n.t('Roll Back to'));
	if (!target) return;
	const { timeline, snapshot, state } = target;
	if (await explainReadOnly(timeline)) return;
	const machine = timeline.source.name;
	const current = currentOf(timeline);
	const runs = isReachable(timeline.source);
	const counts = await countsBetween(services, state, current);
	const kept = vscode.l10n.t('before rollback {0}', clock(new Date()));
	const details = [
		timeline.source.status === 'unsettled' ? vscode.l10n.t('What was cut off is settled first.') : '',
		counts === undefined ? '' : vscode.l10n.t('{0} change back.', filesText(sum(counts))),
		runs
			? vscode.l10n.t('What runs now is kept with its memory as "{0}"; you can undo.', kept)
			: vscode.l10n.t('The current state is kept as "{0}"; you can undo.', kept),
		runs && snapshot.kind === 'memory'
			? vscode.l10n.t('The machine goes on from the moment of the snapshot, without a restart.')
			: '',
		runs && snapshot.kind === 'disk' ? vscode.l10n.t('This snapshot has no memory: shut the machine down first.') : '',
		!runs && snapshot.kind === 'memory'
			? vscode.l10n.t('The memory of this snapshot is not restored: the machine starts as after a power cut.')
			: '',
	];
	const answer = await confirm({
		message: vscode.l10n.t('Roll {0} back to "{1}" ({2})?', machine, snapshot.name, longAge(snapshot.time)),
		detail: details.filter(Boolean).join(' '),
		// The current state of a machine that runs cannot be read.
		harmless: runs ? vscode.l10n.t('Leave as It Is') : vscode.l10n.t('Show Changes First'),
		destructive: vscode.l10n.t('Roll Back'),
	});
	if (answer === 'harmless' && !runs) await compareStates(services, current, [state]);
	if (answer !== 'destructive') return;
	const title = vscode.l10n.t('Rolling {0} back to "{1}"', machine, snapshot.name);
	const result = await progress(title, call => services.engine.rollBack(refOf(state), call));
	await services.sources.reload(timeline.source.id);
	if (!result) return;
	const undo = vscode.l10n.t('Undo');
	const message = vscode.l10n.t(
		'{0} is back at "{1}". What was there before is kept as "{2}".',
		machine,
		snapshot.name,
		result.safetySnapshot?.name ?? kept,
	);
	const { pausedMilliseconds } = result;
	const pause =
		pausedMilliseconds === undefined
			? ''
			: vscode.l10n.t('The machine stood still for {0} ms.', Math.round(pausedMilliseconds));
	// One message: a second one would wait until somebody closes the first, and Undo with it.
	const text = [message, pause, ...result.warnings].filter(Boolean).join(' ');
	const pressed = await (result.warnings.length === 0 ? info(text, undo) : warn(text, undo));
	if (pressed === undo) await undoRollback(services, timeline.source.id);
}

export async function undoRollback(services: Services, argument: unknown): Promise<void> {
	if (!(await canChange(services))) return;
	const machine = await machineFor(services, argument, vscode.l10n.t('Undo Last Rollback'));
	if (!machine) return;
	const timeline = await services.sources.timeline(machine.record.id);
	if (!timeline.undo) {
		await info(vscode.l10n.t('{0} has no rollback to undo.', machine.record.name));
		return;
	}
	const title = vscode.l10n.t('Undoing the rollback of {0}', machine.record.name);
	const result = await progress(title, call => services.engine.undo(machine.record.id, call));
	await services.sources.reload(machine.record.id);
	if (result) await told(result, vscode.l10n.t('{0} is as it was before the rollback', machine.record.name));
}

export async function deleteSnapshot(services: Services, argument: unknown): Promise<void> {
	if (!(await canChange(services))) return;
	const target = await snapshotFor(services, argument, vscode.l10n.t('Delete Snapshot'));
	if (!target) return;
	const { timeline, snapshot, state } = target;
	if (await explainReadOnly(timeline)) return;
	const freed = snapshot.exclusiveBytes;
	const answer = await confirm({
		message: vscode.l10n.t('Delete "{0}" of {1}?', snapshot.name, timeline.source.name),
		detail: [
			vscode.l10n.t('This cannot be undone. The current state and the other snapshots stay as they are.'),
			freed === null ? '' : vscode.l10n.t('{0} are freed.', sizeText(freed)),
		]
			.filter(Boolean)
			.join(' '),
		harmless: vscode.l10n.t('Show Changes First'),
		destructive: vscode.l10n.t('Delete'),
	});
	if (answer === 'harmless') await compareStates(services, state, [currentOf(timeline)]);
	if (answer !== 'destructive') return;
	const title = vscode.l10n.t('Deleting "{0}"', snapshot.name);
	const result = await progress(title, call => services.engine.deleteSnapshot(refOf(state), call));
	await services.sources.reload(timeline.source.id);
	if (!result) return;
	const bytes = result.freedBytes === undefined ? '' : vscode.l10n.t(', {0} freed', sizeText(result.freedBytes));
	await told(result, vscode.l10n.t('"{0}" deleted{1}', snapshot.name, bytes));
}

export async function renameSnapshot(services: Services, argument: unknown): Promise<void> {
	const target = await snapshotFor(services, argument, vscode.l10n.t('Rename Snapshot'));
	if (!target) return;
	const { timeline, snapshot, state } = target;
	const label = await input({
		title: vscode.l10n.t('Rename Snapshot'),
		prompt: vscode.l10n.t('The name in the image stays "{0}", and still finds it.', snapshot.tag),
		value: snapshot.name,
		validate: text => (text === snapshot.name ? undefined : nameProblem(timeline, text)),
	});
	if (label === undefined || label === snapshot.name) return;
	await services.engine.renameSnapshot(refOf(state), label);
	await services.sources.reload(timeline.source.id);
}

export async function editNote(services: Services, argument: unknown): Promise<void> {
	const target = await snapshotFor(services, argument, vscode.l10n.t('Edit Note'));
	if (!target) return;
	const note = await input({
		title: vscode.l10n.t('Note for "{0}"', target.snapshot.name),
		prompt: vscode.l10n.t('Shown in tooltips. Empty to remove it.'),
		value: target.snapshot.note,
	});
	if (note === undefined) return;
	await services.engine.setNote(refOf(target.state), note);
	await services.sources.reload(target.timeline.source.id);
}

export async function settleSource(services: Services, argument: unknown): Promise<void> {
	if (!(await canChange(services))) return;
	const machine = await machineFor(services, argument, vscode.l10n.t('Settle'));
	if (!machine) return;
	const title = vscode.l10n.t('Settling {0}', machine.record.name);
	const result = await progress(title, call => services.engine.settle(machine.record.id, call));
	await services.sources.refresh();
	await services.sources.reload(machine.record.id);
	if (result) await info([vscode.l10n.t('{0} is settled.', machine.record.name), ...result.done].join(' '));
}

/** Whether programs may be started and are there; says so where not. */
async function canChange(services: Services): Promise<boolean> {
	if (!vscode.workspace.isTrusted) {
		const trust = vscode.l10n.t('Manage Workspace Trust');
		const message = vscode.l10n.t(
			'Strata starts no programs in a workspace that is not trusted. Browsing and comparing work.',
		);
		if ((await warn(message, trust)) === trust) await vscode.commands.executeCommand('workbench.trust.manage');
		return false;
	}
	if (await services.qemu.check()) return true;
	const advice = installAdvice(process.platform);
	const copy = vscode.l10n.t('Copy Command');
	const settings = vscode.l10n.t('Open Settings');
	const message = vscode.l10n.t(
		'qemu-img was not found. It changes images; browsing and comparing work without it. To install it: {0}',
		advice,
	);
	const answer = await warn(message, copy, settings);
	if (answer === copy) await vscode.env.clipboard.writeText(advice);
	if (answer === settings) await vscode.commands.executeCommand('workbench.action.openSettings', 'strata.qemuImgPath');
	return false;
}

async function explainReadOnly(timeline: TimelineRecord): Promise<boolean> {
	if (timeline.readOnlyReason === null) return false;
	await warn(timeline.readOnlyReason);
	return true;
}

/** How many files differ; `undefined` when that takes too long to find out. */
async function countsBetween(services: Services, a: StateRef, b: StateRef): Promise<Counts | undefined> {
	try {
		const signal = AbortSignal.timeout(COUNT_PATIENCE_MS);
		const { counts } = await services.engine.compare(refOf(a), refOf(b), {}, { signal });
		return counts;
	} catch (error) {
		if (StrataError.is(error)) return undefined; // OK: the question is asked without the figure.
		throw error;
	}
}

function sum(counts: Counts): number {
	return Object.values(counts).reduce((all, count) => all + count, 0);
}

async function told(result: ActionResult, message: string): Promise<void> {
	quiet(message);
	await showWarnings(result);
}

async function showWarnings({ warnings }: ActionResult): Promise<void> {
	if (warnings.length > 0) await warn(warnings.join(' '));
}

/** Of a machine that runs: how long it noticed. */
function pauseTexts({ pausedMilliseconds, frozenMilliseconds }: ActionResult): string[] {
	return [
		...(pausedMilliseconds === undefined
			? []
			: [vscode.l10n.t('the machine stood still for {0} ms', Math.round(pausedMilliseconds))]),
		...(frozenMilliseconds === undefined
			? []
			: [vscode.l10n.t('its filesystems were frozen for {0} ms', Math.round(frozenMilliseconds))]),
	];
}

function seconds({ milliseconds }: ActionResult): string {
	return (milliseconds / 1000).toFixed(2);
}
