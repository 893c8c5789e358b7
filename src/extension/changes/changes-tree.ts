/** The tree of *Changes*: a summary, then files as a list, a tree or by package; what noise rules hid, at the end. */
import * as vscode from 'vscode';
import type { EngineApi } from '../../shared/engine-api.js';
import type { ChangeRecord } from '../../shared/records.js';
import { COMMANDS, INTERNAL_COMMANDS } from '../contributions.js';
import { errorText } from '../documents/explain.js';
import { resolveChange } from '../documents/resolver.js';
import { factsMarkdown } from '../markdown.js';
import { figures } from '../notify.js';
import { Pacer } from '../pacer.js';
import { plain } from '../plain.js';
import { changeUri } from '../uri.js';
import { countsSpoken, countsText, filesText, sizeText, statusWord } from '../words.js';
import { inSlices } from '../sliced.js';
import { indexChanges, type ChangeIndex, type ChangeNode, type Children } from './change-model.js';
import type { ComparisonModel, Outcome, Pair } from './comparison.js';

export const PAGE_SIZE = 1000;

export type ChangesNode =
	| { readonly kind: 'target'; readonly id: string; readonly outcome: Outcome; readonly index: number }
	| {
			readonly kind: 'node';
			readonly id: string;
			readonly node: ChangeNode;
			readonly pair: Pair;
			readonly index: number;
	  }
	| {
			readonly kind: 'more';
			readonly id: string;
			readonly parent: string;
			readonly left: number;
			readonly shown: number;
	  }
	| {
			readonly kind: 'line';
			readonly id: string;
			readonly label: string;
			readonly description: string;
			readonly icon: string;
			readonly command?: vscode.Command;
	  };

export class ChangesTree implements vscode.TreeDataProvider<ChangesNode> {
	readonly #pacer = new Pacer();
	readonly #changed = new vscode.EventEmitter<ChangesNode | undefined>();
	readonly onDidChangeTreeData = this.#changed.event;
	readonly #limits = new Map<string, number>();
	/** By the number of the outcome: its rows, and what they were made from. */
	#indexes = new Map<number, { readonly key: readonly unknown[]; readonly index: ChangeIndex }>();
	#generation = 0;

	constructor(
		private readonly engine: Pick<EngineApi, 'facts'>,
		private readonly model: ComparisonModel,
	) {}

