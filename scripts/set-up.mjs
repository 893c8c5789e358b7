// Installs what is missing: npm packages, the real VS Code of test/vscode, and with apt (as root) the tools that tests use.
// Only Node's own modules here: it runs in a fresh clone.
// usage: node scripts/set-up.mjs [start|test]
import { execFileSync, spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { delimiter, dirname, join, resolve } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

export const repository = resolve(dirname(fileURLToPath(import.meta.url)), '..');

/** Programs by the Debian package that brings them. */
const BUILD_TOOLS = { python3: 'python3', make: 'build-essential', 'g++': 'build-essential' };
const QEMU_TOOLS = { 'qemu-img': 'qemu-utils', 'qemu-storage-daemon': 'qemu-system-common' };
const TEST_TOOLS = {
	...BUILD_TOOLS,
	...QEMU_TOOLS,
	'qemu-system-x86_64': 'qemu-system-x86',
	'qemu-io': 'qemu-utils',
	'qemu-nbd': 'qemu-utils',
	'qemu-system-x86_64': 'qemu-system-x86',
	cc: 'build-essential',
	patch: 'patch',
	rsync: 'rsync',
	mke2fs: 'e2fsprogs',
	debugfs: 'e2fsprogs',
	sfdisk: 'fdisk',
	sgdisk: 'gdisk',
	'mkfs.vfat': 'dosfstools',
	mcopy: 'mtools',
	'mkfs.xfs': 'xfsprogs',
	'mkfs.btrfs': 'btrfs-progs',
	'mkfs.ntfs': 'ntfs-3g',
	pvcreate: 'lvm2',
	cryptsetup: 'cryptsetup-bin',
	fusermount3: 'fuse3',
	getfattr: 'attr',
	setfacl: 'acl',
	strace: 'strace',
	losetup: 'mount',
	ps: 'procps',
	'fc-list': 'fontconfig',
};
/** Any of these can be driven. Ubuntu's own package is a snap, so there the driver's browser is downloaded. */
export const BROWSERS = ['chromium', 'google-chrome', 'google-chrome-stable', 'chromium-browser', 'microsoft-edge'];

/** @returns absolute path of a program, or undefined. Looks where root's programs are as well. */
export function findProgram(name) {
	for (const folder of [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin', '/usr/local/sbin']) {
		if (folder === '') continue;
		try {
			accessSync(join(folder, name), constants.X_OK);
			return join(folder, name);
		} catch {
			// Not here: try the next folder.
		}
	}
	return undefined;
}

export class SetUpError extends Error {}

/**
 * Installs Debian packages whose programs are missing.
 * @throws SetUpError when it cannot; its message is the line to run
 */
function ensureTools(tools) {
	const missing = () => Object.keys(tools).filter(name => findProgram(name) === undefined);
	if (missing().length === 0) return;
	const packages = [...new Set(missing().map(name => tools[name]))].sort();
	const line = `apt-get update && apt-get install -y ${packages.join(' ')}`;
	if (findProgram('apt-get') === undefined)
		throw new SetUpError(`These programs are missing: ${missing().join(', ')}.\nOn Debian or Ubuntu: ${line}`);
	if (process.getuid?.() !== 0)
		throw new SetUpError(`Run this once, then again what you ran:\n\n  sudo sh -c '${line}'\n`);
	console.log(`[set-up] apt-get install ${packages.join(' ')}`);
	const apt = args =>
		execFileSync('apt-get', args, {
			stdio: ['ignore', 'inherit', 'inherit'],
			env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
		});
	apt(['update', '-q']);
	apt(['install', '-y', '-q', '--no-install-recommends', ...packages]);
	if (missing().length > 0) throw new SetUpError(`Still missing after ${line}: ${missing().join(', ')}`);
}

/** Versions in node_modules are those of the lock file. */
function hasPackages() {
	const installed = join(repository, 'node_modules', '.package-lock.json');
	if (!existsSync(installed)) return false;
	const packagesOf = path => JSON.parse(readFileSync(path, 'utf8')).packages;
	const there = packagesOf(installed);
	return Object.entries(packagesOf(join(repository, 'package-lock.json'))).every(
		([path, wanted]) => path === '' || there[path]?.version === wanted.version || (!there[path] && wanted.optional),
	);
}

function ensurePackages() {
	if (hasPackages()) return;
	console.log('[set-up] npm ci');
	execFileSync('npm', ['ci', '--no-fund', '--no-audit', '--loglevel=error'], {
		cwd: repository,
		stdio: ['ignore', 'inherit', 'inherit'],
	});
}

async function ensureVsCode() {
	const { setUp } = await import('../test/vscode/setup.mjs');
	await setUp();
}

function ensureBrowser() {
	if (process.env.STRATA_CHROMIUM || BROWSERS.some(name => findProgram(name))) return;
	const isUbuntu = existsSync('/etc/os-release') && /^ID=ubuntu$/m.test(readFileSync('/etc/os-release', 'utf8'));
	if (!isUbuntu) {
		ensureTools({ chromium: 'chromium' });
		return;
	}
	const program = join(repository, 'test', 'vscode', 'node_modules', 'playwright-core', 'cli.js');
	const result = spawnSync(process.execPath, [program, 'install', '--with-deps', 'chromium'], {
		stdio: ['ignore', 'inherit', 'inherit'],
	});
	if (result.status !== 0)
		throw new SetUpError('Install Google Chrome or Chromium, or name one: STRATA_CHROMIUM=/path/to/chrome npm test');
}

function ensureNode() {
	const major = Number(process.versions.node.split('.')[0]);
	if (major < 20) throw new SetUpError(`Node 20 or newer is needed; this is ${process.versions.node}.`);
}

/** What building the extension needs. */
export function setUpForBuild() {
	ensureNode();
	ensurePackages();
}

/** What VS Code in the browser needs. Without QEMU's tools Strata browses and compares, so those are only asked for. */
export async function setUpForBrowser() {
	ensureTools(BUILD_TOOLS);
	await ensureVsCode();
}

export function offerQemu() {
	try {
		ensureTools(QEMU_TOOLS);
	} catch (error) {
		if (!(error instanceof SetUpError)) throw error;
		console.log(`QEMU's tools are missing: Strata can browse and compare, but not take snapshots.\n${error.message}`);
	}
}

export async function setUpForTests() {
	ensureNode();
	ensureTools(TEST_TOOLS);
	ensurePackages();
	await ensureVsCode();
	ensureBrowser();
}

/** Runs a set-up, and tells what a person has to do where it cannot go on. */
export async function orExplain(action) {
	try {
		await action();
	} catch (error) {
		console.error(error instanceof SetUpError ? error.message : error);
		process.exit(1);
	}
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
	await orExplain(async () => {
		if (process.argv[2] === 'start') {
			setUpForBuild();
			await setUpForBrowser();
			offerQemu();
		} else await setUpForTests();
	});
	console.log('Everything is set up.');
}
