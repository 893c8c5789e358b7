// The builders of test/builders are TypeScript: bundled here for files that run on Node alone.
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import * as esbuild from 'esbuild';

const repository = resolve(dirname(fileURLToPath(import.meta.url)), '..', '..', '..');

/**
 * @param {string} name of a file of test/builders: 'many-snapshots'
 * @returns what it exports
 */
export async function loadBuilder(name) {
	// journey() has made the temporary folder one that is removed with the file's home.
	const outfile = join(mkdtempSync(join(tmpdir(), 'builder-')), `${name}.mjs`);
	await esbuild.build({
		entryPoints: [join(repository, 'test', 'builders', `${name}.ts`)],
		outfile,
		bundle: true,
		platform: 'node',
		target: 'node20',
		format: 'esm',
		logLevel: 'warning',
		// Packages that are CommonJS ask for `require`.
		banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
	});
	return import(pathToFileURL(outfile).href);
}
