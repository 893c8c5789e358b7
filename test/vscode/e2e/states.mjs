// States that a person only meets when something is wrong or missing: an untrusted folder, no QEMU, images that are raw,
// empty, encrypted, foreign or damaged, a machine that was cut off, an engine that dies. Each says what to do.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
	closeSync,
	copyFileSync,
	existsSync,
	mkdirSync,
	openSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmSync,
	symlinkSync,
	truncateSync,
	writeFileSync,
	writeSync,
} from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { journey, run } from '../lib/journey.mjs';
import { environmentOf } from '../lib/server.mjs';
import { until } from '../lib/wait.mjs';

/** The server's PATH: everything but QEMU, until a step "installs" it. */
const bin = join(run.base, 'bin');
const started = join(run.base, 'started');
const MANY = 130;

function call(program, ...args) {
	execFileSync(program, args, { stdio: ['pipe', 'ignore', 'inherit'] });
}

function installAllBut(pattern) {
	mkdirSync(bin, { recursive: true });
	for (const folder of ['/bin', '/usr/bin'])
		for (const name of readdirSync(folder))
			if (!pattern.test(name))
				try {
					symlinkSync(join(folder, name), join(bin, name));
				} catch (error) {
					if (error.code !== 'EEXIST') throw error;
				}
}

function makeImages(folder) {
	installAllBut(/^qemu/);
	// In Restricted Mode no program may be started: this one tells when it was.
	writeFileSync(join(bin, 'qemu-img'), `#!/bin/sh\necho "$@" >> '${started}'\nexec /usr/bin/qemu-img "$@"\n`, {
		mode: 0o755,
	});
	const at = name => join(folder, name);
	const root = at('root');
	mkdirSync(join(root, 'etc/many'), { recursive: true });
	writeFileSync(join(root, 'etc/hosts'), '127.0.0.1 localhost\n');
	const makeDisk = () => {
		writeFileSync(at('plain.img'), '');
		truncateSync(at('plain.img'), 24 * 2 ** 20);
		call('mke2fs', '-q', '-F', '-t', 'ext4', '-L', 'root', '-d', root, at('plain.img'));
	};
	const copyWith = (name, offset, bytes) => {
		copyFileSync(at('dev.qcow2'), at(name));
		const file = openSync(at(name), 'r+');
		writeSync(file, Buffer.from(bytes), 0, bytes.length, offset);
		closeSync(file);
	};
	makeDisk();
	call('qemu-img', 'convert', '-O', 'qcow2', at('plain.img'), at('dev.qcow2'));
	call('qemu-img', 'convert', '-O', 'qcow2', at('plain.img'), at('empty.qcow2'));
	call('qemu-img', 'convert', '-O', 'vmdk', at('plain.img'), at('foreign.vmdk'));
	call('qemu-img', 'snapshot', '-c', 'before', at('dev.qcow2'));
	for (let i = 0; i < MANY; i++) writeFileSync(join(root, 'etc/many', `file-${i}.conf`), `value = ${i}\n`);
	makeDisk();
	call('qemu-img', 'convert', '-n', '-O', 'qcow2', at('plain.img'), at('dev.qcow2'));
	call('qemu-img', 'snapshot', '-c', 'after', at('dev.qcow2'));
	// The L1 table is said to lie far behind the end of the file; the content is said to be encrypted by LUKS.
	copyWith('damaged.qcow2', 40, [0, 0, 0, 0x7f, 0xff, 0xff, 0, 0]);
	copyWith('secret.qcow2', 32, [0, 0, 0, 2]);
	rmSync(root, { recursive: true });
}

