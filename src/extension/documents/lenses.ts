import * as vscode from 'vscode';
import { COMMANDS, INTERNAL_COMMANDS } from '../contributions.js';
import { parseTextUri, TEXT_SCHEME } from '../uri.js';

/** The buttons above a rendering or an explanation: what else can be done with the file. */
export class RenderingLenses implements vscode.CodeLensProvider {
	static readonly selector: vscode.DocumentSelector = { scheme: TEXT_SCHEME };

	provideCodeLenses(document: vscode.TextDocument): vscode.CodeLens[] {
		const address = parseTextUri(document.uri);
		if (!address) return [];
		const top = new vscode.Range(0, 0, 0, 0);
		const { renderer } = address;
		const lens = (title: string, command: string) =>
			new vscode.CodeLens(top, { title, command, arguments: [document.uri] });
		const lenses: vscode.CodeLens[] = [];
		if (renderer === 'explain') lenses.push(lens(vscode.l10n.t('Open Anyway'), INTERNAL_COMMANDS.openAnyway));
		if (renderer !== 'bytes') lenses.push(lens(vscode.l10n.t('Open Bytes'), COMMANDS.openBytes));
		if (renderer !== 'properties') lenses.push(lens(vscode.l10n.t('Open Properties'), COMMANDS.openProperties));
		lenses.push(lens(vscode.l10n.t('Restore to Host…'), COMMANDS.restoreToHost));
		lenses.push(lens(vscode.l10n.t('Show File Versions'), COMMANDS.showFileVersions));
		return lenses;
	}
}
