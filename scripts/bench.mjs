// Builds, then measures Strata beside its peers.
import { execFileSync } from 'node:child_process';

execFileSync(process.execPath, ['esbuild.mjs', '--production'], { stdio: 'inherit' });
await import('../test/bench/bench.mjs');
