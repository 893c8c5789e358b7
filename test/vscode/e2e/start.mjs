// `npm start` where there is no desktop: VS Code in the browser, behind a password, gone after Ctrl+C.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import process from 'node:process';
import { StepFailed, launchBrowser, run, tellSteps } from '../lib/journey.mjs';
import { until } from '../lib/wait.mjs';
import { Workbench } from '../lib/workbench.mjs';

const { step, need, finish } = tellSteps();
process.env.TMPDIR = run.base;
const child = spawn(process.execPath, ['scripts/start.mjs', '--browser', '--vsix', run.vsix], {
	cwd: run.repository,
	detached: true,
	env: { ...process.env, TMPDIR: run.base },
	stdio: ['ignore', 'pipe', 'inherit'],
});
process.on('exit', () => child.exitCode === null && process.kill(-child.pid, 'SIGKILL'));
let output = '';
child.stdout.on('data', chunk => (output += chunk));
const ended = new Promise(done => child.once('exit', (code, signal) => done(code ?? signal)));
let browser;
try {
	await need('it prints an address and a password', () =>
		until(
			() => /http:\/\/127\.0\.0\.1:\d+\/\S*[^]*password {2}\S+/.test(output),
			() => output,
			60_000,
		),
	);
	const address = /http:\/\/127\.0\.0\.1:\d+\/\S*/.exec(output)[0];
	const password = /password {2}(\S+)/.exec(output)[1];
	browser = await launchBrowser();
	const page = await (await browser.newContext({ viewport: { width: 1400, height: 900 } })).newPage();

	await step('nobody gets in without the password', async () => {
		await page.goto(address);
		await page.locator('input[type=password]').waitFor();
		assert.equal(await page.locator('.monaco-workbench').count(), 0);
		await page.locator('input[type=password]').fill('wrong');
		await page.locator('input[type=submit], button[type=submit]').first().click();
		await page.locator('.error').waitFor();
	});

	await need('with it, Strata shows the example', async () => {
		await page.goto(address);
		await page.locator('input[type=password]').fill(password);
		await page.locator('input[type=submit], button[type=submit]').first().click();
		const where = { address, folder: run.base, userData: run.base, results: run.results };
		const workbench = new Workbench(page, where);
		await workbench.ready();
		await workbench.openContainer('Strata');
		await workbench
			.tree('Sources')
			.rowsWhen(rows => rows.some(row => row.label === 'clean-base'), 'the example is there', 60_000);
		await workbench.screenshot('started');
	});

	await step('Ctrl+C ends all of it', async () => {
		await browser.close();
		process.kill(-child.pid, 'SIGINT');
		assert.equal(await ended, 0);
		assert.deepEqual(
			readdirSync(run.base).filter(name => name.startsWith('strata-')),
			[],
		);
	});
} catch (error) {
	if (!(error instanceof StepFailed)) await step('between the steps', () => Promise.reject(error));
} finally {
	await browser?.close();
	if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid, 'SIGKILL');
	await ended;
	finish();
}
