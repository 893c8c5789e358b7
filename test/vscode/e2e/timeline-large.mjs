// The Snapshot Timeline of a machine with 10,000 snapshots: it opens, scrolls, filters, selects and compares, and looks at home.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { loadBuilder } from '../lib/builder.mjs';
import { journey } from '../lib/journey.mjs';
import { until } from '../lib/wait.mjs';

const COUNT = 10_000;
/** However long the list is, no more rows exist in the page. */
const MOST_ROWS = 120;

await journey({}, async ({ workbench, step, need, page, folder, strata }) => {
	const image = join(folder, 'many.qcow2');
	const sources = workbench.tree('Sources');
	let made;
	let frame;
	let grid;
	const rows = () => frame.locator('.row:not(.day)');
	const labels = () => rows().locator('.label').allInnerTexts();
	const active = () => frame.locator('.row.active .label');
	const elements = () => frame.locator('.row').count();
	/** Milliseconds from an action in the page to the second frame after it. */
	const frames = action =>
		frame.locator('body').evaluate(
			(_, source) =>
				new Promise(done => {
					const started = performance.now();
					new Function(source)();
					requestAnimationFrame(() => requestAnimationFrame(() => done(Math.round(performance.now() - started))));
				}),
			action,
		);

	await need('a machine with 10,000 snapshots is added', async () => {
		const { makeManySnapshots } = await loadBuilder('many-snapshots');
		made = makeManySnapshots(image, COUNT);
		const added = strata('add', image);
		assert.equal(added.status, 0, added.stderr);
		await workbench.openContainer('Strata');
		await sources.find('many');
	});

	await need('the timeline opens with all of them', async () => {
		await workbench.runCommand('Strata: Open Snapshot Timeline in Editor');
		frame = await workbench.webview('editor');
		grid = frame.getByRole('treegrid');
		await rows().first().waitFor({ timeout: 60_000 });
		assert.ok(Number(await grid.getAttribute('aria-rowcount')) > COUNT);
		assert.ok((await elements()) < MOST_ROWS);
		assert.ok((await labels()).includes('Current state'));
		assert.ok((await labels()).includes(made.names.at(-1)));
		await workbench.screenshot('opened');
	});

	await step('the whole list is reached by keyboard and by wheel', async () => {
		await grid.focus();
		await page.keyboard.press('End');
		await until(async () => (await labels()).includes(made.names[0]), 'the oldest snapshot is there');
		assert.equal(await active().innerText(), (await labels()).at(-1));
		assert.equal(
			await frame.locator('.row.active').getAttribute('id'),
			await grid.getAttribute('aria-activedescendant'),
		);
		assert.ok((await elements()) < MOST_ROWS);
		await workbench.screenshot('end');
		await page.keyboard.press('Home');
		await until(async () => (await grid.evaluate(element => element.scrollTop)) < 30, 'the top is there');
		for (let pages = 0; pages < 20; pages++) await page.keyboard.press('PageDown');
		const before = await grid.evaluate(element => element.scrollTop);
		assert.ok(before > 5000, `scrolled to ${before}`);
		await rows().nth(20).hover();
		for (let turns = 0; turns < 30; turns++) await page.mouse.wheel(0, 2000);
		await until(async () => (await grid.evaluate(element => element.scrollTop)) > before + 30_000, 'the wheel scrolls');
		assert.ok((await elements()) < MOST_ROWS);
	});

	await step('the filter answers while one types', async () => {
		await grid.focus();
		await page.keyboard.press('/');
		await page.keyboard.type('nginx-12', { delay: 20 });
		await frame.locator('.status', { hasText: /of 10,?001|of 10\d\d\d/ }).waitFor();
		await frame.locator('vscode-checkbox').click();
		await until(async () => (await labels()).every(label => label.includes('nginx-12')), 'others are hidden');
		await workbench.screenshot('filtered');
		await frame.locator('vscode-text-field').click();
		await page.keyboard.press('Escape');
		assert.equal(await grid.evaluate(element => element === document.activeElement), true, 'Escape goes to the rows');
		await frame.locator('vscode-checkbox').click();
		await until(async () => Number(await grid.getAttribute('aria-rowcount')) > COUNT, 'all rows are back');
	});

	await step('the map goes where one clicks', async () => {
		const map = frame.locator('.minimap');
		const { width } = await map.boundingBox();
		await map.click({ position: { x: width * 0.02, y: 10 } });
		await until(
			async () => (await grid.evaluate(element => element.scrollTop / element.scrollHeight)) > 0.8,
			'an early moment is far down',
		);
		await workbench.screenshot('map');
		await map.click({ position: { x: width - 2, y: 10 } });
		await until(async () => (await grid.evaluate(element => element.scrollTop)) < 2000, 'now is at the top');
	});

	await step('ranges are selected, by mouse and by keyboard', async () => {
		await grid.focus();
		await page.keyboard.press('Home');
		await rows().nth(3).locator('.label').click();
		await rows()
			.nth(9)
			.locator('.label')
			.click({ modifiers: ['Shift'] });
		assert.equal(await frame.locator('.row.selected').count(), 7);
		await rows().nth(5).locator('.label').click();
		await page.keyboard.press('Shift+ArrowDown');
		await page.keyboard.press('Shift+ArrowDown');
		assert.equal(await frame.locator('.row[aria-selected="true"]').count(), 3);
		await page.keyboard.press('Space');
		assert.equal(await frame.locator('.row.selected').count(), 2);
		await page.keyboard.press('Escape');
		assert.equal(await frame.locator('.row.selected').count(), 0);
		await workbench.screenshot('rows');
	});

	await step('two far from each other are compared', async () => {
		await grid.focus();
		await page.keyboard.press('End');
		await page.keyboard.press('b');
		await frame.locator('.toolbar .base', { hasText: made.names[0] }).waitFor();
		await page.keyboard.press('Home');
		await page.keyboard.press('ArrowDown');
		await workbench.screenshot('base-and-target');
		await page.keyboard.press('Enter');
		await workbench.tree('Changes').rowsWhen(all => all.some(row => row.label === 'hosts'), 'hosts differs', 60_000);
		await frame.locator('.toolbar .target', { hasText: '◆' }).waitFor();
		await workbench.screenshot('compared');
	});

	await step('every row can be read aloud, and the menu key opens its menu', async () => {
		for (const row of await rows().evaluateAll(all =>
			all.map(each => ({
				spoken: each.getAttribute('aria-label'),
				label: each.querySelector('.label').textContent,
				role: each.getAttribute('role'),
				index: Number(each.getAttribute('aria-rowindex')),
			})),
		)) {
			assert.ok(row.spoken.startsWith(`${row.label}, `), row.spoken);
			assert.equal(row.role, 'row');
			assert.ok(row.index > 0);
		}
		await grid.focus();
		await page.keyboard.press('ArrowDown');
		await page.keyboard.press('ContextMenu');
		const menu = await workbench.menu();
		assert.ok((await menu.items()).some(item => item.startsWith('Roll Back')));
		await workbench.screenshot('menu');
		await page.keyboard.press('Escape');
	});

	await step('a row’s buttons open its files, however far down it is', async () => {
		await grid.focus();
		await page.keyboard.press('End');
		const name = await active().innerText();
		await frame.locator('.row.active').hover();
		await workbench.screenshot('actions');
		await frame.locator('.row.active [data-action="openFiles"]').click();
		await sources.rowsWhen(all => all.some(row => row.label === name && row.selected), 'the row is shown', 60_000);
	});

	await step('Sources shows a thousand at a time', async () => {
		const list = sources.pane.locator('.monaco-list').first();
		await list.focus();
		await page.keyboard.press('End');
		await sources.rowsWhen(all => all.some(row => row.label === 'Show more'), 'there is more');
		const more = (await sources.rows()).find(row => row.label === 'Show more');
		assert.match(more.description, /9,?000 left/);
		await sources.pane.locator('.monaco-list-row', { hasText: 'Show more' }).first().click();
		await sources.rowsWhen(
			all => !all.some(row => /9,?000 left/.test(row.description)),
			'the next thousand is there',
			60_000,
		);
		await page.keyboard.press('End');
		await sources.rowsWhen(all => all.some(row => /8,?000 left/.test(row.description)), '8,000 are left');
	});

	await step('figures', async () => {
		const figures = {
			'key, to the second frame': await frames(`
				document.querySelector('.grid').dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowUp' }))`),
			'filter, to the second frame': await frames(`
				const field = document.querySelector('vscode-text-field');
				field.value = 'docker';
				field.dispatchEvent(new Event('input'))`),
		};
		console.log(`     ${JSON.stringify(figures)}`);
		await frames(`
			const field = document.querySelector('vscode-text-field');
			field.value = '';
			field.dispatchEvent(new Event('input'))`);
	});

	await step('it looks at home in every theme', async () => {
		await grid.focus();
		await page.keyboard.press('Home');
		await page.keyboard.press('ArrowDown');
		for (const theme of ['light', 'contrast', 'contrastLight', 'dark']) {
			await workbench.setTheme(theme);
			await page.waitForTimeout(500);
			await workbench.screenshot(`theme-${theme}`);
		}
	});

	await step('and at 200 %, and in a narrow view', async () => {
		// What a page of 1400 × 900 has at 200 %.
		await page.setViewportSize({ width: 700, height: 450 });
		await page.waitForTimeout(1000);
		await workbench.screenshot('zoom-200');
		await page.setViewportSize({ width: 1400, height: 900 });
		await workbench.closeAllEditors();
		await workbench.runCommand('View: Move Panel Right');
		await workbench.runCommand('Strata: Focus on Snapshot Timeline View');
		const view = await workbench.webview('view');
		await view.locator('.row:not(.day)').first().waitFor({ timeout: 60_000 });
		await page.waitForTimeout(500);
		await workbench.screenshot('narrow');
		assert.ok((await view.locator('.row').count()) < MOST_ROWS);
	});

	await step('nothing complains', async () => {
		assert.deepEqual(workbench.errors, []);
	});
});
