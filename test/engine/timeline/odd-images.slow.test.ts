import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { suite, test } from 'node:test';
import { QmpClient } from '../../../src/engine/machine/qmp.js';
import { appendJournal } from '../../../src/engine/timeline/journal.js';
import { readTimeline } from '../../../src/engine/timeline/snapshots.js';
import { journalPath, pathSource } from '../../../src/engine/timeline/source.js';
import {
	deleteSnapshot,
	renameSnapshot,
	rollBack,
	settle,
	takeSnapshot,
	undo,
} from '../../../src/engine/timeline/verbs.js';
import { Killer } from './kill-fixture.js';
import { Sandbox, assertClean, contentOf, listed, machineOf, qemuImg, write } from './machine-fixture.js';

suite('odd images', () => {
	for (const name of [
		'a:b.qcow2',
		'a,b,,c.qcow2',
		'line\nbreak.qcow2',
		'-a.qcow2',
		'json:{}.qcow2',
		'q\'u"o\\te.qcow2',
		'ünïcode 日本.qcow2',
		'nbd:x',
	]) {
		test(`a file called ${JSON.stringify(name)}`, () => allVerbsOn(name));
	}

	test('an id that is no text is refused: on a command line it would name another snapshot', async () => {
		using box = new Sandbox();
		const path = box.image();
		const source = machineOf(path);
		await takeSnapshot(box.host, source, { label: 'é' });
		write(path, 2, 0, 65536);
		await takeSnapshot(box.host, source, { label: 'b' });
		const bytes = readFileSync(path);
		const table = Number(bytes.readBigUInt64BE(64));
		const second = table + Math.ceil((40 + 24 + 1 + Buffer.byteLength('é')) / 8) * 8;
		bytes[second + 40 + 24] = 0xe9;
		writeFileSync(path, bytes);
		const odd = readTimeline(box.host, source).snapshots.find(({ name }) => name === 'b')!;
		assert.equal(odd.id, '\\xe9');
		await assert.rejects(rollBack(box.host, source, odd.key), { code: 'ERR_REFUSED', message: /id "\\xe9"/ });
		await assert.rejects(deleteSnapshot(box.host, source, odd.key), { code: 'ERR_REFUSED' });
		assert.ok(readFileSync(path).equals(bytes));
	});

	test('snapshots of other tools: equal names, numbers, names that are cut, bytes that are no text', async () => {
		using box = new Sandbox();
		const path = box.image();
		const source = machineOf(path);
		for (const name of ['twice', 'twice', '2', '1', 'n'.repeat(300)]) {
			write(path, listed(path).length + 2, 0, 65536);
			qemuImg('snapshot', '-c', name, path);
		}
		// A name that is not UTF-8 can only come from a shell.
		execFileSync('sh', ['-c', `qemu-img snapshot -c "$(printf 'caf\\351')" "$0"`, path]);
		const contents = [1, 2, 3, 4].map(id => contentById(box, path, String(id)));
		const byId = (id: string) => readTimeline(box.host, source).snapshots.find(snapshot => snapshot.id === id)!;
		assert.equal(byId('6').name, 'caf\\xe9');
		assert.equal(byId('5').name.length, 255);
		// The one with the id 2, not the one that is called so.
		await rollBack(box.host, source, byId('2').key);
		assert.equal(contentOf(path), contents[1]);
		await rollBack(box.host, source, byId('3').key);
		assert.equal(contentOf(path), contents[2]);
		await deleteSnapshot(box.host, source, byId('2').key);
		await deleteSnapshot(box.host, source, byId('6').key);
		assert.deepEqual(
			listed(path)
				.map(({ id }) => id)
				.slice(0, 4),
			['1', '3', '4', '5'],
		);
		assert.equal(contentById(box, path, '1'), contents[0]);
		assert.equal(contentById(box, path, '4'), contents[3]);
		assertClean(path);
	});

	test('an overlay is rolled back, and its backing file stays', async () => {
		using box = new Sandbox();
		const base = box.image('base.qcow2');
		const path = box.path('top.qcow2');
		qemuImg('create', '-q', '-f', 'qcow2', '-b', base, '-F', 'qcow2', path);
		const source = machineOf(path);
		const a = await takeSnapshot(box.host, source, { label: 'a' });
		write(path, 3, 0, 65536);
		await rollBack(box.host, source, a.key);
		assert.equal(contentOf(path), contentOf(base));
	});

	test('a full disk: refused before anything is begun, and deleting too', async () => {
		using box = new Sandbox();
		const mount = box.path('mount');
		mkdirSync(mount);
		execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', mount]);
		try {
			const path = box.image('mount/disk.qcow2', { size: '64M' });
			const source = machineOf(path);
			const a = await takeSnapshot(box.host, source, { label: 'a' });
			write(path, 2, 0, 1024 * 1024);
			const before = contentOf(path, undefined, box.folder);
			fill(mount);
			await assert.rejects(takeSnapshot(box.host, source, { label: 'b' }), { code: 'ERR_NO_SPACE' });
			// Room for a lock and a journal, and not for a snapshot.
			rmSync(`${mount}/fill-262144-0`);
			for (const verb of [
				() => takeSnapshot(box.host, source, { label: 'b' }),
				() => rollBack(box.host, source, a.key),
			]) {
				await assert.rejects(verb(), { code: 'ERR_NO_SPACE', message: /are needed and .* are free/ });
			}
			assert.deepEqual([listed(path).length, contentOf(path, undefined, box.folder)], [1, before]);
			assert.equal(readTimeline(box.host, source).source.status, 'ready');
			assertClean(path);
		} finally {
			execFileSync('umount', [mount]);
		}
	});

	test('a snapshot with memory: rolled back without it, and that is said', async () => {
		using box = new Sandbox();
		const path = box.image();
		await saveWithMemory(path, 'running');
		const source = machineOf(path);
		const [snapshot] = readTimeline(box.host, source).snapshots;
		assert.deepEqual([snapshot!.name, snapshot!.kind], ['running', 'memory']);
		const result = await rollBack(box.host, source, snapshot!.key);
		assert.match(result.warnings.join(), /memory, which is not restored/);
		assert.equal((await settle(box.host, source)).done.length, 0);
		assertClean(path);
	});

	test("a folder that cannot be written to keeps its journal in Strata's home", () => {
		using box = new Sandbox();
		const mount = box.path('mount');
		mkdirSync(mount);
		execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', mount]);
		try {
			const path = box.image('mount/disk.qcow2');
			assert.equal(journalPath(box.host, pathSource(path)), box.path('mount/.strata/disk.qcow2.journal'));
			execFileSync('mount', ['-o', 'remount,ro', mount]);
			const journal = journalPath(box.host, pathSource(path));
			assert.ok(journal.startsWith(box.path('home/journals/')), journal);
			assert.equal(readTimeline(box.host, pathSource(path)).source.status, 'ready');
			// What was begun there is not hidden when the folder can be written again.
			appendJournal(journal, { type: 'label', key: 'k', label: 'l' });
			execFileSync('mount', ['-o', 'remount,rw', mount]);
			assert.equal(journalPath(box.host, pathSource(path)), journal);
		} finally {
			execFileSync('umount', [mount]);
		}
	});

	test('a safety snapshot that cannot be deleted does not make the rollback fail', async () => {
		using box = new Sandbox({ keepSafetySnapshots: 1 });
		const killer = new Killer(box.folder);
		const path = box.image();
		const source = machineOf(path);
		const a = await takeSnapshot(box.host, source, { label: 'a' });
		await rollBack(box.host, source, a.key);
		// Writes of a rollback that has nothing to tidy, and one more: the first of the deletion.
		const wide = { ...box.host, keepSafetySnapshots: 9 };
		await killer.during({ file: path, at: 0 }, () => rollBack(wide, source, a.key));
		const { writes } = killer;
		const result = await killer.during({ file: path, at: writes + 6 }, () => rollBack(box.host, source, a.key));
		assert.match(result.warnings.join(), /could not be deleted.*(was|not) deleted/);
		assert.equal(readTimeline(box.host, source).source.status, 'ready');
		assertClean(path);
	});

	test('safety snapshots beyond the number that is kept go, but not those that matter', async () => {
		using box = new Sandbox({ keepSafetySnapshots: 2 });
		const path = box.image();
		const source = machineOf(path);
		const a = await takeSnapshot(box.host, source, { label: 'a' });
		const made: string[] = [];
		for (let round = 0; round < 5; round++) {
			write(path, 10 + round, 0, 65536);
			const { safetySnapshot } = await rollBack(box.host, source, a.key);
			made.push(safetySnapshot!.key);
			// A label makes it the person's own.
			if (round === 0) await renameSnapshot(box.host, source, safetySnapshot!.key, 'mine');
		}
		const timeline = readTimeline(box.host, source);
		assert.deepEqual(timeline.snapshots.map(({ key }) => key).reverse(), [a.key, made[0], made[3], made[4]]);
		assert.deepEqual(
			timeline.snapshots.map(({ safety }) => safety),
			[true, true, false, false],
		);
		assert.equal(timeline.undo?.safetySnapshot, made[4]);
		await undo(box.host, source);
		assertClean(path);
	});
});

