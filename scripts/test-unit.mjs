// Bundles test files and runs them under node's own test runner.
// usage: node scripts/test-unit.mjs [--only SUBSTRING]... [--slow]   (names ending in .slow.test.ts run only with --slow or --all)
import * as esbuild from 'esbuild';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';

const args = process.argv.slice(2);
const wanted = args.filter(arg => !arg.startsWith('--'));
const slow = args.includes('--slow') || args.includes('--all');
const all = args.includes('--all') || wanted.length > 0;

function testFiles(folder) {
	return readdirSync(folder, { withFileTypes: true }).flatMap(entry => {
		const path = join(folder, entry.name);
		if (entry.isDirectory())
			return entry.name === 'node_modules' || path === join('test', 'vscode') ? [] : testFiles(path);
		return entry.name.endsWith('.test.ts') ? [path] : [];
	});
}

const files = testFiles('test')
	.map(path => path.replaceAll('\\', '/'))
	.filter(path =>
		wanted.length > 0 ? wanted.some(part => path.includes(part)) : all || path.endsWith('.slow.test.ts') === slow,
	)
	.sort();
if (files.length === 0) {
	console.error(`no test file matches ${wanted.join(' ')}`);
	process.exit(2);
}
// A folder per run, so that two runs beside each other do not delete each other's bundles.
const out = join('.build', `test-${process.pid}`);
mkdirSync(out, { recursive: true });
process.on('exit', () => rmSync(out, { recursive: true, force: true }));
await esbuild.build({
	entryPoints: files,
	outdir: out,
	outbase: '.',
	outExtension: { '.js': '.mjs' },
	bundle: true,
	platform: 'node',
	target: 'node20',
	format: 'esm',
	packages: 'external',
	// The words of the extension are tested on Node alone; everything else of VS Code is tested in VS Code.
	alias: { vscode: resolve('test/extension/vscode-stub.ts') },
	sourcemap: 'inline',
	keepNames: true,
	logLevel: 'warning',
});
const bundles = files.map(path => join(out, path.replace(/\.ts$/, '.mjs')));
/** See test/oracles/no-sync/no-sync.c. */
function withoutSync() {
	if (process.platform !== 'linux') return {};
	const library = resolve(out, 'no-sync.so');
	execFileSync('cc', ['-shared', '-fPIC', '-o', library, 'test/oracles/no-sync/no-sync.c'], { stdio: 'inherit' });
	return { LD_PRELOAD: [library, process.env.LD_PRELOAD].filter(Boolean).join(' ') };
}

const concurrency = process.env.STRATA_TEST_CONCURRENCY ?? '2';
const result = spawnSync(
	process.execPath,
	[
		'--enable-source-maps',
		'--test',
		`--test-concurrency=${concurrency}`,
		`--test-reporter=${process.env.STRATA_TEST_REPORTER ?? 'spec'}`,
		'--test-reporter-destination=stdout',
		...bundles,
	],
	{ stdio: 'inherit', env: { ...process.env, ...withoutSync() } },
);
process.exitCode = result.status ?? 1;
