/** `strata` in every integrated terminal, and the addresses that it prints as links into the editor. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { delimiter } from 'node:path';
import * as vscode from 'vscode';
import { INTERNAL_COMMANDS, SETTINGS } from './contributions.js';
import type { Services } from './services.js';
import type { SourceStore } from './sources/source-store.js';
import { messageOf } from './engine-error.js';
import { stateOf, type NamedState } from './state-name.js';
import { parseAddresses } from './terminal-address.js';

export function registerTerminal(services: Services): void {
	const { context, log, sources, installs } = services;
	const folder = vscode.Uri.joinPath(context.globalStorageUri, 'bin');
	const environment = context.environmentVariableCollection;
	environment.description = vscode.l10n.t('Makes the command `strata` available');
	environment.prepend('PATH', folder.fsPath + delimiter);
	const home = vscode.workspace.getConfiguration().get<string>(SETTINGS.home, '');
	if (home === '') environment.delete('STRATA_HOME');
	else environment.replace('STRATA_HOME', home);
	// After activation: the first terminal opens later than this takes.
	setTimeout(() => {
		writeWrappers(folder, context.asAbsolutePath('dist/cli.cjs')).catch((error: unknown) =>
			log.warn(`the command "strata" for terminals: ${messageOf(error)}`),
		);
	}, 1000).unref();
	context.subscriptions.push(
		vscode.window.registerTerminalLinkProvider(new AddressLinks(sources)),
		vscode.window.onDidEndTerminalShellExecution(({ execution, exitCode }) =>
			installs.note(execution.commandLine.value, exitCode, Date.now()),
		),
	);
}

/** Small programs that run the command line with the Node that runs the extension. */
async function writeWrappers(folder: vscode.Uri, cli: string): Promise<void> {
	const quoted = (text: string) => `'${text.replaceAll("'", String.raw`'\''`)}'`;
	const files: Record<string, string> = {
		strata: `#!/bin/sh\nELECTRON_RUN_AS_NODE=1 exec ${quoted(process.execPath)} ${quoted(cli)} "$@"\n`,
		'strata.cmd': `@echo off\r\nset ELECTRON_RUN_AS_NODE=1\r\n"${process.execPath}" "${cli}" %*\r\n`,
	};
	await mkdir(folder.fsPath, { recursive: true });
	for (const [name, text] of Object.entries(files)) {
		const path = vscode.Uri.joinPath(folder, name).fsPath;
		const before = await readFile(path, 'utf8').catch(() => ''); // OK: it is then written.
		if (before !== text) await writeFile(path, text, { mode: 0o755 });
	}
}

interface AddressLink extends vscode.TerminalLink {
	readonly state: NamedState;
	readonly path: string;
}

class AddressLinks implements vscode.TerminalLinkProvider<AddressLink> {
	constructor(private readonly sources: SourceStore) {}

	/** Only of machines that are known already: a line in a terminal starts no engine. */
	provideTerminalLinks({ line }: vscode.TerminalLinkContext): AddressLink[] {
		return parseAddresses(line).flatMap(({ source, snapshot, path, startIndex, length }) => {
			const machine = this.sources.machines.find(({ record }) => record.name === source);
			if (!machine?.timeline) return [];
			const named = machine.timeline.snapshots.find(({ name, tag, id, key }) =>
				[name, tag, id, key].includes(snapshot),
			);
			const state = stateOf(machine.timeline, snapshot === '' ? 'current' : (named?.key ?? snapshot));
			return state ? [{ startIndex, length, tooltip: vscode.l10n.t('Open in the editor'), state, path }] : [];
		});
	}

	async handleTerminalLink({ state, path }: AddressLink): Promise<void> {
		await vscode.commands.executeCommand(INTERNAL_COMMANDS.openFile, { state, path });
	}
}
