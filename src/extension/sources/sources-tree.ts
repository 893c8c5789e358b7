/** The tree of *Sources*: machines, their states, volumes, folders, files. Holds no engine state. */
import * as vscode from 'vscode';
import type { EngineApi, SourceRecord, TimelineRecord } from '../../shared/engine-api.js';
import { COMMANDS, INTERNAL_COMMANDS } from '../contributions.js';
import { errorText } from '../documents/explain.js';
import { bytesUri, resolveFile } from '../documents/resolver.js';
import { StrataError, isCancelled, messageOf } from '../engine-error.js';
import { factsMarkdown } from '../markdown.js';
import { Pacer } from '../pacer.js';
import { plain } from '../plain.js';
import { currentOf, namedSnapshot, refOf } from '../state-name.js';
import type { SnapshotRecord } from '../../shared/records.js';
import type { CurrentCounts } from './current-counts.js';
import type { ExclusiveSizes } from './exclusive-sizes.js';
import type { EntryNode, MachineNode, MessageNode, SourceNode, StateNode } from './nodes.js';
import { currentRow, entryRow, machineRow, snapshotRow, type Row } from './rows.js';
import type { SourceStore } from './source-store.js';

/** Children that one page of a folder or of a machine shows. */
export const PAGE_SIZE = 1000;

export class SourcesTree implements vscode.TreeDataProvider<SourceNode> {
	readonly #changed = new vscode.EventEmitter<SourceNode | undefined>();
	readonly onDidChangeTreeData = this.#changed.event;
	/** How many children of a node are shown, by its id, where it is more than a page. */
	readonly #limits = new Map<string, number>();
	/** Keys of snapshots beyond the page that somebody asked to see, by machine. */
	readonly #wanted = new Map<string, Set<string>>();
	#roots: readonly MachineNode[] = [];
	readonly #pacer = new Pacer();

	constructor(
		private readonly engine: Pick<EngineApi, 'list' | 'facts'>,
		private readonly store: SourceStore,
		private readonly sizes: Pick<ExclusiveSizes, 'in'>,
		private readonly counts: CurrentCounts,
		/** Tells whether a message about a missing qemu-img belongs at the end. */
		private readonly qemuMissing: () => boolean,
	) {}

	/** @param id of the machine that changed; everything when left out. */
	refresh(id?: string): void {
		if (id === undefined) {
			this.#changed.fire(undefined);
			return;
		}
		// A machine without a row yet: the list's own event draws it.
		const root = this.#roots.find(({ machine }) => machine.record.id === id);
		if (root) this.#changed.fire(root);
	}

	showMore(node: SourceNode): void {
		if (node.kind !== 'more') return;
		this.#limits.set(node.parent.id, node.shown + PAGE_SIZE);
		this.#changed.fire(node.parent);
	}

