// The packed extension installs, its container is there, and nothing complains.
import assert from 'node:assert/strict';
import { journey } from '../lib/journey.mjs';

await journey({}, async ({ workbench, step, need }) => {
	await need('the Strata container opens', async () => {
		await workbench.openContainer('Strata');
		await workbench.tree('Sources').header.waitFor();
		await workbench.screenshot('container');
	});

	await step('the commands are in the palette', async () => {
		for (const title of ['Strata: Add Machine…', 'Strata: Find Disk Images…', 'Strata: Open Example Machine']) {
			const titles = await workbench.paletteTitles(title);
			assert.ok(titles.includes(title), `${title} is missing in ${titles.join(' | ')}`);
		}
	});

	await step('nothing complains', async () => {
		assert.deepEqual(await workbench.notifications(), []);
		assert.deepEqual(workbench.errors, []);
	});

	await step('the window survives a reload', async () => {
		await workbench.reload();
		await workbench.openContainer('Strata');
		await workbench.tree('Sources').header.waitFor();
	});
});
