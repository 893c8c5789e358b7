import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { join } from 'node:path';
import { plain, plainShort } from '../../src/extension/plain.js';

/** Labels that someone who controls an image may choose. */
export const HOSTILE = [
	'[Click me](command:workbench.action.terminal.new)',
	'![x](https://example.invalid/a.png)',
	'$(trash) gone',
	'$(sync~spin)',
	'two\nlines',
	'tab\tand\rreturn',
	'\u202egpj.exe',
	'\u2066hidden\u2069',
	'zero\u200bwidth',
	'\u001b[31mred',
	'](command:x)',
	'\u0000',
];

test('what would act is broken', () => {
	for (const label of HOSTILE) {
		const safe = plain(label);
		assert.ok(!safe.includes(']('), label);
		assert.ok(!safe.includes('$('), label);
		assert.doesNotMatch(safe, /[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/u, label);
	}
});

test('what is harmless stays', () => {
	for (const label of [
		'before apt install nginx',
		'Größe 5 (neu)',
		'a[1] (b)',
		'$HOME',
		'日本語',
		'👩‍🔬 lab'.replace('\u200d', ''),
		'',
	]) {
		assert.equal(plain(label), label);
	}
});

test('long text is cut at a character', () => {
	assert.equal(plainShort('👍'.repeat(100), 10), `${'👍'.repeat(9)}…`);
});

/**
 * Calls that give text a meaning. Each call's text must come from `l10n.t` whose arguments are harmless, or go
 * through `plain`; so outside of `notify.ts`, which does it, nobody may make these calls.
 */
const MEANINGFUL = [
	/\bwindow\.(?:show(?:Information|Warning|Error)Message|setStatusBarMessage|withProgress|showQuickPick|createQuickPick|showInputBox|createInputBox)\b/,
	/\bnew vscode\.MarkdownString\b/,
	/\bappendMarkdown\b/,
	/\bsupportHtml\b/,
	/\bisTrusted\s*=\s*true\b/,
	/\bcreateStatusBarItem\b/,
];

test('only the guarded files talk to notifications, quick picks, the status bar and Markdown', () => {
	const guarded = new Set(['notify.ts', 'toggled-input.ts', 'status-bar.ts', 'markdown.ts']);
	const broken: string[] = [];
	for (const name of readdirSync('src/extension', { recursive: true, encoding: 'utf8' })) {
		if (!name.endsWith('.ts') || guarded.has(name)) continue;
		const text = readFileSync(join('src/extension', name), 'utf8');
		for (const pattern of MEANINGFUL) if (pattern.test(text)) broken.push(`${name}: ${String(pattern)}`);
	}
	assert.deepEqual(broken, []);
});