	/** Makes sure that a snapshot has a row, wherever in the list it stands. */
	want(node: StateNode): void {
		if (!node.snapshot) return;
		const { id } = node.parent;
		const wanted = this.#wanted.get(id) ?? new Set();
		this.#wanted.set(id, wanted);
		const place = node.timeline.snapshots.findIndex(({ key }) => key === node.snapshot?.key);
		if (place < (this.#limits.get(id) ?? PAGE_SIZE) || wanted.has(node.snapshot.key)) return;
		wanted.add(node.snapshot.key);
		this.refresh(id);
	}

	getParent(node: SourceNode): SourceNode | undefined {
		return node.kind === 'machine' ? undefined : node.parent;
	}

	async getChildren(node?: SourceNode): Promise<SourceNode[]> {
		if (!node) return this.#machines();
		switch (node.kind) {
			case 'machine':
				return this.#states(node);
			case 'state':
				return this.#entries(node, '/');
			case 'entry':
				return this.#entries(node, node.entry.path);
			case 'more':
			case 'message':
				return [];
		}
	}

	getTreeItem(node: SourceNode): vscode.TreeItem | Promise<vscode.TreeItem> {
		return this.#pacer.make(() => this.#itemOf(node));
	}

	#itemOf(node: SourceNode): vscode.TreeItem {
		const { Collapsed, Expanded, None } = vscode.TreeItemCollapsibleState;
		switch (node.kind) {
			case 'machine': {
				// A machine may have changed since the node was made: the row says what is known now.
				const { record, timeline } = this.store.machine(node.machine.record.id) ?? node.machine;
				return this.#item(node, machineRow(record, timeline), record.example ? Expanded : Collapsed);
			}
			case 'state':
				return this.#item(node, this.#stateRow(node), Collapsed);
			case 'entry': {
				const { entry, state } = node;
				const opens = entry.type === 'directory' && entry.volume?.readable !== false;
				const item = this.#item(node, entryRow(entry), opens ? Collapsed : None);
				if (entry.volume) return item;
				item.resourceUri = vscode.Uri.from(bytesUri(state, entry.path));
				item.iconPath ??= opens ? vscode.ThemeIcon.Folder : vscode.ThemeIcon.File;
				return item;
			}
			case 'more': {
				const left = node.total - node.shown;
				const item = new vscode.TreeItem(vscode.l10n.t('Show more'), None);
				item.id = node.id;
				item.description = vscode.l10n.t('{0} left', left.toLocaleString());
				item.command = { command: INTERNAL_COMMANDS.showMore, title: item.label as string, arguments: [node] }; // OK: a string was given.
				item.accessibilityInformation = { label: vscode.l10n.t('Show more, {0} left', left) };
				return item;
			}
			case 'message':
				return messageItem(node);
		}
	}

	/**
	 * A tooltip is written when the mouse rests on its row: a thousand at once would hold up the extension host. A file's
	 * command is found when it is clicked: which document opens depends on what the file is.
	 */
	async resolveTreeItem(item: vscode.TreeItem, node: SourceNode): Promise<vscode.TreeItem> {
		if (node.kind === 'state' || node.kind === 'entry') {
			const { label, facts } = node.kind === 'state' ? this.#stateRow(node) : entryRow(node.entry);
			item.tooltip = factsMarkdown(label, facts);
		}
		if (node.kind !== 'entry' || node.entry.type === 'directory' || node.entry.volume) return item;
		const uri = vscode.Uri.from(await resolveFile(this.engine, node.state, node.entry.path));
		item.command = { command: 'vscode.open', title: vscode.l10n.t('Open'), arguments: [uri] };
		return item;
	}

	async #machines(): Promise<SourceNode[]> {
		const machines = await this.store.load();
		this.#roots = machines.map(machine => ({ kind: 'machine', id: machine.record.id, machine }));
		const nodes: SourceNode[] = [...this.#roots];
		const { listError } = this.store;
		if (listError) nodes.unshift(errorNode('list', undefined, listError));
		if (this.qemuMissing() && nodes.length > 0) {
			nodes.push({
				kind: 'message',
				id: 'qemu-img',
				parent: undefined,
				label: vscode.l10n.t('qemu-img is not installed'),
				description: vscode.l10n.t('how to install it'),
				icon: 'info',
				tooltip: [
					[vscode.l10n.t('Needed for'), vscode.l10n.t('taking, rolling back and deleting snapshots')],
					[vscode.l10n.t('Without it'), vscode.l10n.t('browsing and comparing work')],
				],
				command: { command: COMMANDS.takeSnapshot, title: vscode.l10n.t('Take Snapshot…'), arguments: [] },
			});
		}
		return nodes;
	}

	async #states(parent: MachineNode): Promise<SourceNode[]> {
		const { record: known } = this.store.machine(parent.machine.record.id) ?? parent.machine;
		const { id, status, statusText } = known;
		// Without its image a machine has nothing to show but what happened, and what to do.
		if (status === 'missing' || status === 'changed') return [statusNode(parent, known)];
		try {
			const timeline = this.sizes.in(await this.store.timeline(id));
			const record = timeline.source;
			const stateNode = (snapshot: SnapshotRecord): StateNode => ({
				kind: 'state',
				id: `${id}.${snapshot.key}`,
				parent,
				timeline,
				state: namedSnapshot(timeline, snapshot),
				snapshot,
			});
			const { snapshots } = timeline;
			const shown = this.#limits.get(parent.id) ?? PAGE_SIZE;
			const nodes: SourceNode[] = [
				{ kind: 'state', id: `${id}.current`, parent, timeline, state: currentOf(timeline), snapshot: undefined },
				...snapshots.slice(0, shown).map(stateNode),
			];
			if (shown < snapshots.length) {
				nodes.push({ kind: 'more', id: `${parent.id}#more`, parent, shown, total: snapshots.length });
				const wanted = this.#wanted.get(parent.id);
				if (wanted)
					nodes.push(
						...snapshots
							.slice(shown)
							.filter(({ key }) => wanted.has(key))
							.map(stateNode),
					);
			}
			if (record.status === 'unsettled') nodes.unshift(statusNode(parent, record));
			else if (snapshots.length === 0) nodes.push(noSnapshotsNode(parent, timeline));
			this.counts.want(timeline);
			return nodes;
		} catch (error) {
			if (isCancelled(error)) return [];
			if (status === 'unsettled') return [statusNode(parent, known)];
			return [errorNode(id, parent, statusText === '' ? error : new StrataError('ERR_STATUS', statusText))];
		}
	}

