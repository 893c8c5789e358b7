// What VS Code does with foreign text, odd files and busy images, and that Strata is right about it: one step a rule.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { copyFileSync, mkdirSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { journey } from '../lib/journey.mjs';
import { until } from '../lib/wait.mjs';

/** A label that whoever made the image chose: a link that runs a command, and an icon. */
const HOSTILE = '[Click me](command:workbench.action.showCommands) $(trash)';
/** A new line, and what turns the rest of a line round. */
const HOSTILE_FILE = 'two\nlines \u202egpj.exe';
const CHANGES = 7;

function run(program, ...args) {
	execFileSync(program, args, { stdio: ['pipe', 'ignore', 'inherit'] });
}

/** A disk with one ext4 partition, from a folder. */
function makeDisk(raw, folder) {
	writeFileSync(raw, '');
	truncateSync(raw, 40 * 2 ** 20);
	execFileSync('sfdisk', ['-q', '--no-tell-kernel', raw], { input: 'label: gpt\nstart=2048, type=L, name=root\n' });
	run('mke2fs', '-q', '-F', '-t', 'ext4', '-L', 'root', '-d', folder, '-E', 'offset=1048576', raw, '32M');
}

function makeMachine(folder) {
	const root = join(folder, 'root');
	const raw = join(folder, 'disk.raw');
	const image = join(folder, 'dev.qcow2');
	for (const name of ['etc', 'home']) mkdirSync(join(root, name), { recursive: true });
	writeFileSync(join(root, 'etc/hosts'), '127.0.0.1 localhost\n');
	writeFileSync(join(root, 'etc/gone'), 'gone\n');
	writeFileSync(join(root, 'etc/mode'), 'x\n', { mode: 0o644 });
	writeFileSync(join(root, 'home/long'), `${'x'.repeat(30_000)}\n`);
	writeFileSync(join(root, 'home/binary'), Buffer.from([0, 1, 2, 3, 0xff, 0]));
	writeFileSync(join(root, 'home', HOSTILE_FILE), 'harmless\n');
	symlinkSync('/etc/hosts', join(root, 'home/link'));
	makeDisk(raw, root);
	run('qemu-img', 'convert', '-O', 'qcow2', raw, image);
	run('qemu-img', 'snapshot', '-c', 'clean-base', image);
	writeFileSync(join(root, 'etc/hosts'), '127.0.0.1 localhost\n10.0.0.7 db\n');
	writeFileSync(join(root, 'etc/new'), 'new\n');
	rmSync(join(root, 'etc/gone'));
	run('chmod', '600', join(root, 'etc/mode'));
	writeFileSync(join(root, 'home/binary'), Buffer.from([0, 1, 2, 4, 0xff, 0]));
	writeFileSync(join(root, 'home/long'), `${'y'.repeat(30_000)}\n`);
	rmSync(join(root, 'home/link'));
	symlinkSync('/etc/mode', join(root, 'home/link'));
	makeDisk(raw, root);
	// Into the image that is there: its snapshot stays.
	run('qemu-img', 'convert', '-n', '-O', 'qcow2', raw, image);
	run('qemu-img', 'snapshot', '-c', HOSTILE, image);
	rmSync(root, { recursive: true });
	rmSync(raw);
}

