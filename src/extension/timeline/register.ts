/** The Snapshot Timeline as a view that can be moved, and as an editor that survives a reload. */
import * as vscode from 'vscode';
import { COMMANDS, TIMELINE_EDITOR, VIEWS } from '../contributions.js';
import type { Services } from '../services.js';
import { register } from '../commands/run.js';
import type { MachineNode, StateNode } from '../sources/nodes.js';
import type { SourcesView } from '../sources/sources-view.js';
import { snapshotOf } from '../snapshot-index.js';
import { stateOf, type NamedState } from '../state-name.js';
import { TimelinePage } from './timeline-page.js';

export function registerTimeline(services: Services, sourcesView: SourcesView): void {
	const { context, sources } = services;
	const reveal = async ({ source, state }: NamedState) => {
		const machine = sources.machine(source);
		const timeline = services.sizes.in(await sources.timeline(source));
		const named = stateOf(timeline, state);
		if (!machine || !named) return;
		const parent: MachineNode = { kind: 'machine', id: source, machine };
		const snapshot = snapshotOf(timeline, state);
		const node: StateNode = { kind: 'state', id: `${source}.${state}`, parent, timeline, state: named, snapshot };
		await sourcesView.reveal(node);
	};
	let open: vscode.WebviewPanel | undefined;

	const fill = (panel: vscode.WebviewPanel) => {
		open = panel;
		// A tab's icon is a picture: it does not take the colour of the text.
		const icon = (theme: string) => vscode.Uri.joinPath(context.extensionUri, 'media', `strata-${theme}.svg`);
		panel.iconPath = { light: icon('light'), dark: icon('dark') };
		const page = new TimelinePage(services, panel.webview, reveal);
		page.visible = panel.visible;
		panel.onDidChangeViewState(() => (page.visible = panel.visible));
		panel.onDidDispose(() => {
			page.dispose();
			if (open === panel) open = undefined;
		});
	};
	const provider: vscode.WebviewViewProvider = {
		resolveWebviewView(view) {
			const page = new TimelinePage(services, view.webview, reveal);
			page.visible = view.visible;
			view.onDidChangeVisibility(() => (page.visible = view.visible));
			view.onDidDispose(() => page.dispose());
		},
	};
	const serializer: vscode.WebviewPanelSerializer = {
		deserializeWebviewPanel(panel) {
			fill(panel);
			return Promise.resolve();
		},
	};
	context.subscriptions.push(
		vscode.window.registerWebviewViewProvider(VIEWS.timeline, provider),
		vscode.window.registerWebviewPanelSerializer(TIMELINE_EDITOR, serializer),
	);
	register(services, COMMANDS.openTimeline, () => {
		if (open) return open.reveal();
		fill(
			vscode.window.createWebviewPanel(TIMELINE_EDITOR, vscode.l10n.t('Snapshot Timeline'), vscode.ViewColumn.Active, {
				enableFindWidget: true,
			}),
		);
	});
}
