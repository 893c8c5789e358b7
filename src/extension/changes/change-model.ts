/**
 * The rows of *Changes*, from the records of a comparison: as a list, as a tree with chains of single folders joined
 * (as the Source Control view does), or by package. Knows no VS Code but its words.
 *
 * A comparison may have a million changes. So an index is built in steps, and rows are made only of what is shown.
 */
import { l10n } from 'vscode';
import type { SummaryRecord } from '../../shared/engine-api.js';
import type { ChangeRecord } from '../../shared/records.js';
import { nameOf } from '../sources/rows.js';
import { changeFacts, filesText, kindWord, sizeText, statusWord } from '../words.js';

export type Layout = 'tree' | 'list' | 'packages';

/** Children that become rows when somebody looks. */
export interface Children {
	readonly length: number;
	slice(from: number, to: number): ChangeNode[];
}

export interface FolderNode {
	readonly kind: 'folder';
	/** Path of the deepest folder of the chain. */
	readonly path: string;
	readonly label: string;
	readonly children: Children;
	/** Changes at and below it. */
	readonly count: number;
	/** The folder itself, when it is a change too. */
	readonly change: ChangeRecord | undefined;
	/** Everything at and below it, in the order of the rows. */
	changes(): ChangeRecord[];
}

export interface PackageNode {
	readonly kind: 'package';
	readonly name: string;
	readonly label: string;
	readonly description: string;
	readonly children: Children;
	readonly count: number;
	changes(): ChangeRecord[];
}

export interface FileNode {
	readonly kind: 'change';
	readonly change: ChangeRecord;
	readonly label: string;
	readonly description: string;
	readonly spoken: string;
	changes(): ChangeRecord[];
}

export type ChangeNode = FolderNode | PackageNode | FileNode;

export interface ChangeIndex {
	readonly children: Children;
	/** Changes that the filter lets through. */
	readonly shown: number;
	changes(): ChangeRecord[];
}

export interface IndexOptions {
	readonly layout: Layout;
	/** Words of the path; '' for everything. */
	readonly filter: string;
	readonly summary: SummaryRecord | undefined;
}

/** How many changes one step handles. */
const STEP = 256;

/** Sorts changes into rows, in steps. `changes` is sorted by path, and must stay as it is. */
export function* indexChanges(
	changes: readonly ChangeRecord[],
	{ layout, filter, summary }: IndexOptions,
): Generator<undefined, ChangeIndex> {
	const shown = yield* filtered(changes, filter);
	const prefix = yield* commonVolume(shown);
	switch (layout) {
		case 'list': {
			const children = rowsOf(shown, prefix);
			return { children, shown: shown.length, changes: () => [...shown] };
		}
		case 'tree': {
			const root = yield* folders(shown, prefix);
			const children = childrenOf(root, prefix === '' ? '/' : prefix, prefix);
			return { children, shown: shown.length, changes: () => changesOf(root) };
		}
		case 'packages': {
			const packages = yield* packagesOf(shown, prefix, summary);
			const children = listOf(packages.length, i => packages[i]!); // OK: asked below its length.
			return { children, shown: shown.length, changes: () => packages.flatMap(node => node.changes()) };
		}
	}
}

/** Changes whose path holds all words of `filter`, in any case. */
function* filtered(changes: readonly ChangeRecord[], filter: string): Generator<undefined, readonly ChangeRecord[]> {
	const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
	if (words.length === 0) return changes;
	const kept: ChangeRecord[] = [];
	for (const [index, change] of changes.entries()) {
		if (index % STEP === 0) yield;
		const text = `${change.path} ${change.from ?? ''}`.toLowerCase();
		if (words.every(word => text.includes(word))) kept.push(change);
	}
	return kept;
}

/** The volume that all changes share (`/p1/`), which then need not be read on every row; '' when there are several. */
export function* commonVolume(changes: readonly ChangeRecord[]): Generator<undefined, string> {
	const prefix = /^\/(?:disk\d+\/)?[^/]+\//.exec(changes[0]?.path ?? '')?.[0] ?? '';
	if (prefix === '') return '';
	for (const [index, { path }] of changes.entries()) {
		if (index % STEP === 0) yield;
		if (!path.startsWith(prefix)) return '';
	}
	return prefix;
}

