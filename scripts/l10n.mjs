// Writes l10n/bundle.l10n.json: every sentence of the extension's code, for translators.
// usage: node scripts/l10n.mjs [--check]
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { format, resolveConfig } from 'prettier';

const TARGET = 'l10n/bundle.l10n.json';
const CALL = /\bl10n\.t\(\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")/g;

const sentences = new Set();
for (const name of readdirSync('src/extension', { recursive: true, encoding: 'utf8' })) {
	if (!name.endsWith('.ts')) continue;
	const text = readFileSync(join('src/extension', name), 'utf8');
	const calls = text.match(/\bl10n\.t\(/g)?.length ?? 0;
	const found = [...text.matchAll(CALL)];
	if (found.length !== calls) throw new Error(`${name}: every l10n.t() takes its sentence as a literal`);
	for (const [, single, double] of found) sentences.add((single ?? double).replace(/\\(.)/g, '$1'));
}
const sorted = Object.fromEntries([...sentences].sort().map(sentence => [sentence, sentence]));
const json = await format(JSON.stringify(sorted), { ...(await resolveConfig(TARGET)), parser: 'json' });
if (process.argv.includes('--check')) {
	if (readFileSync(TARGET, 'utf8') !== json) {
		console.error(`${TARGET} is not what the code says; run: node scripts/l10n.mjs`);
		process.exit(1);
	}
} else writeFileSync(TARGET, json);
