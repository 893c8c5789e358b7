/** The status bar: the machine last used here, where it stands, and how old that is. */
import * as vscode from 'vscode';
import { lastUsed, rememberUsed } from './commands/targets.js';
import { COMMANDS, VIEWS } from './contributions.js';
import { pick, type Choice } from './notify.js';
import { plain, plainShort } from './plain.js';
import type { Services } from './services.js';
import type { Machine } from './sources/source-store.js';
import { longAge, shortAge } from './words.js';

const KEPT = 'statusBar';
const AGE_INTERVAL_MS = 30_000;

/** What the item says, kept so that it can say it again before any engine runs. */
interface Standing {
	readonly machine: string;
	/** `undefined`: the machine has no snapshots. */
	readonly snapshot?: string;
	readonly time?: string;
	readonly canUndo: boolean;
}

export function registerStatusBar(services: Services): void {
	const { context, sources } = services;
	const item = vscode.window.createStatusBarItem('strata.status', vscode.StatusBarAlignment.Left, 10);
	item.name = vscode.l10n.t('Strata');
	item.command = COMMANDS.statusMenu;
	let standing = context.workspaceState.get<Standing>(KEPT);
	const show = () => {
		if (!standing) {
			item.hide();
			return;
		}
		const { machine, snapshot, time, canUndo } = standing;
		const words = [plainShort(machine, 30)];
		if (snapshot !== undefined) words.push(plainShort(snapshot, 30));
		const age = time === undefined ? '' : ` · ${shortAge(time)}`;
		item.text = `$(vm) ${words.join(': ')}${age}`;
		item.tooltip = tooltip(standing);
		item.accessibilityInformation = {
			label: plain(
				[
					vscode.l10n.t('Strata: {0}', machine),
					snapshot === undefined ? vscode.l10n.t('no snapshots') : vscode.l10n.t('on {0}', snapshot),
					...(time === undefined ? [] : [longAge(time)]),
					...(canUndo ? [vscode.l10n.t('a rollback can be undone')] : []),
				].join(', '),
			),
		};
		item.show();
	};
	const update = () => {
		const next = standingOf(services);
		if (!next && sources.state === 'loading') return;
		if (JSON.stringify(next) !== JSON.stringify(standing)) {
			standing = next;
			void context.workspaceState.update(KEPT, next);
		}
		show();
	};
	const timer = setInterval(show, AGE_INTERVAL_MS);
	context.subscriptions.push(item, sources.onDidChange(update), { dispose: () => clearInterval(timer) });
	show();
}

/** A click on the item: the machine's actions, and the other machines. */
export async function statusMenu(services: Services): Promise<void> {
	const machines = await services.sources.load();
	const machine = usedMachine(services);
	const timeline = machine && (await services.sources.timeline(machine.record.id));
	const id = machine?.record.id;
	const actions: Choice<() => unknown>[] = [];
	const add = (icon: string, label: string, command: string) =>
		actions.push({ label, icon, value: () => vscode.commands.executeCommand(command, id) });
	if (timeline?.undo) add('discard', vscode.l10n.t('Undo Last Rollback'), COMMANDS.undoRollback);
	if (machine) {
		add('device-camera', vscode.l10n.t('Take Snapshot…'), COMMANDS.takeSnapshot);
		add('git-compare', vscode.l10n.t('Compare…'), COMMANDS.compareWith);
		add('history', vscode.l10n.t('Roll Back…'), COMMANDS.rollBack);
	}
	add('list-tree', vscode.l10n.t('Show Sources'), `${VIEWS.sources}.focus`);
	const others = machines.filter(other => other !== machine);
	others.forEach((other, i) => {
		actions.push({
			label: other.record.name,
			icon: 'vm',
			...(i === 0 ? { heading: vscode.l10n.t('Other machines') } : {}),
			value: async () => {
				rememberUsed(services, other.record.id);
				await services.sources.reload(other.record.id);
			},
		});
	});
	const chosen = await pick(machine?.record.name ?? vscode.l10n.t('Strata'), actions);
	await chosen?.();
}

function usedMachine(services: Services): Machine | undefined {
	const { machines } = services.sources;
	const last = lastUsed(services);
	return (
		machines.find(({ record }) => record.id === last) ?? machines.find(({ record }) => !record.example) ?? machines[0]
	);
}

function standingOf(services: Services): Standing | undefined {
	const machine = usedMachine(services);
	if (!machine) return undefined;
	const { timeline, record } = machine;
	const position = timeline?.snapshots.find(({ key }) => key === timeline.position);
	const place = position ? { snapshot: position.name, time: position.time } : {};
	return { machine: record.name, canUndo: Boolean(timeline?.undo), ...place };
}

function tooltip({ machine, snapshot, canUndo }: Standing): vscode.MarkdownString {
	const text = new vscode.MarkdownString();
	text.appendText(plain(machine));
	if (snapshot !== undefined) text.appendText(plain(vscode.l10n.t(', grown from "{0}"', snapshot)));
	if (canUndo) {
		// The one link is ours; everything else was appended as text.
		text.isTrusted = { enabledCommands: [COMMANDS.undoRollback] };
		text.appendMarkdown(`\n\n[${vscode.l10n.t('Undo Last Rollback')}](command:${COMMANDS.undoRollback})`);
	}
	return text;
}
