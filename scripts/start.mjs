// Opens a real VS Code with Strata: the desktop's when there is one, else VS Code in the browser. Ctrl+C ends it.
// Everything is in a temporary profile; the list of machines as well. What is snapshotted is real.
// usage: npm start [-- --browser] [--port N] [--vsix FILE]
import { spawn, spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { findProgram, offerQemu, orExplain, repository, setUpForBrowser, setUpForBuild } from './set-up.mjs';

const OLDEST = [1, 109];
const DEFAULT_PORT = 8484;

const { values } = parseArgs({
	options: {
		browser: { type: 'boolean', default: false },
		port: { type: 'string' },
		/** An extension that is packed already. */
		vsix: { type: 'string' },
	},
});

const base = mkdtempSync(join(tmpdir(), 'strata-'));
process.on('exit', () => rmSync(base, { recursive: true, force: true, maxRetries: 5 }));
let askedToEnd;
const end = new Promise(done => (askedToEnd = done));
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => askedToEnd());

await orExplain(async () => {
	setUpForBuild();
	offerQemu();
});
const folder = join(base, 'playground');
mkdirSync(folder);
writeFileSync(
	join(folder, 'README.md'),
	'# Strata\n\nOpen the Strata view in the Activity Bar: it shows an example machine with four snapshots.\n' +
		'Click a change to see it in the diff editor; right-click a snapshot to compare it or to roll back.\n',
);
const environment = { STRATA_HOME: join(base, 'strata') };

if (values.browser || !(await openDesktop())) await orExplain(openInBrowser);
process.exit(process.exitCode ?? 0);

/**
 * Opens the desktop's VS Code on this checkout and waits until its window is closed.
 * @returns false when no desktop answers: a `code` may be the wrapper of a remote window or of another system
 */
async function openDesktop() {
	const code = findDesktopCode();
	if (code === undefined) return false;
	build('build');
	const args = [
		...['--new-window', '--wait', `--extensionDevelopmentPath=${repository}`],
		...['--user-data-dir', join(base, 'profile'), '--extensions-dir', join(base, 'extensions')],
		...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
		folder,
	];
	console.log(`Opening ${code} with Strata. Close its window, or press Ctrl+C, to end.`);
	const started = Date.now();
	const child = spawn(code, args, { stdio: 'inherit', env: { ...process.env, ...environment } });
	const outcome = await Promise.race([
		new Promise(done => child.once('exit', done)),
		new Promise(done => child.once('error', () => done(-1))),
		end.then(() => 'ended'),
	]);
	if (outcome === 'ended') child.kill();
	// No window opens and closes within seconds: the desktop did not answer.
	if (outcome !== 0 && outcome !== 'ended' && Date.now() - started < 10_000) {
		console.log(`${code} does not open (exit code ${outcome}); using VS Code in the browser.`);
		return false;
	}
	return true;
}

function findDesktopCode() {
	const code = findProgram('code');
	if (code === undefined) return undefined;
	if (process.env.VSCODE_IPC_HOOK_CLI || process.env.REMOTE_CONTAINERS || process.env.CODESPACES) return undefined;
	const real = realpathSync(code);
	// The wrapper inside a remote window; Windows' own, seen from its Linux.
	if (/remote-cli|\.vscode-server|^\/mnt\/[a-z]\//.test(real)) return undefined;
	if (process.platform === 'linux' && !process.env.DISPLAY && !process.env.WAYLAND_DISPLAY) return undefined;
	const asRoot = process.getuid?.() === 0 ? ['--no-sandbox', '--user-data-dir', join(base, 'profile')] : [];
	const answer = spawnSync(code, [...asRoot, '--version'], {
		encoding: 'utf8',
		timeout: 15_000,
		stdio: ['ignore', 'pipe', 'ignore'],
	});
	const version = /^(\d+)\.(\d+)\.\d+/m.exec(answer.stdout ?? '');
	if (answer.status !== 0 || !version) return undefined;
	const [major, minor] = [Number(version[1]), Number(version[2])];
	if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])) {
		console.log(`The installed VS Code ${version[0]} is older than ${OLDEST.join('.')}; using VS Code in the browser.`);
		return undefined;
	}
	return code;
}

async function openInBrowser() {
	await setUpForBrowser();
	if (values.vsix === undefined) build('package');
	const { addressOf, installExtension, layOut, startServer } = await import('../test/vscode/lib/server.mjs');
	const folders = layOut(join(base, 'vscode'));
	installExtension(folders, values.vsix ?? join(repository, 'dist', 'strata.vsix'));
	// Without a password every user of this machine would have a shell.
	const password = Array.from({ length: 4 }, () => String(randomInt(10_000)).padStart(4, '0')).join('-');
	const options = {
		folders,
		password,
		calm: false,
		idleSeconds: null,
		settings: {
			'workbench.startupEditor': 'readme',
			'workbench.secondarySideBar.defaultVisibility': 'hidden',
			'chat.disableAIFeatures': true,
			'files.simpleDialog.enable': true,
		},
		environment: { ...environment, HOME: process.env.HOME ?? folders.home },
	};
	const server = await startServer({ ...options, port: Number(values.port ?? DEFAULT_PORT) }).catch(error => {
		if (values.port !== undefined) throw error;
		// The usual port is taken: any other will do.
		return startServer(options);
	});
	console.log(`
  Strata is ready in VS Code:

    ${addressOf(server.port, folder)}
    password  ${password}

  It listens on this machine only. From another one: ssh -L ${server.port}:127.0.0.1:${server.port} HOST
  Ctrl+C ends it.
`);
	const ended = await Promise.race([end.then(() => 'asked'), server.ended.then(() => 'died')]);
	if (ended === 'died') {
		console.error(`VS Code ended:\n${server.log()}`);
		process.exitCode = 1;
	}
	await server.stop();
}

function build(script) {
	console.log('Building Strata…');
	const result = spawnSync('npm', ['run', '--silent', script], {
		cwd: repository,
		stdio: ['ignore', 'inherit', 'inherit'],
	});
	if (result.status !== 0) process.exit(1);
}
