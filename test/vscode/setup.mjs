// Installs a real VS Code (code-server, its Node, a driver for the browser) into this folder. Does nothing when it is there.
//
// What code-server's own postinstall does, without its check of Node's version and with only the two native builds that
// matter. About 75 s and 435 MB the first time. Needs python3, make and g++; no -dev packages.
// usage: node test/vscode/setup.mjs
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { arch, argv, env, pid, platform } from 'node:process';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const modules = join(here, 'node_modules');
const vscode = join(modules, 'code-server', 'lib', 'vscode');
const stamp = join(modules, '.strata-ready');
const lock = join(here, '.cache', 'setup-lock');

/** Where things are once set up. */
export const paths = {
	/** The Node that code-server needs (24), whatever Node runs this. */
	node: join(modules, `node-linux-${arch}`, 'bin', 'node'),
	codeServer: join(modules, 'code-server', 'out', 'node', 'entry.js'),
};

/** Built-in extensions that no test uses. Those with a browser half must stay: VS Code would complain in red toasts. */
const UNUSED_EXTENSIONS = [
	'copilot',
	'mermaid-markdown-features',
	'microsoft-authentication',
	'ms-vscode.js-debug',
	'ms-vscode.js-debug-companion',
	'ms-vscode.vscode-js-profile-table',
];
const UNUSED_MODULES = ['@github', '@microsoft/mxc-sdk', '@vscode/windows-process-tree', '@vscode/sandbox-runtime'];

/** Raise it when this file installs something else than before. */
const RECIPE = 1;

function wantedStamp() {
	const hash = createHash('sha256')
		.update(readFileSync(join(here, 'package-lock.json')))
		.digest('hex');
	return `${RECIPE} ${hash}`;
}

export function isReady() {
	return existsSync(stamp) && readFileSync(stamp, 'utf8') === wantedStamp();
}

function npm(cwd, args, scripts) {
	const started = Date.now();
	execFileSync('npm', args, {
		cwd,
		stdio: ['ignore', 'inherit', 'inherit'],
		env: {
			...env,
			npm_config_ignore_scripts: scripts ? 'false' : 'true',
			// The headers beside the Node that will load the modules; node-gyp would download them otherwise.
			npm_config_nodedir: join(modules, `node-linux-${arch}`),
			npm_config_unsafe_perm: 'true',
		},
	});
	console.log(`[vscode set-up] npm ${args.slice(0, 3).join(' ')}: ${((Date.now() - started) / 1000).toFixed(1)} s`);
}

/** Two runs in one checkout must not install over each other; a lock left by a dead one is taken over. */
async function withLock(action) {
	mkdirSync(dirname(lock), { recursive: true });
	for (;;) {
		try {
			writeFileSync(lock, String(pid), { flag: 'wx' });
			break;
		} catch (error) {
			if (error.code !== 'EEXIST') throw error;
			const owner = Number(readFileSync(lock, 'utf8') || 0);
			if (owner > 0 && !existsSync(`/proc/${owner}`)) rmSync(lock, { force: true });
			else await new Promise(done => setTimeout(done, 500));
		}
	}
	try {
		return action();
	} finally {
		rmSync(lock, { force: true });
	}
}

/** @returns whether anything had to be done */
export async function setUp() {
	if (isReady()) return false;
	if (platform !== 'linux') throw new Error('VS Code in the browser runs on Linux only here');
	return withLock(() => {
		if (isReady()) return false;
		npm(here, ['ci', '--loglevel=error'], false);
		// `npm ci` refuses the shrinkwrap that code-server ships; `npm install` follows it.
		npm(vscode, ['install', '--omit=dev', '--loglevel=error'], false);
		// Without spdlog output channels stay empty and the host has no logs; the watchdog ends orphaned hosts.
		npm(vscode, ['rebuild', '@vscode/spdlog', '@vscode/native-watchdog', '--loglevel=error'], true);
		prune();
		writeFileSync(stamp, wantedStamp());
		return true;
	});
}

/** About 350 MB, and several activations at each start. */
function prune() {
	const remove = path => rmSync(join(vscode, path), { recursive: true, force: true });
	for (const name of UNUSED_EXTENSIONS) remove(`extensions/${name}`);
	for (const name of UNUSED_MODULES) remove(`node_modules/${name}`);
	const ripgrep = 'node_modules/@vscode/ripgrep-universal/bin';
	for (const name of readdirSync(join(vscode, ripgrep)))
		if (name !== `${platform}-${arch}`) remove(`${ripgrep}/${name}`);
}

if (argv[1] && resolve(argv[1]) === fileURLToPath(import.meta.url)) {
	console.log((await setUp()) ? 'VS Code is set up.' : 'VS Code was set up already.');
}
