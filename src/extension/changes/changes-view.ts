/** The view *Changes*: its tree, title, filter message and context keys. */
import * as vscode from 'vscode';
import { CONTEXT, INTERNAL_COMMANDS, SETTINGS, VIEWS } from '../contributions.js';
import { plain } from '../plain.js';
import type { Services } from '../services.js';
import { addressOf, stateOf } from '../state-name.js';
import { countsText } from '../words.js';
import { ChangesTree, type ChangesNode } from './changes-tree.js';
import { ChangeDecorations } from './decorations.js';

export interface ChangesView {
	readonly tree: ChangesTree;
	readonly view: vscode.TreeView<ChangesNode>;
	/** Bring it into sight. */
	reveal(): void;
}

export function registerChangesView(services: Services): ChangesView {
	const { context, engine, comparison, sources } = services;
	const tree = new ChangesTree(engine, comparison);
	const view = vscode.window.createTreeView<ChangesNode>(VIEWS.changes, {
		treeDataProvider: tree,
		showCollapseAll: true,
		canSelectMany: true,
	});
	const show = () => {
		void tree.refresh().then(() => (view.message = tree.filterMessage ?? ''));
		view.description = plain(describe(services));
		const keys: Record<string, unknown> = {
			[CONTEXT.hasComparison]: comparison.outcomes.length > 0,
			[CONTEXT.changesLayout]: comparison.layout,
			[CONTEXT.changesFiltered]: comparison.filter !== '',
			[CONTEXT.changesNoise]: comparison.noise,
		};
		for (const [key, value] of Object.entries(keys)) void vscode.commands.executeCommand('setContext', key, value);
	};
	let watching: { dispose(): void } | undefined;
	let seen = false;
	/** A current state changed while nobody looked. */
	let stale = false;
	const look = (visible: boolean) => {
		watching?.dispose();
		watching = visible ? sources.watch() : undefined;
		if (!visible) return;
		// The words for an empty view wait until it is known whether there is anything to compare.
		void sources.load();
		if (!seen || stale) void comparison.refresh();
		seen = true;
		stale = false;
	};
	const generations = new Map<string, string>();
	context.subscriptions.push(
		view,
		vscode.window.registerFileDecorationProvider(new ChangeDecorations()),
		comparison.onDidChange(show),
		view.onDidChangeVisibility(({ visible }) => look(visible)),
		sources.onDidChange(id => {
			if (id === undefined) return;
			if (hasGone(services, id)) {
				comparison.close();
				return;
			}
			const generation = sources.machine(id)?.timeline?.generation;
			const before = generations.get(id);
			if (generation !== undefined) generations.set(id, generation);
			if (before === undefined || generation === before || !comparison.involvesCurrent(id)) return;
			if (view.visible) void comparison.refresh();
			else stale = true;
		}),
		vscode.workspace.onDidChangeConfiguration(event => {
			if (event.affectsConfiguration(SETTINGS.noiseHide)) {
				const hide = vscode.workspace.getConfiguration().get<boolean>(SETTINGS.noiseHide, false);
				void comparison.setNoise(hide ? 'hidden' : 'shown');
			} else if (event.affectsConfiguration(SETTINGS.noiseRules)) void comparison.refresh();
		}),
		vscode.commands.registerCommand(`${INTERNAL_COMMANDS.showMore}Changes`, (parent: string, shown: number) =>
			tree.showMore(parent, shown),
		),
		{ dispose: () => watching?.dispose() },
	);
	show();
	look(view.visible);
	const reveal = () => void vscode.commands.executeCommand(`${VIEWS.changes}.focus`);
	return { tree, view, reveal };
}

/** "before-install → Current state  +214 ~37 −5", for the title. */
function describe({ comparison }: Services): string {
	const { outcomes } = comparison;
	const [first] = outcomes;
	if (!first) return '';
	const { a, b } = first.pair;
	if (1 < outcomes.length) return vscode.l10n.t('{0} → {1} states', a.label, outcomes.length);
	const across = a.source !== b.source;
	const names = across ? `${addressOf(a)} → ${addressOf(b)}` : `${a.label} → ${b.label}`;
	return first.state === 'done' ? `${names}  ${countsText(first.record.counts)}` : names;
}

/** Whether a snapshot that is compared was deleted. */
function hasGone({ comparison, sources }: Services, source: string): boolean {
	const timeline = sources.machine(source)?.timeline;
	if (!timeline || timeline.snapshots.length === 0) return false;
	return comparison.outcomes.some(({ pair: { a, b } }) =>
		[a, b].some(side => side.source === source && !stateOf(timeline, side.state)),
	);
}