	/** Makes the rows that the model asks for, in pieces; what is shown stays until they are there. */
	async refresh(): Promise<void> {
		const generation = ++this.#generation;
		const { layout, filter, outcomes } = this.model;
		const indexes = new Map<number, { readonly key: readonly unknown[]; readonly index: ChangeIndex }>();
		for (const [number, outcome] of outcomes.entries()) {
			if (outcome.state !== 'done') continue;
			const { record } = outcome;
			const summary = layout === 'packages' ? outcome.summary : undefined;
			const key = [record, summary, layout, filter];
			const known = this.#indexes.get(number);
			const same = known?.key.every((part, i) => part === key[i]);
			const index = same ? known!.index : await inSlices(indexChanges(record.changes, { layout, filter, summary })); // OK: `same` is only true of a known one.
			if (generation !== this.#generation) return;
			indexes.set(number, { key, index });
		}
		this.#indexes = indexes;
		this.#changed.fire(undefined);
	}

	showMore(parent: string, shown: number): void {
		this.#limits.set(parent, shown + PAGE_SIZE);
		this.#changed.fire(undefined);
	}

	/** "nginx: 3 of 256", while a filter is on. */
	get filterMessage(): string | undefined {
		const { filter, outcomes } = this.model;
		if (filter === '') return undefined;
		let total = 0;
		let shown = 0;
		for (const [number, outcome] of outcomes.entries()) {
			if (outcome.state !== 'done') continue;
			total += outcome.record.changes.length;
			shown += this.#indexes.get(number)?.index.shown ?? 0;
		}
		return vscode.l10n.t('{0}: {1} of {2}', plain(filter), shown, total);
	}

	/** The changes that the view shows now, of one folder or package or of all. */
	visibleChanges(node?: ChangesNode): readonly { readonly pair: Pair; readonly change: ChangeRecord }[] {
		if (node?.kind === 'node') return node.node.changes().map(change => ({ pair: node.pair, change }));
		return this.model.outcomes.flatMap((outcome, number) => {
			const index = this.#indexes.get(number)?.index;
			if (!index || (node?.kind === 'target' && node.index !== number)) return [];
			return index.changes().map(change => ({ pair: outcome.pair, change }));
		});
	}

	getParent(): undefined {
		return undefined;
	}

	getChildren(node?: ChangesNode): ChangesNode[] {
		if (node?.kind === 'target') return this.#ofOutcome(node.outcome, node.index);
		if (node?.kind === 'node') {
			return node.node.kind === 'change' ? [] : this.#page(node.id, node.node.children, node.pair, node.index);
		}
		if (node) return [];
		const { outcomes } = this.model;
		if (outcomes.length === 1) return this.#ofOutcome(outcomes[0]!, 0); // OK: there is one.
		return outcomes.map((outcome, index) => ({ kind: 'target', id: `t${index}`, outcome, index }));
	}

	getTreeItem(node: ChangesNode): vscode.TreeItem | Promise<vscode.TreeItem> {
		return this.#pacer.make(() => this.#itemOf(node));
	}

	#itemOf(node: ChangesNode): vscode.TreeItem {
		const { Collapsed, Expanded, None } = vscode.TreeItemCollapsibleState;
		switch (node.kind) {
			case 'target': {
				const { pair } = node.outcome;
				const item = new vscode.TreeItem(plain(pair.b.label), node.index === 0 ? Expanded : Collapsed);
				item.id = node.id;
				item.description = node.outcome.state === 'done' ? countsText(node.outcome.record.counts) : '';
				item.iconPath = new vscode.ThemeIcon('git-compare');
				item.contextValue = 'target';
				const counts = node.outcome.state === 'done' ? countsSpoken(node.outcome.record.counts) : '';
				item.accessibilityInformation = { label: plain([pair.b.label, counts].filter(Boolean).join(', ')) };
				return item;
			}
			case 'node':
				return changeItem(node.node, node.id, node.index);
			case 'more': {
				const item = new vscode.TreeItem(vscode.l10n.t('Show more'), None);
				item.id = node.id;
				item.description = vscode.l10n.t('{0} left', node.left.toLocaleString());
				item.accessibilityInformation = { label: vscode.l10n.t('Show more, {0} left', node.left) };
				item.command = {
					command: `${INTERNAL_COMMANDS.showMore}Changes`,
					title: vscode.l10n.t('Show more'),
					arguments: [node.parent, node.shown],
				};
				return item;
			}
			case 'line': {
				const item = new vscode.TreeItem(plain(node.label), None);
				item.id = node.id;
				item.description = plain(node.description);
				item.iconPath = new vscode.ThemeIcon(node.icon);
				item.tooltip = factsMarkdown(node.label, []);
				item.accessibilityInformation = { label: plain([node.label, node.description].filter(Boolean).join(', ')) };
				if (node.command) item.command = node.command;
				return item;
			}
		}
	}

	/** What a change opens as depends on what the file is; that is found when it is clicked. */
	async resolveTreeItem(item: vscode.TreeItem, node: ChangesNode): Promise<vscode.TreeItem> {
		if (node.kind !== 'node' || node.node.kind !== 'change') return item;
		// Not before the mouse rests on it: thousands of tooltips would hold up the extension host.
		item.tooltip = changeTooltip(node.node.change);
		item.command = await openCommand(this.engine, node.pair, node.node.change);
		return item;
	}

	#ofOutcome(outcome: Outcome, index: number): ChangesNode[] {
		const id = `c${index}`;
		switch (outcome.state) {
			case 'running': {
				const { progress } = outcome;
				const description = progress ? figures(progress, 0) : '';
				const icon = 'loading~spin';
				return [{ kind: 'line', id: `${id}#running`, label: vscode.l10n.t('Comparing…'), description, icon }];
			}
			case 'failed': {
				const label = errorText(outcome.error.code, outcome.error.message);
				const command = { command: COMMANDS.refresh, title: vscode.l10n.t('Refresh') };
				const description = vscode.l10n.t('Try again');
				return [{ kind: 'line', id: `${id}#failed`, label, description, icon: 'warning', command }];
			}
			case 'done': {
				const { record, summary, pair } = outcome;
				const rows: ChangesNode[] = (summary?.lines ?? []).map((line, i) => ({
					kind: 'line',
					id: `${id}#s${i}`,
					label: line,
					description: '',
					icon: 'info',
					// Of services and accounts the packages say nothing.
					...(/^\d+ packages? /.test(line)
						? { command: { command: COMMANDS.viewByPackage, title: vscode.l10n.t('View by Package') } }
						: {}),
				}));
				const made = this.#indexes.get(index);
				if (made) rows.push(...this.#page(id, made.index.children, pair, index));
				if (record.changes.length === 0) {
					rows.push({
						kind: 'line',
						id: `${id}#none`,
						label: vscode.l10n.t('No differences'),
						description: '',
						icon: 'check',
					});
				}
				if (record.hidden > 0) {
					rows.push({
						kind: 'line',
						id: `${id}#hidden`,
						label: vscode.l10n.t('{0} hidden by noise rules', record.hidden.toLocaleString()),
						description: vscode.l10n.t('Show'),
						icon: 'eye-closed',
						command: { command: COMMANDS.showNoise, title: vscode.l10n.t('Show Noise') },
					});
				}
				return rows;
			}
		}
	}

