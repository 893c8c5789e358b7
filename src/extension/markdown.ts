import * as vscode from 'vscode';
import { plain } from './plain.js';

/** A tooltip: a heading and facts, one a line. Whatever the text says, it stays text. */
export function factsMarkdown(title: string, facts: readonly (readonly [string, string])[]): vscode.MarkdownString {
	const markdown = new vscode.MarkdownString();
	markdown.appendMarkdown('**').appendText(plain(title)).appendMarkdown('**');
	for (const [name, value] of facts) {
		markdown
			.appendMarkdown('\n\n')
			.appendText(`${plain(name)}: `)
			.appendText(plain(value));
	}
	return markdown;
}

/** A sentence of our own, with nothing of an image in it. */
export function sentenceMarkdown(text: string): vscode.MarkdownString {
	return new vscode.MarkdownString().appendText(plain(text));
}