	#stateRow({ timeline, snapshot }: StateNode): Row {
		return snapshot ? snapshotRow(timeline, snapshot) : currentRow(timeline, this.counts.get(timeline));
	}

	async #entries(parent: StateNode | EntryNode, path: string): Promise<SourceNode[]> {
		const limit = this.#limits.get(parent.id) ?? PAGE_SIZE;
		try {
			const { entries, total } = await this.engine.list(refOf(parent.state), path, { offset: 0, limit });
			const nodes: SourceNode[] = entries.map(entry => ({
				kind: 'entry',
				id: `${parent.state.source}.${parent.state.state}${entry.path}`,
				parent,
				state: parent.state,
				entry,
			}));
			if (entries.length < total) {
				nodes.push({ kind: 'more', id: `${parent.id}#more`, parent, shown: entries.length, total });
			}
			if (nodes.length === 0) nodes.push(emptyNode(parent));
			return nodes;
		} catch (error) {
			return isCancelled(error) ? [] : [errorNode(parent.id, parent, error)];
		}
	}

	#item(node: SourceNode, row: Row, collapsible: vscode.TreeItemCollapsibleState): vscode.TreeItem {
		const item = new vscode.TreeItem(plain(row.label), collapsible);
		item.id = node.id;
		item.description = plain(row.description);
		item.contextValue = row.tokens.join(';');
		// The others wait for resolveTreeItem().
		if (node.kind === 'machine') item.tooltip = factsMarkdown(row.label, row.facts);
		item.accessibilityInformation = { label: plain(row.spoken) };
		if (row.icon) {
			const { name, color } = row.icon;
			item.iconPath = new vscode.ThemeIcon(name, color === undefined ? undefined : new vscode.ThemeColor(color));
		}
		return item;
	}
}

function messageItem(node: MessageNode): vscode.TreeItem {
	const item = new vscode.TreeItem(plain(node.label), vscode.TreeItemCollapsibleState.None);
	item.id = node.id;
	item.description = plain(node.description);
	item.iconPath = new vscode.ThemeIcon(node.icon);
	item.tooltip = factsMarkdown(node.label, node.tooltip);
	item.accessibilityInformation = { label: plain(`${node.label}, ${node.description}`) };
	if (node.command) item.command = { ...node.command, arguments: [...node.command.arguments] };
	return item;
}

/** A machine without snapshots says how to get the first, or why it cannot have any. */
function noSnapshotsNode(parent: MachineNode, { readOnlyReason }: TimelineRecord): MessageNode {
	const base = { kind: 'message' as const, id: `${parent.id}#none`, parent };
	if (readOnlyReason !== null) {
		const label = vscode.l10n.t('Read-only');
		const tooltip = [[label, readOnlyReason]] as const;
		return { ...base, label, description: readOnlyReason, icon: 'lock', tooltip };
	}
	const command = { command: COMMANDS.takeSnapshot, title: vscode.l10n.t('Take Snapshot…'), arguments: [parent] };
	const label = vscode.l10n.t('No snapshots yet');
	return { ...base, label, description: command.title, icon: 'device-camera', tooltip: [], command };
}

function errorNode(id: string, parent: SourceNode | undefined, error: unknown): MessageNode {
	const code = StrataError.is(error) && error.code !== 'ERR_STATUS' ? error.code : '';
	const message = errorText(code, messageOf(error));
	if (code === 'ERR_ENGINE') {
		const command = { command: COMMANDS.restartEngine, title: vscode.l10n.t('Restart Engine'), arguments: [] };
		const label = vscode.l10n.t('The engine stopped');
		const tooltip = [[vscode.l10n.t('Reason'), message]] as const;
		return {
			kind: 'message',
			id: `${id}#error`,
			parent,
			label,
			description: command.title,
			icon: 'warning',
			tooltip,
			command,
		};
	}
	return {
		kind: 'message',
		id: `${id}#error`,
		parent,
		label: message,
		description: code,
		icon: 'warning',
		tooltip: code === '' ? [] : [[vscode.l10n.t('Code'), code]],
		command: { command: COMMANDS.showLog, title: vscode.l10n.t('Show Log'), arguments: [] },
	};
}

function statusNode(parent: MachineNode, { status, statusText }: SourceRecord): MessageNode {
	const command =
		status === 'unsettled'
			? { command: COMMANDS.settleSource, title: vscode.l10n.t('Settle') }
			: { command: COMMANDS.locateSource, title: vscode.l10n.t('Locate…') };
	return {
		kind: 'message',
		id: `${parent.id}#status`,
		parent,
		label: statusText,
		description: command.title,
		icon: 'warning',
		tooltip: [],
		command: { ...command, arguments: [parent] },
	};
}

function emptyNode(parent: StateNode | EntryNode): MessageNode {
	const label = parent.kind === 'state' ? vscode.l10n.t('No volumes') : vscode.l10n.t('Empty folder');
	return { kind: 'message', id: `${parent.id}#empty`, parent, label, description: '', icon: 'dash', tooltip: [] };
}
