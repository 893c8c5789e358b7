/** The file systems of Strata, and what keeps open documents of a current state fresh. */
import * as vscode from 'vscode';
import type { Services } from '../services.js';
import { CURRENT } from '../state-name.js';
import { FILE_SCHEME, parseFileUri, parseTextUri, TEXT_SCHEME } from '../uri.js';
import { sentenceMarkdown } from '../markdown.js';
import { SnapshotFileSystem } from './file-system.js';
import { RenderingLenses } from './lenses.js';
import { RenderedFileSystem } from './text-file-system.js';

export function registerDocuments({ context, engine, sources, log }: Services): void {
	const files = new SnapshotFileSystem(engine, log);
	const texts = new RenderedFileSystem(engine, sources);
	const options = {
		isCaseSensitive: true,
		isReadonly: sentenceMarkdown(
			vscode.l10n.t('This is a file in a snapshot: it cannot be edited. Restore it to this computer to change it.'),
		),
	};
	let watching: { dispose(): void } | undefined;
	const openUris = () => vscode.workspace.textDocuments.filter(({ uri }) => isCurrent(uri)).map(({ uri }) => uri);
	const watch = () => {
		const needed = openUris().length > 0;
		if (needed) watching ??= sources.watch();
		else {
			watching?.dispose();
			watching = undefined;
		}
	};
	const generations = new Map<string, string>();
	context.subscriptions.push(
		vscode.workspace.registerFileSystemProvider(FILE_SCHEME, files, options),
		vscode.workspace.registerFileSystemProvider(TEXT_SCHEME, texts, options),
		vscode.languages.registerCodeLensProvider(RenderingLenses.selector, new RenderingLenses()),
		vscode.workspace.onDidOpenTextDocument(watch),
		vscode.workspace.onDidCloseTextDocument(watch),
		sources.onDidChange(id => {
			const generation = id === undefined ? undefined : sources.machine(id)?.timeline?.generation;
			if (id === undefined || generation === undefined || generations.get(id) === generation) return;
			const known = generations.has(id);
			generations.set(id, generation);
			if (!known) return;
			const uris = openUris().filter(uri => (parseFileUri(uri) ?? parseTextUri(uri))?.source === id);
			files.touch(uris.filter(({ scheme }) => scheme === FILE_SCHEME));
			texts.touch(uris.filter(({ scheme }) => scheme === TEXT_SCHEME));
		}),
		{ dispose: () => watching?.dispose() },
	);
}

function isCurrent(uri: vscode.Uri): boolean {
	return (parseFileUri(uri) ?? parseTextUri(uri))?.state === CURRENT;
}