await journey(
	{
		prepare: makeImages,
		trust: false,
		settings: { 'security.workspace.trust.enabled': true },
		environment: { PATH: bin, VSCODE_CLI: '1' },
	},
	async ({ workbench, page, step, need, folder, folders, strata }) => {
		const sources = workbench.tree('Sources');
		const changes = workbench.tree('Changes');
		const at = name => join(folder, name);
		const says = (label, description) => {
			const matches = text => (label instanceof RegExp ? label.test(text) : label === text);
			return sources.rowsWhen(
				rows => rows.some(row => matches(row.label) && description.test(row.description)),
				`${label}: ${description}`,
				40_000,
			);
		};
		const copied = async text => {
			let found = '';
			const read = () => page.evaluate(() => navigator.clipboard.readText());
			await until(
				async () => (found = await read()) === text,
				() => `"${text}" is copied, not "${found}"`,
			);
		};
		await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);

		const add = async name => {
			await workbench.runCommand('Strata: Add Machine…');
			await workbench.choosePath(at(name));
		};
		/** Waits for the message, and takes it away. */
		const told = async text => {
			await workbench.notification(text);
			await workbench.clearNotifications();
		};

		await need('Restricted Mode: machines are there', async () => {
			const added = strata('add', at('dev.qcow2'));
			assert.equal(added.status, 0, added.stderr);
			rmSync(started, { force: true });
			await workbench.openContainer('Strata');
			await sources.find('example', 'clean-base');
			await sources.find('dev', 'after');
		});

		await step('Restricted Mode: browsing and comparing work', async () => {
			await sources.click('dev', 'before', 'disk', 'etc', 'hosts');
			await workbench.waitForTab(/^hosts \(before/);
			assert.deepEqual(await workbench.editorLines(), ['127.0.0.1 localhost', '']);
			await sources.choose('Compare with Current State', 'dev', 'before');
			await changes.rowsWhen(rows => rows.some(row => row.label === 'file-0.conf'), 'the changes are there');
			await sources.collapse('dev', 'before');
			await workbench.screenshot('restricted');
		});

		await step('Restricted Mode: changing is refused with words, and nothing is started', async () => {
			for (const command of ['Take Snapshot…', 'Roll Back…', 'Delete Snapshot…']) {
				await workbench.runCommand(`Strata: ${command}`);
				await told('starts no programs in a workspace that is not trusted');
			}
			assert.equal(existsSync(started), false, 'no program was started');
		});

		await step('more than a hundred changes: which to open is asked', async () => {
			await workbench.runCommand('Strata: Open All Changes');
			const question = await workbench.quickInput();
			assert.deepEqual(await question.labels(), [`Open the first 100 of ${MANY}`, 'Only one folder…', 'Filter…']);
			await question.pick('Open the first');
			await workbench.waitForTab('(100 files)');
			await workbench.closeAllEditors();
		});

		await need('qemu-img is missing: what needs it stays, and says how to install it', async () => {
			rmSync(join(bin, 'qemu-img'));
			await workbench.runCommand('Workspaces: Manage Workspace Trust');
			await page
				.getByRole('button', { name: /^Trust/ })
				.first()
				.click();
			await until(async () => !(await page.locator('.part.banner:visible').count()), 'it is trusted');
			await page.keyboard.press('Escape');
			await workbench.closeAllEditors();
			await workbench.runCommand('Strata: Refresh');
			await says('qemu-img is not installed', /how to install it/);
			await workbench.screenshot('missing');
			const menu = await sources.menu('dev', 'before');
			assert.ok((await menu.items()).some(item => item.startsWith('Roll Back…')));
			await menu.close();
			await sources.choose('Take Snapshot…', 'dev');
			await workbench.answerNotification('qemu-img was not found', 'Copy Command');
			await copied('sudo apt-get install qemu-utils qemu-system-common');
			await sources.choose('Roll Back…', 'dev', 'before');
			await told('qemu-img was not found');
		});

		await step('QEMU was installed meanwhile: the next action works, and the row goes', async () => {
			for (const name of ['qemu-img', 'qemu-storage-daemon']) symlinkSync(`/usr/bin/${name}`, join(bin, name));
			await sources.choose('Take Snapshot…', 'dev');
			await (await workbench.quickInput('Take Snapshot of dev')).accept('taken');
			await sources.rowsWhen(rows => rows.some(row => row.label === 'taken'), 'it is taken', 40_000);
			assert.equal(
				(await sources.rows()).some(row => /qemu-img/.test(row.label)),
				false,
			);
		});

		await step('a note, an address, a path, the bytes', async () => {
			await sources.choose('Edit Note…', 'dev', 'taken');
			await (await workbench.quickInput('Note for')).accept('before the upgrade');
			await until(() => /before the upgrade/.test(strata('snapshots', 'dev', '--json').stdout), 'the note is kept');
			const hosts = ['dev', 'taken', 'disk', 'etc', 'hosts'];
			await sources.choose('Copy Address', 'dev', 'taken');
			await copied('dev@taken');
			await sources.choose('Copy Path', ...hosts);
			await copied('/disk/etc/hosts');
			await sources.choose('Copy Address', ...hosts);
			await copied('dev@taken /disk/etc/hosts');
			await sources.choose('Open Bytes', ...hosts);
			await workbench.waitForTab('hosts');
			assert.match((await workbench.editorLines())[0], /^00000000 {2}31 32 37 2e .* 127\.0\.0\.1 localh$/);
			await sources.collapse('dev');
			await sources.collapse('example');
		});

		await step('images that cannot be added say why, each in its own words', async () => {
			for (const [name, words] of [
				['secret.qcow2', 'It is encrypted'],
				['foreign.vmdk', 'VMDK images cannot be read yet'],
				['damaged.qcow2', 'It is damaged'],
			]) {
				await add(name);
				await told(words);
			}
		});

		await step('a raw image is read-only and says why; one without snapshots says how to take the first', async () => {
			for (const name of ['plain.img', 'empty.qcow2']) await add(name);
			await says('plain', /no snapshots/);
			await says('empty', /no snapshots/);
			await sources.expand('plain');
			await says('Read-only', /raw images hold no snapshots/);
			await sources.choose('Take Snapshot…', 'plain');
			await told('raw images hold no snapshots');
			await sources.expand('empty');
			await workbench.screenshot('raw-and-empty');
			await sources.click('empty', 'No snapshots yet');
			await (await workbench.quickInput('Take Snapshot of empty')).cancel();
		});

		await step('a file of one’s own computer is dropped', async () => {
			await sources.pane
				.locator('.monaco-list')
				.first()
				.evaluate(async list => {
					const data = new DataTransfer();
					data.items.add(new File(['x'], 'mine.qcow2'));
					const box = list.getBoundingClientRect();
					const place = { clientX: box.x + 60, clientY: box.y + 10 };
					const fire = type =>
						list
							.querySelector('.monaco-list-row')
							.dispatchEvent(new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true, ...place }));
					fire('dragenter');
					fire('dragover');
					await new Promise(done => setTimeout(done, 600));
					fire('dragover');
					fire('drop');
				});
			await told('This file is on your own computer');
		});

		await step('images are found in a folder', async () => {
			await workbench.runCommand('Strata: Find Disk Images…');
			await (await workbench.quickInput('Find Disk Images')).pick('Open Folders');
			const list = await workbench.quickInput('Add Machine');
			assert.equal(await list.placeholder(), '6 found');
			assert.match(await list.text(), /added as dev · qcow2 24 MB · 3 snapshots/);
			await workbench.screenshot('found');
			await list.cancel();
		});

		await step('an image that was moved is located', async () => {
			mkdirSync(at('moved'));
			renameSync(at('empty.qcow2'), at('moved/empty.qcow2'));
			await says('empty', /moved or deleted/);
			await sources.choose('Locate Image…', 'empty');
			await workbench.choosePath(at('moved/empty.qcow2'));
			await says('empty', /no snapshots/);
		});

		await step('an action that was cut off is named, and settled', async () => {
			// qemu-img does its work, and whoever called it is gone.
			const cut = join(run.base, 'cut');
			mkdirSync(cut);
			const script = '#!/bin/sh\n/usr/bin/qemu-img "$@"\ncase "$*" in *-a*) kill -9 $PPID;; esac\n';
			writeFileSync(join(cut, 'qemu-img'), script, { mode: 0o755 });
			const program = readdirSync(folders.extensions).find(name => name.startsWith('strata.strata'));
			const result = spawnSync(
				process.execPath,
				[join(folders.extensions, program, 'dist', 'cli.cjs'), 'rollback', 'dev@before'],
				{ env: { ...environmentOf(folders), PATH: `${cut}:${process.env.PATH}` }, encoding: 'utf8' },
			);
			assert.equal(result.status, 3, result.stderr);
			// The view asks by itself every second while it is in sight; a busy machine may have put that off.
			await workbench.runCommand('Strata: Refresh');
			await says('dev', /not settled: do not start it/);
			await sources.expand('dev');
			await says(/^Strata was cut off while rolling back/, /^Settle$/);
			await workbench.screenshot('unsettled');
			await sources.choose('Take Snapshot…', 'dev');
			const take = await workbench.quickInput('Take Snapshot of dev');
			assert.match(await take.text(), /What was cut off is settled first/);
			await take.cancel();
			await sources.choose('Settle', 'dev');
			await told('dev is settled. The rollback was finished');
			await says('dev', /^on before$/);
		});

		await step('the engine dies twice: one row says so, and Restart Engine brings everything back', async () => {
			const program = readdirSync(folders.extensions).find(name => name.startsWith('strata.strata'));
			const engine = join(folders.extensions, program, 'dist', 'engine.cjs');
			const good = readFileSync(engine);
			writeFileSync(engine, 'throw new Error("made to fail")');
			await workbench.runCommand('Strata: Restart Engine');
			await says('The engine stopped', /^Restart Engine$/);
			await workbench.notification("Strata's engine stopped twice");
			await workbench.screenshot('engine-stopped');
			writeFileSync(engine, good);
			await workbench.answerNotification("Strata's engine stopped twice", 'Restart Engine');
			await says('dev', /^on before$/);
			await sources.find('dev', 'taken');
			await workbench.clearNotifications();
			assert.equal(
				(await sources.rows()).some(row => row.label === 'The engine stopped'),
				false,
			);
			await workbench.screenshot('engine-restarted');
		});

		await step('a snapshot is named after the install before it, and says what it holds', async () => {
			const terminal = await workbench.terminal();
			// The shell tells VS Code of its commands a moment after its first prompt.
			await page.waitForTimeout(2500);
			await terminal.type('apt() { true; }');
			await terminal.type('apt install -y nginx');
			await page.waitForTimeout(1500);
			await workbench.runCommand('View: Hide Panel');
			await sources.choose('Take Snapshot…', 'example');
			const question = await workbench.quickInput('Take Snapshot of example');
			assert.equal(await question.value(), 'after apt install nginx');
			await question.accept();
			const offer = page.locator('.statusbar-item', { hasText: /\+1 ~3 −1 · Compare/ }).first();
			await offer.waitFor({ timeout: 40_000 });
			await offer.click();
			await changes.rowsWhen(rows => rows.some(row => row.label === 'journald.conf'), 'it is compared');
		});

		await step('nothing else complains', async () => {
			// VS Code says so of a row that went while it was being drawn.
			const others = workbench.errors
				.filter(text => !/Data tree node not found/.test(text))
				.filter(error => !/engine stopped/.test(error));
			assert.deepEqual(others, []);
		});
	},
);
