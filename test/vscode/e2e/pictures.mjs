// Takes the pictures of the README and of the walkthrough, from the example machine. Runs only when it is named:
// node test/vscode/run.mjs pictures
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { journey, run } from '../lib/journey.mjs';
import { until } from '../lib/wait.mjs';

const MAX_BYTES = { readme: 120_000, walkthrough: 60_000 };
const EXAMPLE = 'example';

await journey(
	{
		viewport: { width: 1200, height: 760 },
		settings: { 'window.zoomLevel': 0, 'breadcrumbs.enabled': true, 'editor.fontSize': 12 },
	},
	async ({ workbench, page, step, need }) => {
		const sources = workbench.tree('Sources');
		const changes = workbench.tree('Changes');
		/** @param {'readme' | 'walkthrough'} folder @param {object} [clip] in CSS pixels */
		const picture = async (folder, name, clip) => {
			// Nothing hovers, nothing is half-way.
			await page.mouse.move(700, 752);
			await workbench.clearNotifications();
			await page.waitForTimeout(1500);
			assert.equal(await page.locator('.workbench-hover-container:visible, .monaco-hover:visible').count(), 0);
			const png = await page.screenshot({ ...(clip ? { clip } : {}), animations: 'disabled' });
			const small = png;
			const target = join(run.repository, 'media', folder);
			mkdirSync(target, { recursive: true });
			writeFileSync(join(target, `${name}.png`), small);
			console.log(`     media/${folder}/${name}.png: ${small.length} bytes`);
			assert.ok(small.length < MAX_BYTES[folder], `${name} has ${small.length} bytes`);
		};

		await need('the example is compared', async () => {
			await workbench.openContainer('Strata');
			await sources.find(EXAMPLE, 'clean-base');
			await changes.find('etc', 'hosts');
			const bar = await page.locator('.part.sidebar').boundingBox();
			await drag(page, [bar.x + bar.width, 400], [400, 400]);
			const header = await changes.header.boundingBox();
			await drag(page, [200, header.y], [200, 216]);
		});

		await step('the changes of an install, and a diff', async () => {
			await changes.click('etc', 'hosts');
			await workbench.waitForTab('hosts');
			for (const folder of ['default', 'logrotate.d', 'nginx']) await changes.collapse('etc', folder);
			await changes.click('etc', 'hosts');
			// From its beginning: the packages.
			await page.mouse.move(200, 500);
			await page.mouse.wheel(0, -5000);
			await picture('readme', 'changes');
		});

		await step('the timeline with a comparison', async () => {
			await workbench.closeAllEditors();
			await workbench.runCommand('Strata: Open Snapshot Timeline in Editor');
			const frame = await workbench.webview('editor');
			await frame.locator('.row:not(.day)', { hasText: 'nginx-installed' }).first().click();
			await frame.locator('.toolbar .base', { hasText: 'before-nginx' }).waitFor();
			await page.keyboard.press('Enter');
			await picture('readme', 'timeline');
		});
	},
);

/** Presses, moves and lets go: of a sash, for instance. */
async function drag(page, from, to) {
	await page.mouse.move(...from);
	await page.mouse.down();
	await page.mouse.move(...to, { steps: 5 });
	await page.mouse.up();
}
