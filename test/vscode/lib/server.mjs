// Starts and ends the VS Code server (code-server), each with a home, a temporary folder and a profile of its own.
import { spawn, spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { join } from 'node:path';
import process from 'node:process';
import { paths } from '../setup.mjs';
import { CALM_SETTINGS } from './settings.mjs';

/** Servers that are up: whatever way this process ends, they end as well. */
const running = new Set();
process.on('exit', () => running.forEach(child => killGroup(child, 'SIGKILL')));

function killGroup(child, signal) {
	try {
		process.kill(-child.pid, signal);
	} catch (error) {
		if (error.code !== 'ESRCH') throw error;
	}
}

const sleep = ms => new Promise(done => setTimeout(done, ms));

/** @throws when the wanted port is taken: whoever has it might answer in the server's place. */
function freePort(wanted = 0) {
	return new Promise((done, failed) => {
		const probe = net.createServer();
		probe.once('error', failed);
		probe.listen(wanted, '127.0.0.1', () => {
			const { port } = probe.address();
			probe.close(() => done(port));
		});
	});
}

function answers(port) {
	return new Promise(done => {
		const request = http.get({ host: '127.0.0.1', port, path: '/healthz', timeout: 2000 }, response => {
			response.resume();
			done(response.statusCode === 200);
		});
		request.on('timeout', () => request.destroy());
		request.on('error', () => done(false));
	});
}

/** Folders below `base`. It must be short: a Unix socket's name has at most 107 characters. */
export function layOut(base) {
	const folders = {
		base,
		home: join(base, 'home'),
		temporary: join(base, 'tmp'),
		userData: join(base, 'ud'),
		extensions: join(base, 'ext'),
	};
	for (const folder of Object.values(folders)) mkdirSync(folder, { recursive: true });
	mkdirSync(join(folders.userData, 'User'), { recursive: true });
	return folders;
}

/** The environment of everything that runs for one server: nothing outside `base` is read for settings or written to. */
export function environmentOf(folders, extra = {}) {
	const clean = Object.fromEntries(
		Object.entries(process.env).filter(
			([name]) => !/^(XDG_|VSCODE_|STRATA_|NODE_OPTIONS$|NODE_TEST_CONTEXT$)/.test(name),
		),
	);
	return {
		...clean,
		HOME: folders.home,
		TMPDIR: folders.temporary,
		XDG_RUNTIME_DIR: folders.temporary,
		// No request to the extension gallery.
		EXTENSIONS_GALLERY: '{}',
		...extra,
	};
}

/** Installs a .vsix as a person would: by VS Code's own command line. About a second. */
export function installExtension(folders, vsix) {
	const result = spawnSync(
		paths.node,
		[
			paths.codeServer,
			'--user-data-dir',
			folders.userData,
			'--extensions-dir',
			folders.extensions,
			'--install-extension',
			vsix,
		],
		{ env: environmentOf(folders), encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] },
	);
	if (result.status !== 0 || !/successfully installed/.test(result.stdout))
		throw new Error(`${vsix} cannot be installed:\n${result.stdout}\n${result.stderr}`);
}

/**
 * @param {object} options
 * @param {ReturnType<typeof layOut>} options.folders
 * @param {Record<string, unknown>} [options.settings] read once, before the page opens
 * @param {boolean} [options.calm] false: only those settings, without the calm ones
 * @param {Record<string, string>} [options.environment]
 * @param {boolean} [options.trust] false: VS Code asks whether the folder is trusted
 * @param {string} [options.password] asked for by the page; without it anyone on this machine may enter: tests only
 * @param {number} [options.port]
 * @param {number | null} [options.idleSeconds] the server ends by itself after as long without a page; null: never
 */
export async function startServer(options) {
	const { folders, settings = {}, environment = {}, trust = true, calm = true, password, idleSeconds = 120 } = options;
	const port = await freePort(options.port);
	writeFileSync(
		join(folders.userData, 'User', 'settings.json'),
		JSON.stringify({ ...(calm ? CALM_SETTINGS : {}), ...settings }, null, '\t'),
	);
	// Of its own, or ~/.config/code-server/config.yaml is written. The password goes by environment: no `ps` shows it.
	const config = join(folders.base, 'config.yaml');
	writeFileSync(config, '', { mode: 0o600 });
	const logFile = join(folders.base, 'server.log');
	const log = openSync(logFile, 'a', 0o600);
	const child = spawn(
		paths.node,
		[
			...[paths.codeServer, '--config', config, '--bind-addr', `127.0.0.1:${port}`],
			...['--auth', password === undefined ? 'none' : 'password'],
			...['--user-data-dir', folders.userData, '--extensions-dir', folders.extensions],
			...['--disable-telemetry', '--disable-update-check', '--disable-getting-started-override'],
			...(trust ? ['--disable-workspace-trust'] : []),
			...(idleSeconds === null ? [] : ['--idle-timeout-seconds', String(idleSeconds)]),
		],
		{
			detached: true,
			stdio: ['ignore', log, log],
			env: environmentOf(folders, { ...(password === undefined ? {} : { PASSWORD: password }), ...environment }),
		},
	);
	closeSync(log);
	running.add(child);
	const ended = new Promise(done => child.once('exit', done));
	let isUp = true;
	void ended.then(() => (isUp = false));
	const readLog = () => readFileSync(logFile, 'utf8');

	const deadline = Date.now() + 60_000;
	while (!(await answers(port))) {
		if (!isUp) throw new Error(`the VS Code server ended:\n${readLog()}`);
		if (Date.now() > deadline) {
			killGroup(child, 'SIGKILL');
			throw new Error(`the VS Code server does not answer:\n${readLog()}`);
		}
		await sleep(50);
	}
	return {
		port,
		folders,
		ended,
		log: readLog,
		/** Ends the server and everything that it started. */
		async stop() {
			killGroup(child, 'SIGTERM');
			await Promise.race([ended, sleep(5000)]);
			killGroup(child, 'SIGKILL');
			await ended;
			running.delete(child);
		},
	};
}

/** Address of a page with `folder` open. Always name one: the server remembers the last. */
export function addressOf(port, folder) {
	const url = new URL(`http://127.0.0.1:${port}/`);
	url.searchParams.set('folder', folder);
	return url.href;
}
