// The Snapshot Timeline: in the panel and in an editor, by mouse and by keyboard, in four themes.
import assert from 'node:assert/strict';
import { journey } from '../lib/journey.mjs';

await journey({}, async ({ workbench, step, need, page }) => {
	let frame;
	const labels = () => frame.locator('.row:not(.day) .label').allInnerTexts();
	const row = text =>
		frame
			.locator('.row:not(.day)')
			.filter({ has: frame.locator('.label', { hasText: text }) })
			.first();

	await need('the timeline opens in an editor with the example’s snapshots', async () => {
		await workbench.openContainer('Strata');
		await workbench.tree('Sources').find('example');
		await workbench.runCommand('Strata: Open Snapshot Timeline in Editor');
		frame = await workbench.webview('editor');
		await frame.locator('.row:not(.day) .label').nth(3).waitFor();
		assert.equal((await labels())[0], 'Current state');
		await workbench.screenshot('timeline');
	});

	await step('a screen reader hears every row', async () => {
		const grid = frame.getByRole('treegrid');
		assert.ok(Number(await grid.getAttribute('aria-rowcount')) >= 5);
		for (const spoken of await frame
			.locator('.row:not(.day)')
			.evaluateAll(rows => rows.map(each => each.getAttribute('aria-label')))) {
			assert.match(spoken, /^.+, .+/);
		}
	});

	await step('the keyboard walks, selects, sets the base and compares', async () => {
		const grid = frame.getByRole('treegrid');
		await grid.focus();
		await page.keyboard.press('End');
		const last = (await labels()).at(-1);
		assert.equal(await frame.locator('.row.active .label').innerText(), last);
		await page.keyboard.press('b');
		await frame.locator('.toolbar .base', { hasText: last }).waitFor();
		await page.keyboard.press('ArrowUp');
		await frame.locator('.toolbar .target', { hasText: '◆' }).waitFor();
		await workbench.screenshot('base-and-target');
		await page.keyboard.press('Enter');
		await workbench.tree('Changes').rowsWhen(rows => rows.length > 2);
		await workbench.screenshot('compared');
	});

	await step('letters in the filter are text; what does not match fades or hides', async () => {
		await frame.getByRole('treegrid').focus();
		await page.keyboard.press('/');
		await page.keyboard.type('b');
		assert.equal(await frame.locator('vscode-text-field').evaluate(field => field.value), 'b');
		await page.keyboard.type('efore');
		await frame.locator('.row.faded').first().waitFor();
		await frame.locator('vscode-checkbox').click();
		await frame.locator('.row.faded').first().waitFor({ state: 'detached' });
		await workbench.screenshot('filtered');
		await page.keyboard.press('Escape');
		await frame.locator('vscode-checkbox').click();
	});

	await step('the context menu is VS Code’s own, and works on the row', async () => {
		await row('Current state').click();
		const snapshot = frame.locator('.row:not(.day)').nth(1);
		const name = await snapshot.locator('.label').innerText();
		await snapshot.click({ button: 'right' });
		const item = page.locator('.monaco-menu .action-label').filter({ hasText: 'Compare with Current State' });
		await item.waitFor();
		await page.waitForTimeout(400);
		await workbench.screenshot('menu');
		await item.click();
		await frame.locator('.toolbar .base', { hasText: '◇' }).waitFor();
		await workbench.tree('Changes').rowsWhen(rows => rows.length > 0);
		assert.ok(name.length > 0);
	});

	await step('it survives a reload, with its base', async () => {
		// VS Code in the browser keeps a page's state when it gets round to it: what the page was a while ago may come back.
		await workbench.reload();
		frame = await workbench.webview('editor');
		await frame.locator('.row:not(.day) .label').first().waitFor();
		assert.match(await frame.locator('.toolbar .base').innerText(), /◇ ./);
		await frame.locator('vscode-text-field').click();
		await page.keyboard.press('Escape');
		await frame.locator('.row:not(.day) .label').nth(3).waitFor();
	});

	await step('it looks at home in every theme, and when narrow', async () => {
		for (const theme of ['light', 'contrast', 'contrastLight', 'dark']) {
			await workbench.setTheme(theme);
			await page.waitForTimeout(500);
			await workbench.screenshot(`theme-${theme}`);
		}
	});

	await step('nothing complains', async () => {
		// A reload ends what VS Code was writing; that is its own complaint.
		const ours = workbench.errors.filter(text => !/lifecycle|IndexedDB/.test(text));
		assert.deepEqual(ours, []);
	});
});
