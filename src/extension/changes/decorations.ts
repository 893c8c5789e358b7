import * as vscode from 'vscode';
import type { ChangeStatus } from '../../shared/records.js';
import { COLORS } from '../contributions.js';
import { CHANGE_SCHEME } from '../uri.js';
import { statusWord } from '../words.js';

const COLOR_OF: Readonly<Record<ChangeStatus, string>> = {
	A: COLORS.added,
	D: COLORS.deleted,
	M: COLORS.modified,
	T: COLORS.modified,
	R: COLORS.moved,
	m: COLORS.metadata,
	E: COLORS.unreadable,
};

/**
 * The letter and the colour of a row of *Changes*. Its rows have URIs of their own scheme: a decoration of a file's
 * own URI would show in every view, and give way to the lock of a read-only editor.
 */
export class ChangeDecorations implements vscode.FileDecorationProvider {
	provideFileDecoration(uri: vscode.Uri): vscode.FileDecoration | undefined {
		if (uri.scheme !== CHANGE_SCHEME || !Object.hasOwn(COLOR_OF, uri.query)) return undefined;
		const status = uri.query as ChangeStatus; // OK: a key of COLOR_OF.
		const decoration = new vscode.FileDecoration(status, statusWord(status), new vscode.ThemeColor(COLOR_OF[status]));
		decoration.propagate = false;
		return decoration;
	}
}
