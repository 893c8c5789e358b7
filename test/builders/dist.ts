/** The product's own bundles, built for tests that run it as a program. */
import * as esbuild from 'esbuild';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';

export interface Dist extends Disposable {
	readonly cli: string;
	/** The worker, and the helper that carries out verbs. */
	readonly engine: string;
}

/** Builds `cli.cjs` with its program, and `engine.cjs`, into a folder of their own. */
export async function buildDist(): Promise<Dist> {
	const folder = mkdtempSync(resolve('.build/dist-'));
	await esbuild.build({
		entryPoints: { cli: 'src/cli/start.ts', 'cli-main': 'src/cli/main.ts', engine: 'src/engine/worker/main.ts' },
		outdir: folder,
		outExtension: { '.js': '.cjs' },
		bundle: true,
		platform: 'node',
		target: 'node20',
		format: 'cjs',
		keepNames: true,
		sourcemap: 'inline',
		logLevel: 'warning',
		plugins: [
			{
				name: 'sql-beside',
				setup(build) {
					build.onResolve({ filter: /^sql\.js\/dist\/sql-wasm-inline\.js$/ }, () => ({
						path: './sql-wasm-inline.cjs',
						external: true,
					}));
				},
			},
		],
	});
	copyFileSync('node_modules/sql.js/dist/sql-wasm-inline.js', join(folder, 'sql-wasm-inline.cjs'));
	return {
		cli: join(folder, 'cli.cjs'),
		engine: join(folder, 'engine.cjs'),
		[Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
	};
}
