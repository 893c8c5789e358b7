/** The view *File Versions*: every version of the file in the active tab, identical ones folded. */
import * as vscode from 'vscode';
import type { TimelineRecord } from '../../shared/engine-api.js';
import type { HistoryRecord } from '../../shared/records.js';
import { openCommand } from '../changes/changes-tree.js';
import { CONTEXT, VIEWS } from '../contributions.js';
import { activeTabUri, addressOfUri, type DocumentAddress } from '../documents/addresses.js';
import { errorText } from '../documents/explain.js';
import { resolveFile } from '../documents/resolver.js';
import { StrataError, isCancelled, messageOf } from '../engine-error.js';
import { factsMarkdown } from '../markdown.js';
import { plain } from '../plain.js';
import type { Services } from '../services.js';
import { nameOf } from '../sources/rows.js';
import { stateOf, type NamedState } from '../state-name.js';
import { changeBetween, versionBefore, versionRow } from './version-rows.js';

export interface VersionNode {
	readonly kind: 'version';
	readonly record: HistoryRecord;
	readonly history: History;
}

interface History {
	readonly address: DocumentAddress;
	readonly timeline: TimelineRecord;
	readonly records: readonly HistoryRecord[];
}

type Node = VersionNode | { readonly kind: 'line'; readonly label: string; readonly icon: string };

export class FileVersions implements vscode.TreeDataProvider<Node> {
	readonly #changed = new vscode.EventEmitter<undefined>();
	readonly onDidChangeTreeData = this.#changed.event;
	readonly view: vscode.TreeView<Node>;
	#address: DocumentAddress | undefined;
	#pinned = false;
	#abort = new AbortController();
	#watching: { dispose(): void } | undefined;

	constructor(private readonly services: Services) {
		const { context, sources } = services;
		this.view = vscode.window.createTreeView<Node>(VIEWS.fileVersions, { treeDataProvider: this });
		context.subscriptions.push(
			this.view,
			this.view.onDidChangeVisibility(() => this.#look()),
			vscode.window.tabGroups.onDidChangeTabs(() => this.#follow()),
			vscode.window.tabGroups.onDidChangeTabGroups(() => this.#follow()),
			sources.onDidChange(id => {
				if (this.view.visible && id !== undefined && this.#address?.state.source === id) this.#changed.fire(undefined);
			}),
			{ dispose: () => this.#watching?.dispose() },
		);
		this.#look();
	}

	/** Show the versions of one file, whatever the active tab is. */
	show(address: DocumentAddress): void {
		this.#address = address;
		this.pin(true);
		void vscode.commands.executeCommand(`${VIEWS.fileVersions}.focus`);
		this.#changed.fire(undefined);
		this.#title();
	}

	pin(pinned: boolean): void {
		this.#pinned = pinned;
		void vscode.commands.executeCommand('setContext', CONTEXT.fileVersionsPinned, pinned);
		if (!pinned) this.#follow();
	}

	async getChildren(node?: Node): Promise<Node[]> {
		if (node || !this.#address) return [];
		const address = this.#address;
		this.#abort.abort();
		const { signal } = (this.#abort = new AbortController());
		try {
			const timeline = await this.services.sources.timeline(address.state.source);
			const records = await this.services.engine.history(address.state.source, address.path, { signal });
			const history = { address, timeline, records };
			return records.map(record => ({ kind: 'version', record, history }));
		} catch (error) {
			if (isCancelled(error)) return [];
			const label = errorText(StrataError.is(error) ? error.code : '', messageOf(error));
			return [{ kind: 'line', label, icon: 'warning' }];
		}
	}

	getTreeItem(node: Node): vscode.TreeItem {
		if (node.kind === 'line') {
			const item = new vscode.TreeItem(plain(node.label));
			item.iconPath = new vscode.ThemeIcon(node.icon);
			item.accessibilityInformation = { label: plain(node.label) };
			return item;
		}
		const row = versionRow(node.record, node.record.snapshots.includes(node.history.address.state.state));
		const item = new vscode.TreeItem(plain(row.label));
		item.id = node.record.snapshots.join('+');
		item.description = plain(row.description);
		item.tooltip = factsMarkdown(row.label, row.facts);
		item.contextValue = row.tokens.join(';');
		item.accessibilityInformation = { label: plain(row.spoken) };
		if (row.icon) {
			const { name, color } = row.icon;
			item.iconPath = new vscode.ThemeIcon(name, color === undefined ? undefined : new vscode.ThemeColor(color));
		}
		return item;
	}

	/** A click compares with the version before; the oldest version opens. */
	async resolveTreeItem(item: vscode.TreeItem, node: Node): Promise<vscode.TreeItem> {
		if (node.kind !== 'version') return item;
		const { record, history } = node;
		const { address, records, timeline } = history;
		const state = stateOfVersion(node);
		const before = versionBefore(record, records, timeline);
		const stateBefore = before && stateOfVersion({ kind: 'version', record: before, history });
		if (!state) return item;
		if (before && stateBefore) {
			const pair = { a: stateBefore, b: state };
			item.command = await openCommand(this.services.engine, pair, changeBetween(address.path, before, record));
		} else if (record.state === 'present') {
			const uri = vscode.Uri.from(await resolveFile(this.services.engine, state, address.path));
			item.command = { command: 'vscode.open', title: vscode.l10n.t('Open'), arguments: [uri] };
		}
		return item;
	}

	#look(): void {
		this.#watching?.dispose();
		this.#watching = this.view.visible ? this.services.sources.watch() : undefined;
		if (this.view.visible) this.#follow();
		else this.#abort.abort();
	}

	/** The active tab, only while somebody looks. A tab that is not ours leaves what is shown. */
	#follow(): void {
		if (!this.view.visible || this.#pinned) return;
		const uri = activeTabUri();
		const address = uri && addressOfUri(this.services.sources, uri);
		if (!address || isSame(address, this.#address)) return;
		this.#address = address;
		this.#title();
		this.#changed.fire(undefined);
	}

	#title(): void {
		this.view.description = this.#address ? plain(nameOf(this.#address.path)) : '';
	}
}

/** The newest state that holds this version. */
export function stateOfVersion({ record, history }: VersionNode): NamedState | undefined {
	const [newest] = record.snapshots;
	return newest === undefined ? undefined : stateOf(history.timeline, newest);
}

function isSame(a: DocumentAddress, b: DocumentAddress | undefined): boolean {
	return b !== undefined && a.path === b.path && a.state.source === b.state.source && a.state.state === b.state.state;
}
