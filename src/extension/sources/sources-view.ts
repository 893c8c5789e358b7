/** The view *Sources*: its tree, drops onto it, and what is asked while somebody looks at it. */
import * as vscode from 'vscode';
import { CONTEXT, INTERNAL_COMMANDS, VIEWS } from '../contributions.js';
import { bytesUri } from '../documents/resolver.js';
import type { Services } from '../services.js';
import { addDropped } from './add-machine.js';
import { CurrentCounts } from './current-counts.js';
import { ensureExample } from './example.js';
import type { SourceNode, StateNode } from './nodes.js';
import { SourcesTree } from './sources-tree.js';

const URI_LIST = 'text/uri-list';

export interface SourcesView {
	readonly view: vscode.TreeView<SourceNode>;
	/** Selects a state and shows its files. */
	reveal(node: StateNode): Promise<void>;
}

export function registerSourcesView(services: Services): SourcesView {
	const { context, engine, sources, sizes, qemu } = services;
	const counts = new CurrentCounts(engine);
	const tree = new SourcesTree(engine, sources, sizes, counts, () => qemu.found === false);
	const view = vscode.window.createTreeView<SourceNode>(VIEWS.sources, {
		treeDataProvider: tree,
		dragAndDropController: new SourcesDragAndDrop(services),
		canSelectMany: true,
		showCollapseAll: true,
	});
	const known = new Map<string, unknown>();
	const setContext = (key: string, value: unknown) => {
		if (known.get(key) === value) return;
		known.set(key, value);
		void vscode.commands.executeCommand('setContext', key, value);
	};
	/** The example is on its way: until it is there, and compared, no view teaches what to do without it. */
	let preparing = false;
	const setState = () => {
		setContext(CONTEXT.sourcesState, preparing ? 'loading' : sources.state);
		const canUndo = sources.machines.some(({ timeline }) => timeline?.undo);
		setContext(CONTEXT.canUndo, canUndo);
	};
	let missing = false;
	let watching: { dispose(): void } | undefined;
	let seen = false;
	const look = (visible: boolean) => {
		watching?.dispose();
		watching = visible ? sources.watch() : undefined;
		if (!visible || seen) return;
		seen = true;
		void qemu.check();
		preparing = true;
		void ensureExample(services).then(() => {
			preparing = false;
			setState();
			return sources.loadTimelines();
		});
	};
	context.subscriptions.push(
		view,
		view.onDidChangeVisibility(({ visible }) => look(visible)),
		sources.onDidChange(id => {
			// First: VS Code draws rows anew when a context changes, also those that are about to go.
			setState();
			tree.refresh(id);
			if (id === undefined && view.visible) void sources.loadTimelines();
		}),
		counts.onDidChange(id => tree.refresh(id)),
		sizes.onDidChange(id => tree.refresh(id)),
		qemu.onDidChange(found => {
			setContext(CONTEXT.qemuImg, found ? 'found' : 'missing');
			// All rows are drawn anew only when the one about qemu-img comes or goes: a click meanwhile could be lost.
			if (missing === !found) return;
			missing = !found;
			tree.refresh();
		}),
		vscode.commands.registerCommand(INTERNAL_COMMANDS.showMore, (node: SourceNode) => tree.showMore(node)),
		{ dispose: () => watching?.dispose() },
	);
	look(view.visible);
	return {
		view,
		async reveal(node) {
			tree.want(node);
			await view.reveal(node, { expand: true, focus: true, select: true });
		},
	};
}

/** Images are dropped onto the view; files are dragged out of it into an editor. */
class SourcesDragAndDrop implements vscode.TreeDragAndDropController<SourceNode> {
	readonly dropMimeTypes = [URI_LIST, 'files'];
	readonly dragMimeTypes = [URI_LIST];

	constructor(private readonly services: Services) {}

	handleDrag(nodes: readonly SourceNode[], transfer: vscode.DataTransfer): void {
		const uris = nodes.flatMap(node =>
			node.kind === 'entry' && node.entry.type === 'file'
				? [vscode.Uri.from(bytesUri(node.state, node.entry.path)).toString()]
				: [],
		);
		if (uris.length > 0) transfer.set(URI_LIST, new vscode.DataTransferItem(uris.join('\r\n')));
	}

	async handleDrop(_target: SourceNode | undefined, transfer: vscode.DataTransfer): Promise<void> {
		const list = (await transfer.get(URI_LIST)?.asString()) ?? '';
		const uris = list
			.split(/\r?\n/)
			.filter(line => line !== '' && !line.startsWith('#'))
			.map(line => vscode.Uri.parse(line, true));
		let withoutUri = 0;
		for (const [, item] of transfer) if (item.asFile() && !item.asFile()?.uri && uris.length === 0) withoutUri++;
		await addDropped(this.services, uris, withoutUri);
	}
}
