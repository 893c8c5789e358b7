// Runs the end-to-end tests in a real VS Code, one after the other, each in a process and a home of its own.
// usage: node test/vscode/run.mjs [--no-build] [--vsix FILE] [--json FILE] [NAME...]     (names: parts of files in e2e/)
import { spawn, spawnSync } from 'node:child_process';
import {
	copyFileSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	readFileSync,
	readdirSync,
	renameSync,
	rmSync,
	writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { setUp } from './setup.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const repository = resolve(here, '..', '..');
const FILE_LIMIT_MS = 10 * 60_000;
/** Run only when they are named. */
const ASKED_FOR = ['measure.mjs', 'pictures.mjs'];

const { values, positionals } = parseArgs({
	allowPositionals: true,
	options: {
		'no-build': { type: 'boolean', default: false },
		vsix: { type: 'string' },
		json: { type: 'string' },
	},
});

await setUp();
const vsix = resolve(values.vsix ?? join(repository, 'dist', 'strata.vsix'));
if (!values['no-build'] && values.vsix === undefined) {
	const built = spawnSync('npm', ['run', '--silent', 'package'], {
		cwd: repository,
		stdio: ['ignore', 'inherit', 'inherit'],
	});
	if (built.status !== 0) process.exit(1);
}
if (!existsSync(vsix)) {
	console.error(`${vsix} is missing; run: npm run package`);
	process.exit(1);
}

const files = readdirSync(join(here, 'e2e'))
	.filter(name => name.endsWith('.mjs'))
	// What measures or takes pictures tests nothing.
	.filter(name =>
		positionals.length === 0 ? !ASKED_FOR.includes(name) : positionals.some(part => name.includes(part)),
	)
	.sort((a, b) => Number(b === 'smoke.mjs') - Number(a === 'smoke.mjs') || a.localeCompare(b));
if (files.length === 0) {
	console.error(`no file of test/vscode/e2e matches ${positionals.join(' ')}`);
	process.exit(2);
}

// Short, for the sockets below; removed whatever happens.
const root = mkdtempSync(join(tmpdir(), 'se-'));
// A build meanwhile must not take it away.
const packed = join(root, 'strata.vsix');
copyFileSync(vsix, packed);
let current;
process.on('exit', () => {
	if (current) killGroup(current, 'SIGKILL');
	rmSync(root, { recursive: true, force: true, maxRetries: 5 });
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
	process.once(signal, () => {
		// The child ends its server and its browser, then this process follows.
		if (current) killGroup(current, 'SIGTERM');
		setTimeout(() => process.exit(130), current ? 1500 : 0);
	});

function killGroup(child, signal) {
	try {
		process.kill(-child.pid, signal);
	} catch (error) {
		if (error.code !== 'ESRCH') throw error;
	}
}

/** @returns what its steps did; a file that died or told of no step has failed */
async function runFile(file, index) {
	const name = basename(file, '.mjs');
	const results = join(repository, 'test-results', name);
	rmSync(results, { recursive: true, force: true });
	mkdirSync(results, { recursive: true });
	const base = join(root, String(index));
	mkdirSync(base);
	const child = spawn(process.execPath, [join(here, 'e2e', file)], {
		detached: true,
		stdio: ['ignore', 'inherit', 'inherit'],
		env: { ...process.env, STRATA_E2E: JSON.stringify({ name, base, results, vsix: packed, repository }) },
	});
	current = child;
	const timer = setTimeout(() => killGroup(child, 'SIGTERM'), FILE_LIMIT_MS);
	const code = await new Promise(done => child.once('exit', (status, signal) => done(status ?? signal)));
	clearTimeout(timer);
	current = undefined;
	killGroup(child, 'SIGKILL');
	const file_ = join(results, 'steps.json');
	const steps = existsSync(file_) ? JSON.parse(readFileSync(file_, 'utf8')) : [];
	if (steps.length === 0 || (code !== 0 && steps.every(step => step.passed))) {
		console.log(`FAIL ${name} › the file ended with ${code}`);
		steps.push({ name: 'the file runs to its end', passed: false, milliseconds: 0, error: `ended with ${code}` });
	}
	rmSync(base, { recursive: true, force: true, maxRetries: 5 });
	return { file: name, steps };
}

const started = Date.now();
const outcome = [];
for (const [index, file] of files.entries()) {
	let result = await runFile(file, index);
	// A real browser and a real editor on a busy machine lose a click now and then. A file that failed is tried once more, whole,
	// from nothing; what fails twice has failed. The first try's pictures are kept beside.
	if (result.steps.some(step => !step.passed)) {
		const pictures = join(repository, 'test-results', result.file);
		rmSync(`${pictures}-first-try`, { recursive: true, force: true });
		renameSync(pictures, `${pictures}-first-try`);
		console.log(`again: ${result.file}`);
		result = await runFile(file, files.length + index);
		result.again = true;
	}
	outcome.push(result);
}
const again = outcome.filter(one => one.again).map(one => one.file);
if (again.length > 0) console.log(`run twice: ${again.join(', ')}`);
const steps = outcome.flatMap(one => one.steps);
const failed = steps.filter(step => !step.passed).length;
if (values.json) writeFileSync(values.json, JSON.stringify({ passed: steps.length - failed, failed, files: outcome }));
console.log(
	`end to end: ${steps.length - failed} passed, ${failed} failed in ${((Date.now() - started) / 1000).toFixed(0)} s`,
);
process.exitCode = failed === 0 ? 0 : 1;