await journey({ prepare: makeMachine }, async ({ workbench, page, step, need, folder, strata }) => {
	const sources = workbench.tree('Sources');
	const changes = workbench.tree('Changes');
	const hostile = /^\[Click me\]/;
	const wait = milliseconds => page.waitForTimeout(milliseconds);
	const plain = text => !text.includes('](') && !text.includes('$(');

	await need('a machine that the command line added is there', async () => {
		const added = strata('add', join(folder, 'dev.qcow2'), '--name', 'dev');
		assert.equal(added.status, 0, added.stderr);
		await workbench.openContainer('Strata');
		await sources.rowsWhen(rows => rows.some(row => row.label === 'dev' && row.description !== ''), 'dev', 40_000);
		await sources.expand('dev');
	});

	await step('a hostile label acts nowhere', async () => {
		const [row] = (await sources.children('dev')).filter(({ label }) => hostile.test(label));
		assert.ok(plain(row.label));
		await sources.choose('Select as Base', 'dev', hostile);
		const message = page.locator('.statusbar-item', { hasText: 'Click me' }).first();
		await message.waitFor();
		assert.equal(await message.locator('.codicon-trash').count(), 0);
		await sources.choose('Delete Snapshot…', 'dev', hostile);
		const dialog = await workbench.dialog('Click me');
		assert.equal(
			await page.locator('.monaco-dialog-box a[href*="command"], .monaco-dialog-box .codicon-trash').count(),
			0,
		);
		await workbench.screenshot('hostile-question');
		await dialog.escape();
		await workbench.runCommand('Strata: Compare with…');
		const pick = await workbench.quickInput();
		await wait(800);
		assert.equal(await page.locator('.quick-input-widget .codicon-trash').count(), 0);
		await pick.cancel();
	});

	await step('every change has its place in the editor of all changes', async () => {
		await sources.choose('Compare with Parent', 'dev', hostile).catch(() => undefined);
		await until(async () => (await changes.rows()).some(row => row.label === 'etc'), 'the changes are there').catch(
			async () => {
				// A parent that could not be guessed: the two are compared as base and target.
				await sources.choose('Select as Base', 'dev', 'clean-base');
				await sources.choose('Compare with Base', 'dev', hostile);
			},
		);
		await changes.rowsWhen(rows => rows.some(row => row.label === 'hosts'), 'hosts differs');
		await workbench.runCommand('Strata: Open All Changes');
		const title = await workbench.waitForTab('files)');
		assert.match(title, new RegExp(`\\(${CHANGES} files\\)`));
		assert.ok(plain(title));
		await workbench.screenshot('all-changes');
	});

	await step('each kind of change opens as what shows it', async () => {
		const expected = [
			[['etc', 'new'], /^new \(/],
			[['etc', 'gone'], /^gone \(clean-base\)/],
			[['etc', 'mode'], /^mode \(clean-base ↔/],
			[['home', 'binary'], /^binary \(clean-base ↔/],
			[['home', 'link'], /^link \(clean-base ↔/],
			[['home', 'long'], /^long \(clean-base ↔/],
		];
		for (const [path, title] of expected) {
			await changes.click(...path);
			await workbench.waitForTab(title);
		}
		const { modified } = await workbench.diffLines().catch(() => ({ modified: [] }));
		assert.doesNotMatch(modified.join(''), /y{1000}/);
	});

	await step('what the editor cannot show is explained, with buttons', async () => {
		await sources.click('dev', hostile, 'p1', 'home', 'long');
		await workbench.waitForTab(/^long\.txt \(/);
		await until(async () => (await workbench.editorLines()).join(' ').includes('very long lines'), 'it says why');
		await page.locator('.codelens-decoration a', { hasText: 'Open Properties' }).first().waitFor();
		await workbench.screenshot('long-line');
		await page.locator('.codelens-decoration a', { hasText: 'Open Anyway' }).first().click();
		await workbench.waitForTab(/^long \(/);
	});

	await step('no name breaks or turns round a row or a tab', async () => {
		await sources.click('dev', hostile, 'p1', 'home', /^two/);
		await workbench.waitForTab(/^two/);
		assert.deepEqual(await workbench.editorLines(), ['harmless', '']);
		const [row] = (await sources.rows()).filter(({ label }) => label.startsWith('two'));
		for (const text of [row.label, row.spoken, await workbench.activeTab()]) {
			assert.doesNotMatch(text, /[\n\u202e]/);
		}
	});

	await step('a link opens what it leads to', async () => {
		await sources.click('dev', 'clean-base', 'p1', 'home', 'link');
		await workbench.waitForTab(/^hosts \(clean-base\)/);
	});

	await step('the filter acts while typing, and Escape takes it back', async () => {
		await workbench.runCommand('Strata: Filter Changes…');
		const box = await workbench.quickInput();
		await box.input.fill('hosts');
		await until(async () => /^hosts: 1 of 7$/.test(await changes.message()), 'the message counts');
		await box.cancel();
		await until(async () => (await changes.message()) === '', 'the message is gone');
	});

	await step('keys act on the selected row, and Enter destroys nothing', async () => {
		await sources.click('dev', 'clean-base');
		await page.keyboard.press('F2');
		const rename = await workbench.quickInput('Rename Snapshot');
		await rename.accept('clean base');
		await sources.rowsWhen(rows => rows.some(row => row.label === 'clean base'), 'renamed');
		await sources.click('dev', 'clean base');
		await page.keyboard.press('Delete');
		const dialog = await workbench.dialog('clean base');
		assert.notEqual(dialog.focused, 'Delete');
		await page.keyboard.press('Enter');
		await wait(1500);
		await sources.find('dev', 'clean base');
		await sources.choose('Remove from Strata', 'dev');
		assert.notEqual((await workbench.dialog('dev')).focused, 'Remove');
		await page.keyboard.press('Enter');
		await wait(1000);
		await sources.find('dev');
		// On the machine's row: no question which one.
		await sources.click('dev');
		await page.keyboard.press('Control+Enter');
		const take = await workbench.quickInput('Take Snapshot of dev');
		await take.cancel();
	});

	await step('an image is dropped from the Explorer onto the view', async () => {
		copyFileSync(join(folder, 'dev.qcow2'), join(folder, 'second.qcow2'));
		await workbench.openContainer('Explorer');
		const file = page.locator('.explorer-folders-view .monaco-list-row', { hasText: 'second.qcow2' });
		await file.waitFor();
		const from = await file.boundingBox();
		const icon = await page
			.getByRole('tab', { name: /^Strata/ })
			.first()
			.boundingBox();
		await page.mouse.move(from.x + 40, from.y + 10);
		await page.mouse.down();
		await page.mouse.move(icon.x + 15, icon.y + 15, { steps: 10 });
		// Held over the icon, the container opens.
		for (let i = 0; i < 6; i++) {
			await wait(400);
			await page.mouse.move(icon.x + 15 + (i % 2), icon.y + 15);
		}
		const list = await sources.pane.locator('.monaco-list').first().boundingBox();
		await page.mouse.move(list.x + 100, list.y + list.height - 20, { steps: 6 });
		await wait(500);
		await page.mouse.move(list.x + 102, list.y + list.height - 22);
		await wait(500);
		await page.mouse.up();
		await sources.rowsWhen(rows => rows.some(row => row.label === 'second'), 'the dropped image is there', 30_000);
	});

	await step('a double click on an image shows what is in it', async () => {
		await workbench.openContainer('Explorer');
		await page.locator('.explorer-folders-view .monaco-list-row', { hasText: 'dev.qcow2' }).dblclick();
		const frame = await workbench.webview();
		await frame.locator('h1', { hasText: 'dev.qcow2' }).waitFor();
		assert.match(await frame.locator('body').innerText(), /ext4 root/);
		assert.equal(await frame.locator('a').count(), 0);
		await workbench.screenshot('disk-image');
		await workbench.openContainer('Strata');
	});

	await step('what a hypervisor holds is read only in its snapshots', async () => {
		const socket = join(folder, 'nbd.sock');
		const holder = spawn(
			'qemu-storage-daemon',
			[
				...['--blockdev', `driver=file,filename=${join(folder, 'dev.qcow2')},node-name=file`],
				...['--blockdev', 'driver=qcow2,file=file,node-name=disk'],
				...['--nbd-server', `addr.type=unix,addr.path=${socket}`],
				...['--export', 'type=nbd,id=export,node-name=disk,writable=on'],
			],
			{ stdio: 'inherit' },
		);
		try {
			await sources.rowsWhen(rows => rows.some(row => row.label === 'dev' && /in use/.test(row.description)), 'in use');
			await sources.find('dev', 'clean base', 'p1');
			await sources.expand('dev', 'Current state');
			await sources.rowsWhen(rows => rows.some(row => /in use/.test(row.label)), 'it says why');
			await workbench.screenshot('in-use');
		} finally {
			holder.kill();
		}
		await sources.rowsWhen(
			rows => rows.some(row => row.label === 'dev' && !/in use/.test(row.description)),
			'free again',
		);
	});

	await step('an image that was moved says so, and comes back', async () => {
		renameSync(join(folder, 'dev.qcow2'), join(folder, 'elsewhere.qcow2'));
		await sources.rowsWhen(rows => rows.some(row => /moved or deleted/.test(row.description)), 'it is missed');
		await workbench.screenshot('moved');
		renameSync(join(folder, 'elsewhere.qcow2'), join(folder, 'dev.qcow2'));
		await sources.rowsWhen(rows => rows.some(row => row.label === 'clean base'), 'it is back');
	});

	await step('an address in the terminal leads into the editor', async () => {
		await workbench.closeAllEditors();
		const terminal = await workbench.terminal();
		await terminal.type("echo dev@'clean base':/p1/etc/hosts dev:/p1/etc/hosts");
		await until(async () => /^dev@clean base/m.test(await terminal.text()), 'the line is there');
		const lines = (await terminal.text()).split('\n');
		const index = lines.findIndex(line => line.startsWith('dev@clean base'));
		const screen = await page.locator('.xterm-screen').first().boundingBox();
		const row = await page.locator('.xterm-rows > div').first().boundingBox();
		const column = row.width / 80;
		const x = screen.x + (lines[index].indexOf('dev:/p1') + 5) * Math.min(column, 9);
		const y = screen.y + row.height * (index + 0.5);
		await page.mouse.move(x, y);
		await wait(1000);
		await page.keyboard.down('Control');
		await page.mouse.move(x + 1, y);
		await wait(500);
		await page.mouse.click(x + 1, y);
		await page.keyboard.up('Control');
		await workbench.waitForTab(/^hosts \(current\)|^hosts \(current-state\)/);
	});

	await step('every row is spoken', async () => {
		for (const tree of [sources, changes])
			for (const row of await tree.rows()) assert.match(row.spoken, /\w{2}/, `${row.label}: "${row.spoken}"`);
	});

	await step('nothing complains', async () => {
		assert.deepEqual(workbench.errors, []);
	});
});
