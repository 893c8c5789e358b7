// Two windows and the command line on the same machine: what one of them does, the others show.
import assert from 'node:assert/strict';
import { journey } from '../lib/journey.mjs';
import { until } from '../lib/wait.mjs';

/** The views ask every second; a loaded machine takes its time. No test asserts how long. */
const PATIENCE = 60_000;

await journey({}, async ({ workbench: first, step, need, openWindow, strata }) => {
	let second;
	let frame;
	const told = [];
	const has = (window, label) =>
		window.tree('Sources').rowsWhen(rows => rows.some(row => row.label === label), `${label} is there`, PATIENCE);
	const timelineHas = label =>
		frame.locator('.row:not(.day) .label', { hasText: label }).first().waitFor({ timeout: PATIENCE });
	/** Runs an action and waits for what the others show of it. */
	const within = async (what, action, ...shown) => {
		const started = Date.now();
		await action();
		const acted = Date.now();
		await Promise.all(shown.map(wait => wait()));
		told.push(`${what}: done in ${acted - started} ms, shown everywhere ${Date.now() - acted} ms later`);
	};

	await need('two windows look at the example', async () => {
		second = await openWindow();
		for (const window of [first, second]) {
			await window.openContainer('Strata');
			await window.tree('Sources').expand('example');
			await has(window, 'clean-base');
		}
		await second.runCommand('Strata: Open Snapshot Timeline in Editor');
		frame = await second.webview('editor');
		await timelineHas('clean-base');
	});

	await step('a snapshot that the command line takes is in both', async () => {
		await within(
			'taken by the command line',
			() => {
				const taken = strata('snapshot', 'example', '-m', 'by-the-terminal');
				assert.equal(taken.status, 0, taken.stderr);
			},
			() => has(first, 'by-the-terminal'),
			() => has(second, 'by-the-terminal'),
			() => timelineHas('by-the-terminal'),
		);
		await second.screenshot('taken');
	});

	await step('a name given in one window is in the other, and in the terminal', async () => {
		await within(
			'renamed in a window',
			async () => {
				await first.tree('Sources').choose('Rename Snapshot…', 'example', 'by-the-terminal');
				await (await first.quickInput()).accept('renamed-here');
				await has(first, 'renamed-here');
			},
			() => has(second, 'renamed-here'),
			() => timelineHas('renamed-here'),
		);
		assert.match(strata('snapshots', 'example').stdout, /renamed-here/);
	});

	await step('a deletion by the command line takes it from both', async () => {
		const gone = window =>
			window.tree('Sources').rowsWhen(rows => !rows.some(row => row.label === 'renamed-here'), 'it is gone', PATIENCE);
		await within(
			'deleted by the command line',
			() => {
				const deleted = strata('delete', 'example@renamed-here', '--yes');
				assert.equal(deleted.status, 0, deleted.stderr);
			},
			() => gone(first),
			() => gone(second),
			() =>
				until(
					async () => (await frame.locator('.row .label', { hasText: 'renamed-here' }).count()) === 0,
					'its row is gone',
					PATIENCE,
				),
		);
	});

	await step('a machine that one window removes leaves the other', async () => {
		await second.tree('Sources').choose('Remove from Strata', 'example');
		await (await second.dialog('Remove example from Strata?')).press('Remove');
		await first.tree('Sources').rowsWhen(rows => !rows.some(row => row.label === 'example'), 'it is gone', PATIENCE);
	});

	await step('figures', async () => {
		for (const line of told) console.log(`     ${line}`);
	});

	await step('nothing complains', async () => {
		assert.deepEqual([...first.errors, ...second.errors], []);
	});
});
