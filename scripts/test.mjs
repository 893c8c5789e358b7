// Runs everything: set-up, checks, build, tests, the real VS Code. One part's failure does not hide the others.
// The last line is `N passed, N failed` (and `, N skipped` when there are any); each check counts as one.
// usage: npm test [-- PART...]     parts: types lint format build fast slow vscode
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { orExplain, repository, setUpForTests } from './set-up.mjs';

const MINUTE = 60_000;
const VSIX_LIMIT = 3 * 2 ** 20;

const scratch = mkdtempSync(join(tmpdir(), 'strata-test-'));
let running;
process.on('exit', () => {
	if (running) killGroup('SIGKILL');
	rmSync(scratch, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
	process.once(signal, () => {
		if (running) killGroup('SIGTERM');
		setTimeout(() => process.exit(130), running ? 3000 : 0);
	});

function killGroup(signal) {
	try {
		process.kill(-running.pid, signal);
	} catch (error) {
		if (error.code !== 'ESRCH') throw error;
	}
}

/** Runs a program to its end, or ends it after `limit`. @returns its exit code, or null */
async function run(command, args, limit, environment = {}) {
	running = spawn(command, args, {
		cwd: repository,
		detached: true,
		stdio: ['ignore', 'inherit', 'inherit'],
		env: { ...process.env, ...environment },
	});
	const timer = setTimeout(() => {
		console.error(`${command} ${args.join(' ')}: still running after ${limit / MINUTE} minutes, ended`);
		killGroup('SIGTERM');
		setTimeout(() => running && killGroup('SIGKILL'), 5000).unref();
	}, limit);
	const code = await new Promise(done => {
		running.once('error', error => {
			console.error(String(error));
			done(null);
		});
		running.once('exit', done);
	});
	clearTimeout(timer);
	running = undefined;
	return code;
}

const npmRun = name => async () => verdict((await run('npm', ['run', '--silent', name], 5 * MINUTE)) === 0);
const verdict = passed => ({ passed: passed ? 1 : 0, failed: passed ? 0 : 1, skipped: 0 });

async function build() {
	if ((await run('npm', ['run', '--silent', 'package'], 5 * MINUTE)) !== 0) return verdict(false);
	const { size } = statSync(join(repository, 'dist', 'strata.vsix'));
	console.log(`dist/strata.vsix: ${(size / 2 ** 20).toFixed(2)} MiB`);
	if (VSIX_LIMIT < size) console.error('dist/strata.vsix is larger than 3 MiB');
	return verdict(size <= VSIX_LIMIT);
}

const units = (name, args, limit) => async () => {
	const counts = join(scratch, `${name}.json`);
	const code = await run(process.execPath, ['scripts/test-unit.mjs', ...args], limit, {
		STRATA_TEST_REPORTER: process.env.STRATA_TEST_REPORTER ?? './scripts/reporter.mjs',
		STRATA_TEST_COUNTS: counts,
	});
	return counted(counts, code);
};

async function vscode() {
	const counts = join(scratch, 'vscode.json');
	return counted(
		counts,
		await run(process.execPath, ['test/vscode/run.mjs', '--no-build', '--json', counts], 12 * MINUTE),
	);
}

/** What a runner counted. One that died, or failed without a failed test, has one failure more. */
function counted(file, code) {
	let counts = { passed: 0, failed: 0, skipped: 0 };
	try {
		const { passed, failed, skipped = 0 } = JSON.parse(readFileSync(file, 'utf8'));
		counts = { passed, failed, skipped };
	} catch (error) {
		if (error.code !== 'ENOENT') throw error;
	}
	const isSilentFailure = code !== 0 && counts.failed === 0;
	if (isSilentFailure || counts.passed + counts.failed === 0) counts.failed++;
	return counts;
}

const parts = {
	types: npmRun('typecheck'),
	lint: npmRun('lint'),
	format: npmRun('format:check'),
	build,
	fast: units('fast', [], 5 * MINUTE),
	slow: units('slow', ['--slow'], 15 * MINUTE),
	vscode,
};

const wanted = process.argv.slice(2);
const unknown = wanted.filter(name => !(name in parts));
if (unknown.length > 0) {
	console.error(`no such part: ${unknown.join(', ')}; parts: ${Object.keys(parts).join(' ')}`);
	process.exit(2);
}

const total = { passed: 0, failed: 0, skipped: 0 };
const report = [];
let started = Date.now();
await orExplain(setUpForTests);
report.push(`  ${seconds(started)}  set-up`);
for (const [name, part] of Object.entries(parts)) {
	if (wanted.length > 0 && !wanted.includes(name)) continue;
	console.log(`\n── ${name} ${'─'.repeat(70 - name.length)}`);
	started = Date.now();
	const counts = await part();
	for (const key of Object.keys(total)) total[key] += counts[key];
	report.push(`  ${seconds(started)}  ${name.padEnd(8)} ${sentence(counts)}`);
}
console.log(`\n${report.join('\n')}`);
console.log(sentence(total));
process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0;

function seconds(from) {
	return `${((Date.now() - from) / 1000).toFixed(0).padStart(5)} s`;
}

function sentence({ passed, failed, skipped }) {
	return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}