	#page(id: string, nodes: Children, pair: Pair, index: number): ChangesNode[] {
		const limit = this.#limits.get(id) ?? PAGE_SIZE;
		const rows: ChangesNode[] = nodes

			.slice(0, limit)
			.map(node => ({ kind: 'node', id: `${id}${idOf(node)}`, node, pair, index }));
		if (limit < nodes.length) {
			rows.push({ kind: 'more', id: `${id}#more`, parent: id, left: nodes.length - limit, shown: limit });
		}
		return rows;
	}
}

/** The command of VS Code that shows one change, so that modifiers, Enter and double click do what they do elsewhere. */
export async function openCommand(
	engine: Pick<EngineApi, 'facts'>,
	pair: Pair,
	change: ChangeRecord,
): Promise<vscode.Command> {
	const plan = await resolveChange(engine, pair.a, pair.b, change);
	if (plan.kind === 'open') {
		return { command: 'vscode.open', title: vscode.l10n.t('Open'), arguments: [vscode.Uri.from(plan.uri)] };
	}
	return {
		command: 'vscode.diff',
		title: vscode.l10n.t('Open Changes'),
		arguments: [vscode.Uri.from(plan.left), vscode.Uri.from(plan.right), plain(plan.title)],
	};
}

function changeTooltip(change: ChangeRecord): vscode.MarkdownString {
	const [before, after] = change.size;
	const size = before === null || after === null || before === after ? (after ?? before) : undefined;
	return factsMarkdown(change.path, [
		[vscode.l10n.t('Change'), statusWord(change.status)],
		...(change.from === undefined ? [] : [[vscode.l10n.t('Moved from'), change.from] as const]),
		...(change.fields.length > 0 ? [[vscode.l10n.t('Differs in'), change.fields.join(', ')] as const] : []),
		...(change.mode?.[0] && change.mode[1] ? [[vscode.l10n.t('Mode'), change.mode.join(' → ')] as const] : []),
		size === undefined
			? ([vscode.l10n.t('Size'), `${sizeText(before ?? 0)} → ${sizeText(after ?? 0)}`] as const)
			: ([vscode.l10n.t('Size'), sizeText(size ?? 0)] as const),
		...(change.error ? [[vscode.l10n.t('Error'), `${change.error.code}: ${change.error.message}`] as const] : []),
	]);
}

function idOf(node: ChangeNode): string {
	switch (node.kind) {
		case 'folder':
			return `d${node.path}`;
		case 'package':
			return `p${node.name}`;
		case 'change':
			return `f${node.change.path}`;
	}
}

function changeItem(node: ChangeNode, id: string, index: number): vscode.TreeItem {
	const { Collapsed, Expanded, None } = vscode.TreeItemCollapsibleState;
	const comparison = `c${index}`;
	if (node.kind === 'change') {
		const { change } = node;
		const item = new vscode.TreeItem(plain(node.label), None);
		item.id = id;
		item.description = plain(node.description);
		item.resourceUri = vscode.Uri.from(changeUri(comparison, change.path, change.status));
		item.iconPath =
			(change.type[1] ?? change.type[0]) === 'directory' ? vscode.ThemeIcon.Folder : vscode.ThemeIcon.File;
		item.contextValue = ['change', change.status, change.type[1] ?? change.type[0] ?? ''].join(';');
		item.accessibilityInformation = { label: plain(node.spoken) };
		return item;
	}
	const item = new vscode.TreeItem(plain(node.label), node.kind === 'folder' ? Expanded : Collapsed);
	item.id = id;
	item.contextValue = node.kind;
	const files = filesText(node.count);
	if (node.kind === 'folder') {
		item.resourceUri = vscode.Uri.from(changeUri(comparison, node.path, node.change?.status ?? ''));
		item.iconPath = vscode.ThemeIcon.Folder;
		const own = node.change ? statusWord(node.change.status) : '';
		item.accessibilityInformation = { label: plain([node.label, own, files].filter(Boolean).join(', ')) };
	} else {
		item.description = plain(node.description);
		item.iconPath = new vscode.ThemeIcon('package');
		item.accessibilityInformation = { label: plain(`${node.label}, ${node.description}`) };
	}
	return item;
}
