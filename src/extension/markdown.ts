import * as vscode from 'vscode';
import { plain } from './plain.js';

/** A tooltip: a heading and facts, one a line. Whatever the text says, it stays text. */
export function factsMarkdown(title: string, facts: readonly (readonly [string, string])[]): vscode.MarkdownString {
	const markdown = new vscode.MarkdownString();
	appendWords(markdown.appendMarkdown('**'), title).appendMarkdown('**');
	for (const [name, value] of facts) {
		markdown.appendMarkdown('\n\n').appendText(`${plain(name)}: `);
		appendWords(markdown, value);
	}
	return markdown;
}

/** A sentence of our own, with nothing of an image in it. */
export function sentenceMarkdown(text: string): vscode.MarkdownString {
	return appendWords(new vscode.MarkdownString(), text);
}

/**
 * `appendText` makes every space a hard one, so that a tooltip breaks in the middle of words. Words are appended one by
 * one, with soft spaces; the first stays hard, since "1. x" at the beginning of a line would be a list.
 */
function appendWords(markdown: vscode.MarkdownString, text: string): vscode.MarkdownString {
	const [first = '', second, ...rest] = plain(text).split(' ');
	markdown.appendText(second === undefined ? first : `${first} ${second}`);
	for (const word of rest) markdown.appendMarkdown(' ').appendText(word);
	return markdown;
}