/** "hosts in etc, modified, 12 bytes": the folder is told, as the tree around the row is not heard. */
export function spokenChange(change: ChangeRecord, prefix: string): string {
	const folder = folderOf(change.path, prefix);
	const place = folder === '' ? nameOf(change.path) : l10n.t('{0} in {1}', nameOf(change.path), folder);
	const size = change.size[1] ?? change.size[0];
	const kind = change.type[1] ?? change.type[0];
	return [
		place,
		statusWord(change.status),
		changeFacts(change),
		kind === 'file' && size !== null ? sizeText(size) : kind === null ? '' : kindWord(kind),
	]
		.filter(part => part !== '')
		.join(', ');
}

function fileNode(change: ChangeRecord, prefix: string, place: 'folder' | 'none'): FileNode {
	const words = [place === 'folder' ? folderOf(change.path, prefix) : '', changeFacts(change)];
	return {
		kind: 'change',
		change,
		label: nameOf(change.path),
		description: words.filter(word => word !== '').join(' · '),
		spoken: spokenChange(change, prefix),
		changes: () => [change],
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

function listOf(length: number, node: (index: number) => ChangeNode): Children {
	return {
		length,
		slice: (from, to) =>
			Array.from({ length: Math.max(0, Math.min(to, length) - from) }, (_, index) => node(from + index)),
	};
}

function rowsOf(changes: readonly ChangeRecord[], prefix: string): Children {
	return listOf(changes.length, i => fileNode(changes[i]!, prefix, 'folder')); // OK: asked below its length.
}

interface Folder {
	readonly folders: Map<string, Folder>;
	readonly files: ChangeRecord[];
	change: ChangeRecord | undefined;
	count: number;
}

function* folders(changes: readonly ChangeRecord[], prefix: string): Generator<undefined, Folder> {
	const root = newFolder();
	for (const [index, change] of changes.entries()) {
		if (index % STEP === 0) yield;
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
	return root;
}

function childrenOf(folder: Folder, path: string, prefix: string): Children {
	const names = [...folder.folders];
	return listOf(names.length + folder.files.length, index => {
		const entry = names[index];
		if (entry) return folderNode(entry[1], `${path}${entry[0]}`, entry[0], prefix);
		return fileNode(folder.files[index - names.length]!, prefix, 'none'); // OK: asked below the sum of both.
	});
}

function folderNode(folder: Folder, path: string, label: string, prefix: string): ChangeNode {
	const isChain = folder.folders.size === 1 && folder.files.length === 0 && !folder.change;
	const [only] = isChain ? folder.folders : [];
	if (only) return folderNode(only[1], `${path}/${only[0]}`, `${label}/${only[0]}`, prefix);
	// A folder with nothing below it is a change like a file.
	if (folder.change && folder.count === 1) return { ...fileNode(folder.change, prefix, 'none'), label };
	return {
		kind: 'folder',
		path,
		label,
		children: childrenOf(folder, `${path}/`, prefix),
		count: folder.count,
		change: folder.change,
		changes: () => changesOf(folder),
	};
}

function changesOf(folder: Folder): ChangeRecord[] {
	const inside = [...folder.folders.values()].flatMap(changesOf);
	return [...(folder.change ? [folder.change] : []), ...inside, ...folder.files];
}

function newFolder(): Folder {
	return { folders: new Map(), files: [], change: undefined, count: 0 };
}

function* packagesOf(
	changes: readonly ChangeRecord[],
	prefix: string,
	summary: SummaryRecord | undefined,
): Generator<undefined, PackageNode[]> {
	const groups = new Map<string, ChangeRecord[]>();
	const owners = summary?.ownerOf ?? {};
	for (const [index, change] of changes.entries()) {
		if (index % STEP === 0) yield;
		// A path begins with a slash, so none is a name that every object has.
		const owner = owners[change.path] ?? '';
		const group = groups.get(owner);
		if (group) group.push(change);
		else groups.set(owner, [change]);
	}
	const versions = new Map(summary?.packages.map(item => [item.name, item]));
	return [...groups]
		.sort(([a], [b]) => (a === '' ? 1 : b === '' ? -1 : a < b ? -1 : 1))
		.map(([name, members]) => {
			const version = versions.get(name);
			const words = [filesText(members.length)];
			if (version) words.unshift(versionText(version.before, version.after));
			return {
				kind: 'package',
				name,
				label: name || l10n.t('Not in a package'),
				description: words.join(' · '),
				children: rowsOf(members, prefix),
				count: members.length,
				changes: () => members,
			};
		});
}

function versionText(before: string | null, after: string | null): string {
	if (before === null) return l10n.t('installed {0}', after ?? '');
	if (after === null) return l10n.t('removed {0}', before);
	return before === after ? after : `${before} → ${after}`;
}
