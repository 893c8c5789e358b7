// Builds dist/: the extension, the engine's worker and helper, the command line, the webviews.
import * as esbuild from 'esbuild';
import { cpSync, existsSync, mkdirSync, rmSync } from 'node:fs';

const production = process.argv.includes('--production');
const watch = process.argv.includes('--watch');

/**
 * Keeps SQLite's megabyte of WebAssembly in a file of its own: most runs never load it.
 * @type {esbuild.Plugin}
 */
const sqlBeside = {
	name: 'sql-beside',
	setup(build) {
		build.onResolve({ filter: /^sql\.js\/dist\/sql-wasm-inline\.js$/ }, () => ({
			path: './sql-wasm-inline.cjs',
			external: true,
		}));
	},
};

/** @type {esbuild.BuildOptions} */
const common = {
	bundle: true,
	minify: production,
	sourcemap: !production,
	metafile: true,
	logLevel: 'warning',
	loader: { '.wasm': 'binary' },
};
const node = { ...common, platform: 'node', target: 'node20', format: 'cjs', keepNames: true, plugins: [sqlBeside] };

const builds = {
	// The only bundle that may see VS Code.
	extension: {
		...node,
		entryPoints: ['src/extension/extension.ts'],
		outfile: 'dist/extension.cjs',
		external: ['vscode'],
	},
	// No `external`: an import of 'vscode' below src/cli or src/engine breaks the build.
	engine: { ...node, entryPoints: ['src/engine/worker/main.ts'], outfile: 'dist/engine.cjs' },
	cli: {
		...node,
		entryPoints: ['src/cli/main.ts'],
		outfile: 'dist/cli-main.cjs',
		// Naming every function takes longer than opening an image. One file, because a name imported from another is a
		// getter, which the hot loops of a short run never see optimised.
		keepNames: false,
	},
	start: {
		...node,
		entryPoints: ['src/cli/start.ts'],
		outfile: 'dist/cli.cjs',
		banner: { js: '#!/usr/bin/env node' },
	},
	webview: {
		...common,
		platform: 'browser',
		target: 'es2022',
		format: 'esm',
		entryPoints: ['webview/timeline.ts', 'webview/disk-image.ts'].filter(path => existsSync(path)),
		outdir: 'dist/webview',
	},
};

function copyAssets() {
	mkdirSync('dist/webview', { recursive: true });
	const codicons = 'node_modules/@vscode/codicons/dist';
	cpSync('node_modules/sql.js/dist/sql-wasm-inline.js', 'dist/sql-wasm-inline.cjs');
	for (const name of ['codicon.css', 'codicon.ttf']) cpSync(`${codicons}/${name}`, `dist/webview/${name}`);
}

if (!watch) rmSync('dist', { recursive: true, force: true });
copyAssets();
const entries = Object.entries(builds).filter(
	([, options]) => options.entryPoints.length > 0 && options.entryPoints.every(path => existsSync(path)),
);
if (watch) {
	for (const [, options] of entries) await (await esbuild.context(options)).watch();
} else {
	const results = await Promise.all(entries.map(async ([name, options]) => [name, await esbuild.build(options)]));
	for (const [name, result] of results) {
		if (name !== 'webview') continue;
		const foreign = Object.keys(result.metafile.inputs).filter(path => /^src\/(?!shared\/)/.test(path));
		if (foreign.length > 0) throw new Error(`the webview may import only src/shared: ${foreign.join(', ')}`);
	}
}
