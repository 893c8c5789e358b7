/**
 * The rows of *Changes*, from the records of a comparison: as a list, as a tree with chains of single folders joined
 * (as the Source Control view does), or by package. Knows no VS Code but its words.
 */
import { l10n } from 'vscode';
import type { SummaryRecord } from '../../shared/engine-api.js';
import type { ChangeRecord } from '../../shared/records.js';
import { nameOf } from '../sources/rows.js';
import { changeFacts, filesText, kindWord, sizeText, statusWord } from '../words.js';

export type Layout = 'tree' | 'list' | 'packages';

export interface FolderNode {
	readonly kind: 'folder';
	/** Path of the deepest folder of the chain. */
	readonly path: string;
	readonly label: string;
	readonly children: readonly ChangeNode[];
	/** Changes at and below it. */
	readonly count: number;
	/** The folder itself, when it is a change too. */
	readonly change: ChangeRecord | undefined;
}

export interface PackageNode {
	readonly kind: 'package';
	readonly name: string;
	readonly label: string;
	readonly description: string;
	readonly children: readonly ChangeNode[];
	readonly count: number;
}

export interface FileNode {
	readonly kind: 'change';
	readonly change: ChangeRecord;
	readonly label: string;
	readonly description: string;
	readonly spoken: string;
}

export type ChangeNode = FolderNode | PackageNode | FileNode;

/** Changes whose path holds all words of `filter`, in any case. */
export function filterChanges(changes: readonly ChangeRecord[], filter: string): readonly ChangeRecord[] {
	const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
	if (words.length === 0) return changes;
	return changes.filter(({ path, from }) => {
		const text = `${path} ${from ?? ''}`.toLowerCase();
		return words.every(word => text.includes(word));
	});
}

export function changeNodes(
	changes: readonly ChangeRecord[],
	layout: Layout,
	summary: SummaryRecord | undefined,
): readonly ChangeNode[] {
	const prefix = commonVolume(changes);
	switch (layout) {
		case 'list':
			return changes.map(change => fileNode(change, prefix, 'folder'));
		case 'tree':
			return treeNodes(changes, prefix);
		case 'packages':
			return packageNodes(changes, prefix, summary);
	}
}

/** "hosts in etc, modified, 12 bytes": the folder is told, as the tree around the row is not heard. */
export function spokenChange(change: ChangeRecord, prefix: string): string {
	const folder = folderOf(change.path, prefix);
	const place = folder === '' ? nameOf(change.path) : l10n.t('{0} in {1}', nameOf(change.path), folder);
	const facts = changeFacts(change);
	const size = change.size[1] ?? change.size[0];
	const kind = change.type[1] ?? change.type[0];
	return [
		place,
		statusWord(change.status),
		facts,
		kind === 'file' && size !== null ? sizeText(size) : kind === null ? '' : kindWord(kind),
	]
		.filter(part => part !== '')
		.join(', ');
}

/** The volume that all changes share (`/p1/`), which then need not be read on every row. */
export function commonVolume(changes: readonly ChangeRecord[]): string {
	const first = changes[0];
	if (!first) return '';
	const match = /^\/(?:disk\d+\/)?[^/]+\//.exec(first.path);
	if (!match) return '';
	const prefix = match[0];
	return changes.every(({ path }) => path.startsWith(prefix)) ? prefix : '';
}

function fileNode(change: ChangeRecord, prefix: string, place: 'folder' | 'none'): FileNode {
	const words = [place === 'folder' ? folderOf(change.path, prefix) : '', changeFacts(change)];
	return {
		kind: 'change',
		change,
		label: nameOf(change.path),
		description: words.filter(word => word !== '').join(' · '),
		spoken: spokenChange(change, prefix),
	};
}

/** Folder of a path below `prefix`, without a slash in front; '' at the top. */
function folderOf(path: string, prefix: string): string {
	const inside = below(path, prefix);
	const at = inside.lastIndexOf('/');
	return at < 0 ? '' : inside.slice(0, at);
}

/** The path without `prefix`, or without its slash where there is none. */
function below(path: string, prefix: string): string {
	return path.slice(prefix !== '' && path.startsWith(prefix) ? prefix.length : 1);
}

interface Folder {
	readonly folders: Map<string, Folder>;
	readonly files: ChangeRecord[];
	change: ChangeRecord | undefined;
	count: number;
}

function treeNodes(changes: readonly ChangeRecord[], prefix: string): readonly ChangeNode[] {
	const root = newFolder();
	for (const change of changes) {
		const parts = below(change.path, prefix).split('/');
		const isFolder = (change.type[1] ?? change.type[0]) === 'directory' && change.status !== 'T';
		let folder = root;
		folder.count++;
		for (const part of isFolder ? parts : parts.slice(0, -1)) {
			let next = folder.folders.get(part);
			if (!next) folder.folders.set(part, (next = newFolder()));
			folder = next;
			folder.count++;
		}
		if (isFolder) folder.change = change;
		else folder.files.push(change);
	}
	return childrenOf(root, prefix === '' ? '/' : prefix, prefix);
}

function childrenOf(folder: Folder, path: string, prefix: string): readonly ChangeNode[] {
	const folders = [...folder.folders].map(([name, child]) => folderNode(child, `${path}${name}`, name, prefix));
	return [...folders, ...folder.files.map(change => fileNode(change, prefix, 'none'))];
}

function folderNode(folder: Folder, path: string, label: string, prefix: string): ChangeNode {
	const only =
		folder.folders.size === 1 && folder.files.length === 0 && !folder.change ? [...folder.folders][0] : undefined;
	if (only) return folderNode(only[1], `${path}/${only[0]}`, `${label}/${only[0]}`, prefix);
	// A folder with nothing below it is a change like a file.
	if (folder.change && folder.count === 1) {
		return { ...fileNode(folder.change, prefix, 'none'), label };
	}
	return {
		kind: 'folder',
		path,
		label,
		children: childrenOf(folder, `${path}/`, prefix),
		count: folder.count,
		change: folder.change,
	};
}

function newFolder(): Folder {
	return { folders: new Map(), files: [], change: undefined, count: 0 };
}

function packageNodes(
	changes: readonly ChangeRecord[],
	prefix: string,
	summary: SummaryRecord | undefined,
): readonly ChangeNode[] {
	const owners = new Map(Object.entries(summary?.ownerOf ?? {}));
	const groups = new Map<string, ChangeRecord[]>();
	for (const change of changes) {
		const owner = owners.get(change.path) ?? '';
		const group = groups.get(owner);
		if (group) group.push(change);
		else groups.set(owner, [change]);
	}
	const versions = new Map(summary?.packages.map(item => [item.name, item]));
	return [...groups]
		.sort(([a], [b]) => (a === '' ? 1 : b === '' ? -1 : a < b ? -1 : 1))
		.map(([name, members]): PackageNode => {
			const version = versions.get(name);
			const words = [filesText(members.length)];
			if (version) words.unshift(versionText(version.before, version.after));
			return {
				kind: 'package',
				name,
				label: name || l10n.t('Not in a package'),
				description: words.join(' · '),
				children: members.map(change => fileNode(change, prefix, 'folder')),
				count: members.length,
			};
		});
}

function versionText(before: string | null, after: string | null): string {
	if (before === null) return l10n.t('installed {0}', after ?? '');
	if (after === null) return l10n.t('removed {0}', before);
	return before === after ? after : `${before} → ${after}`;
}
