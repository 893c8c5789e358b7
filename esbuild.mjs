// Builds dist/: the extension, the engine's worker and helper, the command line, the webviews.
import * as esbuild from 'esbuild';
import { cpSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';

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

/**
 * Cuts a program into files: what `import()` names is loaded, and compiled, only when it is reached. esbuild splits only
 * ECMAScript modules, which Node loads more slowly, so each file is made a CommonJS module afterwards.
 * @type {esbuild.Plugin}
 */
const splitCommonJs = {
	name: 'split-commonjs',
	setup(build) {
		Object.assign(build.initialOptions, { format: 'esm', splitting: true, write: false });
		if (!production) build.initialOptions.sourcemap = 'inline';
		build.onEnd(async ({ outputFiles = [] }) => {
			for (const { path, text } of outputFiles) {
				const { code } = await esbuild.transform(text, {
					format: 'cjs',
					platform: 'node',
					target: 'node20',
					minify: production,
					sourcemap: production ? false : 'inline',
					supported: { 'dynamic-import': false }, // Becomes require(), which costs a tenth.
				});
				writeFileSync(path, path.endsWith('cli.cjs') ? `#!/usr/bin/env node\n${code}` : code);
			}
		});
	},
};

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
		entryPoints: { cli: 'src/cli/main.ts' },
		outdir: 'dist',
		outExtension: { '.js': '.cjs' },
		chunkNames: 'cli-[hash]',
		keepNames: false, // Naming every function takes longer than opening an image.
		plugins: [sqlBeside, splitCommonJs],
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
const entries = Object.entries(builds).filter(([, options]) => {
	const paths = Object.values(options.entryPoints);
	return paths.length > 0 && paths.every(path => existsSync(path));
});
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
