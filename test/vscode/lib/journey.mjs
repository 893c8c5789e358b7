// One end-to-end test file: a fresh VS Code with Strata installed, and steps that are told as `ok` or `FAIL`.
// Run by ../run.mjs, which gives it a folder to live in and sums up.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { chromium } from 'playwright-core';
import { BROWSERS, findProgram } from '../../../scripts/set-up.mjs';
import { addressOf, environmentOf, installExtension, layOut, startServer } from './server.mjs';
import { Workbench } from './workbench.mjs';

const CHROMIUM_ARGUMENTS = [
	'--no-sandbox',
	'--disable-gpu',
	'--disable-quic',
	'--no-first-run',
	'--disable-background-networking',
	'--disable-component-update',
	'--disable-sync',
	'--disable-dev-shm-usage',
	// Nothing but this machine can be reached.
	'--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
];

// The server and the browser end with this process.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(130));

/** What run.mjs passes on: `{ name, base, results, vsix, repository }`. */
export const run = JSON.parse(process.env.STRATA_E2E ?? 'null');
if (run === null) throw new Error('run end-to-end tests by: node test/vscode/run.mjs NAME');

/**
 * Runs the steps of a file.
 *
 * @param {object} options
 * @param {Record<string, unknown>} [options.settings] of the user, on top of the calm ones
 * @param {Record<string, string>} [options.environment] of the server, and so of the extension host
 * @param {boolean} [options.trust] false: Restricted Mode can be tried
 * @param {'vsix' | 'none'} [options.extension]
 * @param {{ width: number, height: number }} [options.viewport]
 * @param {(folder: string) => void | Promise<void>} [options.prepare] puts files into the folder that VS Code opens
 * @param {(context: Context) => Promise<void>} body
 *
 * @typedef {object} Context
 * @property {Workbench} workbench the first window
 * @property {import('playwright-core').Page} page its page
 * @property {(name: string, action: () => Promise<unknown>) => Promise<boolean>} step a failure is told, and the next step runs
 * @property {(name: string, action: () => Promise<unknown>) => Promise<void>} need a failure ends the file: nothing after makes sense
 * @property {string} folder what VS Code has open; fixtures may be put here
 * @property {ReturnType<typeof layOut>} folders home, temporary folder, profile
 * @property {() => Promise<Workbench>} openWindow another window of the same person
 * @property {(...args: string[]) => { status: number, stdout: string, stderr: string }} strata the command line, in the same home
 */
export async function journey(options, body) {
	const folders = layOut(run.base);
	const folder = join(run.base, 'work');
	mkdirSync(folder, { recursive: true });
	// Chromium's profile, and whatever else this process makes.
	process.env.TMPDIR = folders.temporary;

	let workbench;
	const { step, need, finish } = tellSteps(async name => {
		await workbench?.screenshot(`FAIL ${name}`);
		// What the step left open must not fail the next one.
		for (let presses = 0; presses < 3; presses++) await workbench?.page.keyboard.press('Escape');
	});
	let server;
	let browser;
	try {
		await need('VS Code starts with Strata installed', async () => {
			await options.prepare?.(folder);
			if (options.extension !== 'none') installExtension(folders, run.vsix);
			server = await startServer({ folders, ...options });
			browser = await launchBrowser();
		});
		const context = await browser.newContext({ viewport: options.viewport ?? { width: 1400, height: 900 } });
		context.setDefaultTimeout(15_000);
		const openWindow = async () => {
			const window = new Workbench(await context.newPage(), {
				address: addressOf(server.port, folder),
				folder,
				userData: folders.userData,
				results: run.results,
			});
			await window.open();
			return window;
		};
		await need('the window opens', async () => {
			workbench = await openWindow();
		});
		const strata = (...args) =>
			spawnSync(process.execPath, [commandLine(folders), ...args], {
				env: environmentOf(folders, options.environment),
				encoding: 'utf8',
				stdio: ['ignore', 'pipe', 'pipe'],
				timeout: 60_000,
			});
		await body({ workbench, page: workbench.page, step, need, folder, folders, openWindow, strata, server });
	} catch (error) {
		// A failed `need` was told already.
		if (!(error instanceof StepFailed)) await step('between the steps', () => Promise.reject(error));
	} finally {
		if (workbench) writeFileSync(join(run.results, 'extension.log'), workbench.extensionLog());
		if (workbench) writeFileSync(join(run.results, 'console-errors.txt'), workbench.console.join('\n'));
		if (server) writeFileSync(join(run.results, 'server.log'), server.log());
		await browser?.close();
		await server?.stop();
		finish();
	}
}

/**
 * Steps that are told and counted. A file without a window of its own begins with this.
 * @param {(name: string) => Promise<unknown> | undefined} [onFailure] keeps evidence
 */
export function tellSteps(onFailure) {
	mkdirSync(run.results, { recursive: true });
	const results = [];
	const save = () => writeFileSync(join(run.results, 'steps.json'), JSON.stringify(results, null, '\t'));
	const step = async (name, action, limit = 120_000) => {
		const started = Date.now();
		const result = { name, passed: true, milliseconds: 0 };
		results.push(result);
		try {
			await withLimit(action(), limit);
		} catch (error) {
			result.passed = false;
			result.error = String(error?.stack ?? error);
			await onFailure?.(name)?.catch(() => undefined);
		}
		result.milliseconds = Date.now() - started;
		console.log(
			`${result.passed ? 'ok  ' : 'FAIL'} ${run.name} › ${name} (${(result.milliseconds / 1000).toFixed(1)} s)`,
		);
		if (!result.passed) console.log(result.error.replace(/^/gm, '       '));
		save();
		return result.passed;
	};
	const need = async (name, action, limit) => {
		if (!(await step(name, action, limit))) throw new StepFailed();
	};
	const finish = () => {
		save();
		process.exitCode = results.every(result => result.passed) ? 0 : 1;
	};
	return { step, need, finish };
}

export class StepFailed extends Error {}

/** The program that came with the installed extension. */
function commandLine({ extensions }) {
	const folder = readdirSync(extensions).find(name => name.startsWith('strata.strata-'));
	return join(extensions, folder ?? 'strata.strata', 'dist', 'cli.cjs');
}

export function launchBrowser() {
	return chromium.launch({ executablePath: chromiumPath(), args: CHROMIUM_ARGUMENTS });
}

/** The system's, or (on Ubuntu, where that is a snap) the one that the set-up downloaded. */
function chromiumPath() {
	if (process.env.STRATA_CHROMIUM) return process.env.STRATA_CHROMIUM;
	return BROWSERS.map(findProgram).find(path => path !== undefined) ?? chromium.executablePath();
}

async function withLimit(promise, milliseconds) {
	let timer;
	const limit = new Promise((_, failed) => {
		timer = setTimeout(() => failed(new Error(`still not done after ${milliseconds / 1000} s`)), milliseconds);
	});
	try {
		return await Promise.race([promise, limit]);
	} finally {
		clearTimeout(timer);
	}
}
