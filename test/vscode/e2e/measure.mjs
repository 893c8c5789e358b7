// Measures the extension in a real VS Code and prints figures; asserts none of them. Runs only when it is named:
// node test/vscode/run.mjs measure
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { loadBuilder } from '../lib/builder.mjs';
import { journey } from '../lib/journey.mjs';
import { buildProbes, profiled } from '../lib/probe.mjs';
import { installExtension, layOut } from '../lib/server.mjs';
import { until } from '../lib/wait.mjs';

const ROUNDS = 10;
const SNAPSHOTS = 10_000;
const CHANGES = 10_000;
const profile = join(process.env.TMPDIR ?? '/tmp', `strata-probe-${process.pid}.json`);

const figures = {};
const tell = (name, value) => {
	figures[name] = value;
	console.log(`     ${name}: ${value}`);
};

await journey(
	{
		environment: { STRATA_PROBE: profile },
		prepare: folder => {
			const folders = layOut(dirname(folder));
			const probes = join(folders.base, 'probes');
			mkdirSync(probes, { recursive: true });
			for (const vsix of buildProbes(probes)) installExtension(folders, vsix);
		},
	},
	async ({ workbench, step, need, page, folder, strata }) => {
		const sources = workbench.tree('Sources');
		const measured = async (name, action) => {
			const { longest, total, stretches } = await profiled(workbench, profile, action);
			tell(name, `longest ${longest.toFixed(1)} ms, in all ${total.toFixed(0)} ms`);
			for (const each of stretches.slice(0, 3))
				console.log(`          ${each.milliseconds.toFixed(1)} ms: ${each.where}`);
		};

		await need('machines are prepared', async () => {
			(await loadBuilder('many-snapshots')).makeManySnapshots(join(folder, 'many.qcow2'), SNAPSHOTS);
			(await loadBuilder('many-changes')).makeManyChanges(join(folder, 'changes.qcow2'), CHANGES);
			for (const name of ['many', 'changes']) {
				const added = strata('add', join(folder, `${name}.qcow2`));
				assert.equal(added.status, 0, added.stderr);
			}
		});

		await step(
			'activation, beside an empty extension',
			async () => {
				const times = { 'strata.strata': [], 'strata-test.empty': [] };
				// The list has the rows that are in sight, and the quickest last.
				await page.setViewportSize({ width: 1400, height: 2400 });
				for (let round = 0; round < ROUNDS; round++) {
					await workbench.reload();
					const found = await activationTimes(page, workbench);
					for (const [id, list] of Object.entries(times)) list.push(found[id]);
				}
				await page.setViewportSize({ width: 1400, height: 900 });
				for (const [id, list] of Object.entries(times)) {
					list.sort((a, b) => a - b);
					tell(`activation of ${id}`, `median ${list[Math.floor(list.length / 2)]} ms (${list.join(' ')})`);
				}
			},
			300_000,
		);

		await step('the extension host while the view opens first', () =>
			measured('first view', async () => {
				await workbench.openContainer('Strata');
				await sources.find('example');
				await workbench.tree('Changes').rowsWhen(rows => rows.length > 2, 'the example is compared', 60_000);
			}),
		);

		await step('while somebody browses', () =>
			measured('browsing', async () => {
				await sources.find('example', 'clean-base', 'p2', 'etc', 'hosts');
				await sources.click('example', 'clean-base', 'p2', 'etc', 'hosts');
				await workbench.waitForTab('hosts');
				await sources.collapse('example');
			}),
		);

		await step('while 10,000 files are compared', async () => {
			await sources.find('changes', 'before');
			await measured('a comparison with 10,000 changes', async () => {
				await sources.choose('Compare with Current State', 'changes', 'before');
				await until(
					async () => /10,?000/.test(await workbench.tree('Changes').header.innerText()),
					'10,000 changes are counted',
					60_000,
				);
				await page.waitForTimeout(3000);
			});
			await workbench.screenshot('changes');
			await sources.collapse('changes');
		});

		await step('while a machine of 10,000 snapshots is unfolded', () =>
			measured('10,000 snapshots in Sources', async () => {
				await sources.expand('many');
				await sources.rowsWhen(rows => rows.some(row => row.label.startsWith('before-')), 'snapshots', 60_000);
				await page.waitForTimeout(2000);
			}),
		);

		await step('the log tells when rows are drawn', async () => {
			await workbench.runCommand('Developer: Set Log Level...');
			await (await workbench.quickInput()).pick('Strata');
			await (await workbench.quickInput()).pick('Debug');
		});

		await step('while the timeline opens with 10,000 snapshots', () =>
			measured('10,000 snapshots in the timeline', async () => {
				await workbench.runCommand('Strata: Open Snapshot Timeline in Editor');
				const frame = await workbench.webview('editor');
				const grid = frame.getByRole('treegrid');
				await until(async () => Number(await grid.getAttribute('aria-rowcount')) > SNAPSHOTS, 'all rows', 60_000);
				await page.waitForTimeout(2000);
			}),
		);

		await step('the page itself', async () => {
			const frame = await workbench.webview('editor');
			for (const [name, action] of [
				[
					'an arrow key',
					`document.querySelector('.grid').dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowDown' }))`,
				],
				[
					'a letter in the filter',
					`const field = document.querySelector('vscode-text-field');
					field.value = 'docker'; field.dispatchEvent(new Event('input'))`,
				],
				['a jump to the end', `document.querySelector('.grid').scrollTop = 1e9`],
			]) {
				const [computed, painted] = await frame.locator('body').evaluate(
					(_, source) =>
						new Promise(done => {
							const started = performance.now();
							new Function(source)();
							const computed = performance.now() - started;
							requestAnimationFrame(() =>
								requestAnimationFrame(() => done([computed, performance.now() - started].map(Math.round))),
							);
						}),
					action,
				);
				tell(`timeline, ${name}`, `${computed} ms of script, ${painted} ms to the second frame`);
			}
			const drawn = /timeline: .*/.exec(workbench.extensionLog())?.[0];
			if (drawn) tell('first paint', drawn);
		});

		await step('the figures are kept', async () => {
			writeFileSync(join(workbench.where.results, 'figures.json'), JSON.stringify(figures, null, '\t'));
			console.log(JSON.stringify(figures, null, '\t'));
		});
	},
);

/** What *Developer: Show Running Extensions* says of each extension, in milliseconds. */
async function activationTimes(page, workbench) {
	const found = {};
	await until(
		async () => {
			await workbench.runCommand('Developer: Show Running Extensions');
			const rows = page.locator('.monaco-list-row', { hasText: 'Activation:' });
			await rows.first().waitFor();
			for (const text of await rows.allInnerTexts()) {
				const time = /Activation:\s*(\d+)ms/.exec(text);
				if (!time) continue;
				if (/^\s*Strata\b/m.test(text)) found['strata.strata'] = Number(time[1]);
				if (/^\s*empty\b/m.test(text)) found['strata-test.empty'] = Number(time[1]);
			}
			await page.keyboard.press('Escape');
			return Object.keys(found).length === 2;
		},
		() => `both extensions run; found ${JSON.stringify(found)}`,
		60_000,
	);
	return found;
}
