import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join, posix } from 'node:path';
import { test } from 'node:test';

/** Who may import whom. A layer may always import itself and Node's own modules. Everything not listed is forbidden. */
const READING = ['engine/util', 'engine/io'];
const FORMATS = [...READING, 'engine/image', 'engine/volume', 'engine/filesystem'];
const ENGINE = [...FORMATS, 'engine/tree', 'engine/compare', 'engine/machine'];
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
	shared: [],
	'engine/util': [],
	'engine/io': ['engine/util'],
	'engine/image': READING,
	'engine/volume': READING,
	'engine/filesystem': READING,
	'engine/tree': [...FORMATS, 'shared'],
	'engine/compare': [
		...FORMATS,
		'engine/tree',
		'shared',
		'diff',
		'sql.js',
		'sql.js/dist/sql-wasm-inline.js',
		'fflate',
		'ignore',
	],
	'engine/machine': [...FORMATS, 'engine/tree', 'shared'],
	'engine/timeline': [...ENGINE, 'shared', 'valibot'],
	'engine/worker': [...ENGINE, 'engine/timeline', 'shared', 'birpc'],
	cli: [...ENGINE, 'engine/timeline', 'shared', 'commander', 'package.json'],
	extension: ['shared', 'vscode', 'birpc', 'diff'],
	webview: ['shared', '@vscode/webview-ui-toolkit'],
};

/** `from '…'`, `import '…'`, `import('…')`, `require('…')`; not `Buffer.from('…')`. */
const IMPORT = /(?:\bfrom |\bimport |\bimport\(|\brequire\()'([^']+)'/g;

test('imports follow the layers', () => {
	const broken: string[] = [];
	for (const root of ['src', 'webview']) {
		const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).map(name =>
			posix.join(root, name.replaceAll('\\', '/')),
		);
		for (const file of files.filter(name => name.endsWith('.ts'))) {
			const from = layerOf(file);
			const allowed = ALLOWED[from];
			assert.ok(allowed, `${file} is in a folder that the table does not know: ${from}`);
			for (const [, target] of readFileSync(file, 'utf8').matchAll(IMPORT)) {
				const to = target!.startsWith('.') ? layerOf(posix.join(posix.dirname(file), target!)) : target!;
				if (to === from || to.startsWith('node:') || allowed.includes(to)) continue;
				broken.push(`${file} imports ${target}`);
			}
		}
	}
	assert.deepEqual(broken, []);
});

test('every layer of the table exists', () => {
	for (const layer of Object.keys(ALLOWED)) {
		assert.ok(
			existsSync(layer === 'webview' ? layer : join('src', layer)),
			`${layer} is gone: take it out of the table`,
		);
	}
});

/** `src/engine/io/file.ts` is in `engine/io`, `src/cli/main.ts` in `cli`, `webview/timeline.ts` in `webview`. */
function layerOf(file: string): string {
	const parts = file.split('/');
	if (parts[0] === 'webview') return 'webview';
	// What lies at the top of the project has no layer, and is named itself.
	return parts[1] === 'engine' ? parts.slice(1, 3).join('/') : (parts[1] ?? file);
}
