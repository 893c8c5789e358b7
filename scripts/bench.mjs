// Builds, then measures Strata beside its peers.
// usage: npm run bench [-- --extension]     --extension: measures the extension in a real VS Code instead
import { execFileSync, spawnSync } from 'node:child_process';
import process from 'node:process';

if (process.argv.includes('--extension')) {
	process.exitCode = spawnSync(process.execPath, ['test/vscode/run.mjs', 'measure'], { stdio: 'inherit' }).status ?? 1;
} else {
	execFileSync(process.execPath, ['esbuild.mjs', '--production'], { stdio: 'inherit' });
	await import('../test/bench/bench.mjs');
}
