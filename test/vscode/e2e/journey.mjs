// The README's path, as a new user walks it: the example, a diff, a snapshot taken, rolled back, undone.
import assert from 'node:assert/strict';
import { journey } from '../lib/journey.mjs';

const EXAMPLE = 'example';

await journey({}, async ({ workbench, step, need, strata }) => {
	const sources = workbench.tree('Sources');
	const changes = workbench.tree('Changes');
	const fileVersions = workbench.tree('File Versions');
	/** What qemu-img, which is not ours, says of the image. */
	let image;

	await need('the view opens with the example expanded and its last change told', async () => {
		await workbench.page.evaluate(() => {
			window.flashed = new Set();
			const look = () => {
				for (const text of document.querySelectorAll('.sidebar .welcome-view-content'))
					if (text.offsetParent !== null) window.flashed.add(text.innerText);
				requestAnimationFrame(look);
			};
			look();
		});
		await workbench.openContainer('Strata');
		const rows = await sources.rowsWhen(
			all => all.some(row => row.label === 'clean-base'),
			'the snapshots are there',
			40_000,
		);
		assert.deepEqual(
			rows.filter(row => row.level === 2).map(row => row.label),
			['Current state', 'nginx-installed', 'before-nginx', 'experiment', 'clean-base'],
		);
		await changes.find('etc', 'hosts');
		// What an empty view says is not for somebody who only has to wait.
		assert.deepEqual(await workbench.page.evaluate(() => [...window.flashed]), []);
		await workbench.screenshot('1-first-look');
		image = JSON.parse(strata('sources', '--json').stdout.trim().split('\n')[0]).disks[0].path;
	});

	await step('the summary says packages, services and users', async () => {
		const text = (await changes.rows()).map(row => `${row.label} ${row.description}`).join('\n');
		assert.match(text, /nginx/);
		assert.match(text, /service/);
	});

	await step('every row is spoken', async () => {
		for (const tree of [sources, changes])
			for (const row of await tree.rows()) assert.match(row.spoken, /\w{2}.*\w/, `${row.label}: "${row.spoken}"`);
	});

	await need('a changed file opens in the diff editor', async () => {
		await changes.click('etc', 'hosts');
		const title = await workbench.waitForTab('hosts');
		assert.match(title, /before-nginx/);
		assert.match(title, /nginx-installed/);
		const { original, modified } = await workbench.diffLines();
		assert.ok(
			original.includes('127.0.0.1\tlocalhost'.replace('\t', '   ')) ||
				original.some(line => /^127\.0\.0\.1\s+localhost$/.test(line)),
		);
		assert.ok(modified.some(line => /^127\.0\.0\.1\s+localhost shop\.example$/.test(line)));
		await workbench.screenshot('2-diff');
	});

	await step('a database and a picture have their own ways to be compared', async () => {
		await changes.click('srv/shop', 'shop.db');
		await workbench.waitForTab('shop.db');
		const { modified } = await workbench.diffLines();
		assert.match(modified.join('\n'), /purchase|customer/);
		await workbench.screenshot('3-database');
		await changes.click('srv/shop', 'static', 'logo.png');
		await workbench.waitForTab('logo.png');
		await workbench.screenshot('3-picture');
	});

	await step('files are browsed and open read-only', async () => {
		await sources.click(EXAMPLE, 'before-nginx', 'p2', 'etc', 'ssh', 'sshd_config');
		await workbench.waitForTab('sshd_config');
		assert.ok((await workbench.editorLines()).includes('PasswordAuthentication no'));
		await workbench.screenshot('4-file');
	});

	await step('what is not read yet is shown by its name', async () => {
		const volumes = await sources.children(EXAMPLE, 'before-nginx');
		assert.deepEqual(
			volumes.map(row => row.label),
			['p1', 'p2', 'p3'],
		);
		assert.match(volumes[0].description, /fat/i);
		assert.match(volumes[2].description, /swap/);
		await sources.collapse(EXAMPLE, 'before-nginx');
	});

	await step('versions of one file', async () => {
		await sources.click(EXAMPLE, 'nginx-installed', 'p2', 'etc', 'hosts');
		await workbench.waitForTab('hosts');
		await fileVersions.show();
		await fileVersions.rowsWhen(rows => rows.length >= 3, 'three versions of hosts');
		await workbench.screenshot('5-file-versions');
		await fileVersions.header.click();
		await sources.collapse(EXAMPLE, 'nginx-installed');
	});

	await step('compare a snapshot with the current state', async () => {
		await sources.choose('Compare with Current State', EXAMPLE, 'nginx-installed');
		const wanted = { 'journald.conf': 'M', 'error.log': 'A', 'index.html': 'D', 'shop.py': 'm' };
		const rows = await changes.rowsWhen(
			all =>
				Object.entries(wanted).every(([label, badge]) => all.some(row => row.label === label && row.badge === badge)),
			'the slip is found',
		);
		assert.match(rows.find(row => row.label === 'shop.py').description, /mode .*755.*644/);
		await workbench.screenshot('6-current');
	});

	await need('take a snapshot', async () => {
		await sources.choose('Take Snapshot…', EXAMPLE);
		const input = await workbench.quickInput();
		assert.notEqual(await input.value(), '', 'a name is suggested');
		await workbench.screenshot('7-take');
		await input.accept('after the slip');
		await sources.rowsWhen(
			rows => rows.some(row => row.label === 'after the slip'),
			'the new snapshot is there',
			30_000,
		);
		await workbench.screenshot('7-taken');
		const listed = strata('snapshots', '--json', image).stdout;
		assert.match(listed, /after the slip/);
	});

	await step('Enter on the question changes nothing', async () => {
		await sources.choose('Roll Back…', EXAMPLE, 'nginx-installed');
		const dialog = await workbench.dialog('nginx-installed');
		assert.notEqual(dialog.focused, 'Roll Back');
		await workbench.screenshot('8-question');
		await workbench.page.keyboard.press('Enter');
		await workbench.page.waitForTimeout(1500);
		assert.doesNotMatch((await sources.rows()).map(row => row.label).join('\n'), /before rollback/i);
	});

	await need('roll back', async () => {
		await sources.choose('Roll Back…', EXAMPLE, 'nginx-installed');
		const dialog = await workbench.dialog('nginx-installed');
		await dialog.press('Roll Back');
		await sources.rowsWhen(
			rows => rows.some(row => /rollback/i.test(row.label)),
			'the safety snapshot is there',
			60_000,
		);
		await workbench.screenshot('9-rolled-back');
		const file = strata('cat', image, '/p2/etc/systemd/journald.conf');
		assert.match(file.stdout, /^#SystemMaxUse=$/m);
	});

	await need('undo', async () => {
		await workbench.runCommand('Strata: Undo Last Rollback');
		let text = '';
		for (let tries = 0; tries < 60 && !/^SystemMaxUse=50M$/m.test(text); tries++) {
			await workbench.page.waitForTimeout(500);
			text = strata('cat', image, '/p2/etc/systemd/journald.conf').stdout;
		}
		assert.match(text, /^SystemMaxUse=50M$/m);
		await workbench.screenshot('10-undone');
	});

	await step('the command line changes something, and the view follows', async () => {
		const taken = strata('snapshot', image, '-m', 'from the terminal');
		assert.equal(taken.status, 0, taken.stderr);
		await sources.rowsWhen(rows => rows.some(row => row.label === 'from the terminal'), 'the view follows', 10_000);
	});

	await step('strata is in the terminal', async () => {
		const terminal = await workbench.terminal();
		await terminal.type('strata --version && strata sources');
		let text = '';
		for (let tries = 0; tries < 40 && !/example.*ready|example\s/.test(text); tries++) {
			await workbench.page.waitForTimeout(250);
			text = await terminal.text();
		}
		assert.match(text, /\d+\.\d+\.\d+/);
		assert.match(text, /example/);
		await workbench.screenshot('11-terminal');
		await workbench.runCommand('View: Hide Panel');
	});

	await step('it looks at home in every theme', async () => {
		await sources.choose('Compare with Parent', EXAMPLE, 'nginx-installed');
		await changes.find('etc', 'hosts');
		await changes.click('etc', 'hosts');
		await workbench.waitForTab('hosts');
		for (const theme of ['light', 'contrast', 'contrastLight', 'dark']) {
			await workbench.setTheme(theme);
			await workbench.screenshot(`12-${theme}`);
		}
	});

	await step('a reload brings everything back', async () => {
		await workbench.reload();
		await workbench.openContainer('Strata');
		await sources.rowsWhen(rows => rows.some(row => row.label === 'clean-base'), 'the snapshots are there', 40_000);
		await changes.find('etc', 'hosts');
		await workbench.waitForTab('hosts');
		await workbench.screenshot('13-reloaded');
	});
});