function contentById(box: Sandbox, path: string, id: string): string {
	const raw = box.path('by-id.raw');
	qemuImg('convert', '-O', 'qcow2', '-l', `snapshot.id=${id}`, path, raw);
	return contentOf(raw);
}

function fill(folder: string): void {
	for (let size = 256 * 1024; size >= 4096; size /= 2) {
		for (let number = 0; number < 64; number++) {
			try {
				writeFileSync(`${folder}/fill-${size}-${number}`, Buffer.alloc(size));
			} catch {
				break; // Full, which is what is wanted.
			}
		}
	}
}

/** `savevm` of a machine that never ran an instruction. */
async function saveWithMemory(path: string, name: string): Promise<void> {
	const args = [
		'-accel',
		'tcg',
		'-m',
		'16',
		'-nodefaults',
		'-no-user-config',
		'-display',
		'none',
		'-S',
		'-qmp',
		'stdio',
		'-drive',
		`file=${path},format=qcow2,if=ide`,
	];
	const machine = spawn('qemu-system-x86_64', args, { stdio: ['pipe', 'pipe', 'inherit'] });
	const ended = once(machine, 'exit');
	const client = await QmpClient.connect(machine.stdout, machine.stdin);
	assert.equal(await client.execute('human-monitor-command', { 'command-line': `savevm ${name}` }), '');
	await client.execute('quit');
	await ended;
}

async function allVerbsOn(name: string): Promise<void> {
	using box = new Sandbox();
	const path = box.image(name);
	const source = machineOf(path);
	const a = await takeSnapshot(box.host, source, { label: 'a' });
	const before = contentOf(path);
	write(path, 2, 0, 65536);
	await rollBack(box.host, source, a.key);
	assert.equal(contentOf(path), before);
	await undo(box.host, source);
	await deleteSnapshot(box.host, source, a.key);
	assert.deepEqual(readdirSync(box.folder).sort(), ['.strata', 'home', name].sort());
	assertClean(path);
}
