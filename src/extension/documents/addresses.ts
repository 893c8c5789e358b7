import * as vscode from 'vscode';
import type { SourceStore } from '../sources/source-store.js';
import { CURRENT, currentLabel, stateOf, type NamedState } from '../state-name.js';
import { parseFileUri, parseTextUri } from '../uri.js';

/** A file that a document shows: which state, which path. */
export interface DocumentAddress {
	readonly state: NamedState;
	readonly path: string;
}

/** What a document of ours shows, whether as it is or rendered; `undefined` for other documents. */
export function addressOfUri(sources: SourceStore, uri: vscode.Uri): DocumentAddress | undefined {
	const address = parseFileUri(uri) ?? parseTextUri(uri);
	if (!address) return undefined;
	const machine = sources.machine(address.source);
	const known = machine?.timeline && stateOf(machine.timeline, address.state);
	const label = address.state === CURRENT ? currentLabel() : address.label;
	const sourceName = machine?.record.name ?? address.source;
	return {
		state: known ?? { source: address.source, state: address.state, sourceName, label },
		path: address.path,
	};
}

/** The document of the active tab, whatever editor shows it; of a diff, the right side. */
export function activeTabUri(): vscode.Uri | undefined {
	const input = vscode.window.tabGroups.activeTabGroup.activeTab?.input;
	if (input instanceof vscode.TabInputText || input instanceof vscode.TabInputCustom) return input.uri;
	if (input instanceof vscode.TabInputTextDiff) return input.modified;
	if (input instanceof vscode.TabInputNotebook) return input.uri;
	return undefined;
}
