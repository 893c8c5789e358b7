// A machine that runs: said how it is reached, saved with its memory, changed, rolled back, and the rollback undone.
import assert from 'node:assert/strict';
import { loadBuilder } from '../lib/builder.mjs';
import { journey } from '../lib/journey.mjs';
import { until } from '../lib/wait.mjs';

await journey({}, async ({ workbench, page, need, step, strata }) => {
	const { Guest } = await loadBuilder('guest');
	const guest = await Guest.start();
	const sources = workbench.tree('Sources');
	const said = () => guest.sh('cat /home/dev/note /run/note');
	const quiet = text => page.locator('.statusbar-item', { hasText: text }).first();
	const dev = async test => {
		await sources.rowsWhen(rows => rows.some(row => row.label === 'dev' && test(row.description)), 'the row of dev');
	};
	/** Of the buttons in the input box, by the first word of what they say. */
	const toggle = name =>
		page
			.locator('.quick-input-widget')
			.getByRole('checkbox', { name })
			.or(page.locator(`.quick-input-widget [aria-label^="${name}:"]`))
			.first();
	const isOn = async name => (await toggle(name).getAttribute('aria-checked')) === 'true';

	try {
		await need('a running machine is in use', async () => {
			await guest.sh('echo first > /home/dev/note; echo first > /run/note; sync');
			assert.equal(strata('add', guest.disk, '--name', 'dev').status, 0);
			await workbench.openContainer('Strata');
			await dev(text => text.startsWith('in use'));
			// The example comes in its own time, and moves the rows.
			await sources.find('example', 'clean-base');
		});

		await need('connect: it is running', async () => {
			await sources.choose('Connect to Running Machine…', 'dev');
			const qmp = await workbench.quickInput('Connect to dev (1 of 2)');
			await qmp.input.fill('qmp.sock');
			await until(async () => /An absolute path/.test(await qmp.text()), 'what is no address is told');
			await qmp.accept(guest.qmpPath);
			const agent = await workbench.quickInput('Connect to dev (2 of 2)');
			await agent.accept(guest.agentPath);
			await dev(text => text.startsWith('running'));
			await workbench.screenshot('running');
		});

		await need('the buttons exclude each other, and the prompt spells out what is taken', async () => {
			await sources.choose('Take Snapshot…', 'dev');
			const box = await workbench.quickInput('Take Snapshot of dev');
			const says = text => until(async () => (await box.text()).includes(text), text);
			await says('Disk only · not validated.');
			await says('A rollback to a snapshot without memory needs the machine to be shut down.');
			await toggle('Validated').click();
			await says('Disk only · validated');
			assert.deepEqual([await isOn('Memory'), await isOn('Validated')], [false, true]);
			await workbench.screenshot('validated');
			await toggle('Memory').click();
			await says('Disk and memory · not validated');
			assert.deepEqual([await isOn('Memory'), await isOn('Validated')], [true, false]);
			await workbench.screenshot('memory');
			await box.accept('live');
			await quiet(/"live" taken in .* the machine stood still for \d+ ms/).waitFor({ timeout: 60_000 });
			await sources.expand('dev');
			await sources.rowsWhen(
				rows => rows.some(row => row.label === 'live' && /memory/.test(row.description)),
				'the snapshot has memory',
			);
		});

		await step('the choice is remembered for the machine', async () => {
			await sources.choose('Take Snapshot…', 'dev');
			const box = await workbench.quickInput('Take Snapshot of dev');
			await until(async () => (await box.text()).includes('Disk and memory'), 'memory is chosen');
			await box.cancel();
		});

		await step('roll back: the file is as it was, also the one in memory', async () => {
			await guest.sh('echo second > /home/dev/note; echo second > /run/note');
			await sources.choose('Roll Back…', 'dev', 'live');
			const dialog = await workbench.dialog('live');
			assert.match(dialog.detail, /What runs now is kept with its memory/);
			assert.notEqual(dialog.focused, 'Roll Back');
			await workbench.screenshot('roll back');
			await dialog.press('Roll Back');
			await until(async () => (await said()) === 'first\nfirst\n', 'the guest is back', 60_000);
		});

		await step('undo: it goes on where it was', async () => {
			// The message with its button is gone after ten seconds, and a guest may take longer to be asked: the row stays.
			await sources.choose('Undo Last Rollback', 'dev');
			await until(async () => (await said()) === 'second\nsecond\n', 'the guest is as before the rollback', 60_000);
			await dev(text => text.startsWith('running'));
		});

		await step(
			'validated: the guest was frozen; a running machine is not rolled back to it, and it is said why',
			async () => {
				await sources.choose('Take Snapshot…', 'dev');
				const box = await workbench.quickInput('Take Snapshot of dev');
				await toggle('Validated').click();
				await until(async () => (await box.text()).includes('Disk only · validated'), 'validated is chosen');
				await box.accept('frozen');
				await quiet(/"frozen" taken in .* its filesystems were frozen for \d+ ms/).waitFor({ timeout: 60_000 });
				await sources.choose('Roll Back…', 'dev', 'frozen');
				const dialog = await workbench.dialog('frozen');
				assert.match(dialog.detail, /no memory: shut the machine down first/);
				await dialog.press('Roll Back');
				await workbench.notification('was taken without memory');
				assert.equal(await said(), 'second\nsecond\n');
			},
		);

		await step('nothing complains', async () => {
			assert.deepEqual(workbench.errors, []);
		});
	} finally {
		await guest[Symbol.asyncDispose]();
	}
});
