/** The timeline of a real machine that runs: through the engine, its helper process and the command line. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, suite, test } from 'node:test';
import { createEngine } from '../../../src/engine/timeline/engine.js';
import { processesWith } from '../../../src/engine/machine/processes.js';
import { readJournal } from '../../../src/engine/timeline/journal.js';
import { sourceById } from '../../../src/engine/timeline/sources.js';
import { journalPath } from '../../../src/engine/timeline/source.js';
import { takeSnapshot } from '../../../src/engine/timeline/verbs.js';
import { buildDist, type Dist } from '../../builders/dist.js';
import { Guest } from '../../builders/guest.js';
import { Sandbox, assertClean, listed } from './machine-fixture.js';

suite('the timeline of a running machine', () => {
	let dist: Dist;
	before(async () => {
		dist = await buildDist();
	});
	after(() => dist[Symbol.dispose]());

	/** A running machine that Strata knows, and an engine. */
	async function running(box: Sandbox, guest: Guest, keepSafetySnapshots = 10) {
		const engine = createEngine({ home: box.host.home, helper: dist.engine, keepSafetySnapshots });
		const connection = { qmp: guest.qmpPath, agent: guest.agentPath };
		const { id } = await engine.addMachine({ disks: [{ path: guest.disk }], name: 'dev', connection });
		return { engine, id };
	}

	test('every verb, and what is said of each snapshot', async () => {
		using box = new Sandbox();
		await using guest = await Guest.start();
		const { engine, id } = await running(box, guest);
		const at = (key: string) => ({ source: id, state: key });

		await guest.sh('echo first > /home/dev/file; echo first > /run/file');
		const disk = await engine.takeSnapshot(id, { label: 'disk' });
		assert.match(disk.warnings.join(' '), /crash-consistent.*shutting the machine down/);
		const validated = await engine.takeSnapshot(id, { label: 'validated', validated: true });
		assert.doesNotMatch(validated.warnings.join(' '), /crash-consistent/);
		assert.ok(validated.frozenMilliseconds! > 0);
		const memory = await engine.takeSnapshot(id, { label: 'memory', memory: true, note: 'all of it' });
		assert.ok(memory.pausedMilliseconds! > 0);
		await assert.rejects(engine.takeSnapshot(id, { label: 'memory' }), { code: 'ERR_EXISTS' });

		const { snapshots, position, source } = await engine.timeline(id);
		assert.deepEqual(
			snapshots.map(({ name, kind, consistency, note }) => [name, kind, consistency, note]),
			[
				['memory', 'memory', 'crash', 'all of it'],
				['validated', 'disk', 'validated', ''],
				['disk', 'disk', 'crash', ''],
			],
		);
		assert.deepEqual([snapshots[0]?.parent, snapshots[1]?.parent], [validated.key, disk.key]);
		assert.deepEqual([position, source.status], [memory.key, 'inUse']);

		await guest.sh('echo second > /home/dev/file; echo second > /run/file');
		await assert.rejects(engine.rollBack(at(disk.key)), { code: 'ERR_REFUSED', message: /without memory/ });
		const back = await engine.rollBack(at(memory.key));
		assert.equal(await guest.sh('cat /home/dev/file /run/file'), 'first\nfirst\n');
		assert.ok(back.safetySnapshot);
		const undone = await engine.undo(id);
		assert.equal(await guest.sh('cat /home/dev/file /run/file'), 'second\nsecond\n');
		assert.equal(undone.key, back.safetySnapshot.key);
		await engine.deleteSnapshot(at(disk.key));
		assert.deepEqual(
			(await engine.timeline(id)).snapshots.map(({ name, safety }) => [safety ? 'safety' : name]),
			[['safety'], ['safety'], ['memory'], ['validated']],
		);
		assert.deepEqual(await engine.settle(id), { done: [] });

		// The same machine, stopped.
		await guest.stop();
		await assert.rejects(engine.takeSnapshot(id, { label: 'x', memory: true }), { code: 'ERR_REFUSED' });
		const offline = await engine.takeSnapshot(id, { label: 'offline' });
		assert.equal((await engine.timeline(id)).snapshots.find(({ key }) => key === offline.key)?.consistency, 'offline');
		await engine.rollBack(at(validated.key));
		assertClean(guest.disk);
	});

	test('old safety snapshots go', async () => {
		using box = new Sandbox();
		await using guest = await Guest.start();
		const { engine, id } = await running(box, guest, 1);
		const { key } = await engine.takeSnapshot(id, { label: 'here', memory: true });
		for (let round = 0; round < 3; round++) await engine.rollBack({ source: id, state: key });
		const { snapshots, undo } = await engine.timeline(id);
		assert.deepEqual(
			snapshots.map(({ safety }) => safety),
			[true, false],
		);
		assert.equal(undo?.safetySnapshot, snapshots[0]?.key);
	});

	test('a verb that was cut off is settled while the machine runs', async () => {
		using box = new Sandbox();
		await using guest = await Guest.start();
		const { engine, id } = await running(box, guest);
		const source = sourceById(box.host, id);
		// As when Strata is killed right after it wrote down what it begins.
		const cut = { ...box.host, home: box.host.home };
		await assert.rejects(
			takeSnapshot(
				cut,
				source,
				{ label: 'cut off', memory: true },
				{
					throwIfCancelled: () => undefined,
					report: ({ step }) => {
						if (step === 'Taking the snapshot') throw new Error('killed');
					},
					committed: () => undefined,
				},
			),
			/killed/,
		);
		assert.ok(readJournal(journalPath(box.host, source)).open);
		assert.equal((await engine.timeline(id)).source.status, 'unsettled');
		assert.deepEqual(await engine.settle(id), {
			done: ['The snapshot "cut off" was not made; what was begun of it is gone.'],
		});
		assert.equal(readJournal(journalPath(box.host, source)).open, undefined);
		assert.deepEqual(listedWhileRunning(guest), []);
		await guest.sh('true');
	});

	test('the process that carries a verb out is killed: QEMU finishes, and Strata finds out what', async () => {
		using box = new Sandbox();
		await using guest = await Guest.start();
		const { engine, id } = await running(box, guest);
		/** Kills it a moment after it has come to `at`. */
		const killedAt = (at: string, afterMs: number) => ({
			onProgress: ({ step }: { readonly step: string }) => {
				if (step !== at) return;
				setTimeout(() => {
					for (const { pid } of processesWith(`${dist.engine} verb`)) process.kill(pid, 'SIGKILL');
				}, afterMs);
			},
		});
		const taking = engine.takeSnapshot(id, { label: 'kept', memory: true }, killedAt('Taking the snapshot', 40));
		await assert.rejects(taking, { code: 'ERR_TOOL' });
		const { done } = await engine.settle(id);
		assert.match(done.join(' '), /"kept" was (?:finished|not made)/);
		const { key } = await engine.takeSnapshot(id, { label: 'again', memory: true });
		await guest.sh('echo now > /run/now');
		await assert.rejects(engine.rollBack({ source: id, state: key }, killedAt('Rolling back', 0)), {
			code: 'ERR_TOOL',
		});
		const settled = await engine.settle(id);
		assert.match(settled.done.join(' '), /cannot tell whether it was|had not begun|put back to what it was/);
		await guest.sh('echo still alive');
		const { snapshots } = await engine.timeline(id);
		assert.ok(snapshots.some(({ name }) => name === 'again'));
		await engine.deleteSnapshot({ source: id, state: key });
		await guest.stop();
		assertClean(guest.disk);
	});

	test('QEMU that dies in the middle is told, and the image is settled', async () => {
		using box = new Sandbox();
		await using guest = await Guest.start();
		const { engine, id } = await running(box, guest);
		const taking = engine.takeSnapshot(
			id,
			{ label: 'cut off', memory: true },
			{
				onProgress: ({ step }) => {
					if (step === 'Taking the snapshot') setTimeout(() => guest.kill(), 60);
				},
			},
		);
		await assert.rejects(taking, { code: 'ERR_UNSETTLED', message: /Settle the machine before it is started/ });
		const { done } = await engine.settle(id);
		assert.equal(done.length, 1);
		assertClean(guest.disk);
		assert.ok(listed(guest.disk).length <= 1);
		await engine.takeSnapshot(id, { label: 'after' });
	});

	test('the command line', async () => {
		using box = new Sandbox();
		await using guest = await Guest.start();
		const strata = (...args: string[]) =>
			execFileSync(process.execPath, [dist.cli, ...args], {
				encoding: 'utf8',
				stdio: ['ignore', 'pipe', 'pipe'],
				env: { ...process.env, STRATA_HOME: box.host.home },
			});
		strata('add', guest.disk, '--name', 'dev', '--qmp', `unix:${guest.qmpPath}`, '--agent', guest.agentPath);
		assert.match(strata('snapshot', 'dev', '-m', 'first', '--validated'), /first/);
		const taken = JSON.parse(strata('--json', 'snapshot', 'dev', '-m', 'second', '--memory')) as Record<
			string,
			unknown
		>;
		assert.equal(typeof taken['pausedMilliseconds'], 'number');
		strata('rollback', 'dev@second');
		strata('undo', 'dev');
		strata('delete', '-y', 'dev@first');
		assert.throws(() => strata('rollback', 'dev@first'));
	});
});

function listedWhileRunning(guest: Guest): unknown[] {
	const text = execFileSync('qemu-img', ['info', '-U', '--output=json', guest.disk], { encoding: 'utf8' });
	return (JSON.parse(text) as { snapshots?: unknown[] }).snapshots ?? [];
}
