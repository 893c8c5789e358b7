/** The helper process: it outlives its caller, and what it leaves when it is killed itself is settled. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { build } from 'esbuild';
import { processesWith } from '../../../src/engine/machine/processes.js';
import { readJournal } from '../../../src/engine/timeline/journal.js';
import { runVerb } from '../../../src/engine/timeline/run-verb.js';
import { readTimeline } from '../../../src/engine/timeline/snapshots.js';
import { journalPath, lockPaths, type Source } from '../../../src/engine/timeline/source.js';
import { rollBack, settle, takeSnapshot } from '../../../src/engine/timeline/verbs.js';
import type { VerbRequest } from '../../../src/engine/timeline/verb-request.js';
import type { ActionResult } from '../../../src/shared/engine-api.js';
import { Killer } from '../timeline/kill-fixture.js';
import { Sandbox, assertClean, contentOf, listed, machineOf, write } from '../timeline/machine-fixture.js';

suite('verb helper', () => {
	const tools = new Sandbox();
	const helper = tools.path('helper.cjs');
	const killer = new Killer(tools.folder);

	before(async () => {
		await bundle(helper, `import { runVerbHelper } from './src/engine/worker/verb-helper.ts'; void runVerbHelper();`);
	});
	after(() => tools[Symbol.dispose]());

	const run = (box: Sandbox, source: Source, request: VerbRequest, signal?: AbortSignal) =>
		runVerb(box.host, source, request, { helper, ...(signal ? { signal } : {}) }) as Promise<ActionResult>;

	test('carries out verbs, and carries errors back', async () => {
		using box = new Sandbox();
		const path = box.image();
		const source = machineOf(path);
		const steps: string[] = [];
		const taken = (await runVerb(
			box.host,
			source,
			{ verb: 'take', label: 'a' },
			{ helper, onProgress: ({ step }) => steps.push(step) },
		)) as ActionResult;
		assert.deepEqual([taken.id, taken.name, steps], ['1', 'a', ['Taking the snapshot']]);
		await assert.rejects(run(box, source, { verb: 'take', label: 'a' }), { code: 'ERR_EXISTS' });
		await run(box, source, { verb: 'rollback', key: taken.key });
		await run(box, source, { verb: 'undo' });
		await run(box, source, { verb: 'delete', key: taken.key });
		assert.deepEqual(await run(box, source, { verb: 'settle' }), { done: [] });
		assert.equal(listed(path).length, 2);
	});

	test('is cancelled before the point of no return, and not started when that came first', async () => {
		using box = new Sandbox();
		const path = box.image();
		const source = machineOf(path);
		await assert.rejects(run(box, source, { verb: 'take', label: 'a' }, AbortSignal.abort()), {
			code: 'ERR_CANCELLED',
		});
		const controller = new AbortController();
		const running = run(box, source, { verb: 'take', label: 'a' }, controller.signal);
		controller.abort();
		await assert.rejects(running, { code: 'ERR_CANCELLED' });
		assert.deepEqual(listed(path), []);
		assert.equal(readTimeline(box.host, source).source.status, 'ready');
	});

	test('goes on when its caller is killed', async () => {
		using box = new Sandbox();
		const path = box.image();
		const source = machineOf(path);
		const caller = box.path('caller.mjs');
		await bundle(
			caller,
			`import { runVerb } from './src/engine/timeline/run-verb.ts';
			void runVerb(${JSON.stringify(box.host)}, ${JSON.stringify(source)}, { verb: 'take', label: 'survives' }, { helper: ${JSON.stringify(helper)} });
			// Once the request is on its way: the pipe holds it.
			setTimeout(() => process.kill(process.pid, 'SIGKILL'), 20);`,
		);
		const child = spawn(process.execPath, [caller], { stdio: 'ignore' });
		const [, signal] = (await once(child, 'exit')) as [number, string];
		assert.equal(signal, 'SIGKILL');
		await until(() => {
			const { snapshots, source: record } = readTimeline(box.host, source);
			return snapshots.length === 1 && record.status === 'ready';
		});
		assert.equal(readTimeline(box.host, source).snapshots[0]?.name, 'survives');
		assertClean(path);
	});

	test('one of two at a time', async () => {
		using box = new Sandbox();
		const path = box.image();
		const source = machineOf(path);
		const labels = ['a', 'b', 'c', 'd'];
		const outcomes = await Promise.allSettled(labels.map(label => run(box, source, { verb: 'take', label })));
		const taken = labels.filter((_, index) => outcomes[index]!.status === 'fulfilled');
		for (const outcome of outcomes)
			if (outcome.status === 'rejected') assert.equal((outcome.reason as { code: string }).code, 'ERR_BUSY');
		assert.ok(taken.length >= 1);
		assert.deepEqual(
			listed(path)
				.map(({ name }) => name)
				.sort(),
			taken,
		);
		assertClean(path);
	});

	test('killed while QEMU works on: the next verb waits for it, settles, and goes on', async () => {
		using box = new Sandbox();
		const { path, source, key, atSnapshot, current, reset } = await prepared(box);
		for (const [program, at] of [
			['qemu-img', 1],
			['qemu-img', 3],
			['qemu-storage', 1],
			['qemu-storage', 5],
		] as const) {
			reset();
			const what = `killed at write ${at} of ${program}`;
			await assert.rejects(
				killer.during({ file: path, at, program, parent: true }, () => run(box, source, { verb: 'rollback', key })),
				{ code: 'ERR_TOOL', message: /the helper/ },
				what,
			);
			const begin = readJournal(journalPath(box.host, source)).open?.begin;
			assert.ok(begin, what);
			const done = (await settle(box.host, source)).done.join();
			assert.deepEqual(processesWith(begin.marker), [], `${what}: nothing is left running`);
			assert.ok([atSnapshot, current].includes(contentOf(path)), `${what}: ${done}`);
			assert.equal(readTimeline(box.host, source).source.status, 'ready', what);
			assertClean(path, what);
		}
	});

	test('killed at each of its writes to the journal', async () => {
		using box = new Sandbox();
		const { path, source, key, atSnapshot, current, reset } = await prepared(box);
		const journal = journalPath(box.host, source);
		const verbs: readonly VerbRequest[] = [
			{ verb: 'take', label: 'new' },
			{ verb: 'rollback', key },
			{ verb: 'delete', key },
		];
		for (const request of verbs) {
			reset();
			await killer.during({ file: journal, at: 0, program: 'node' }, () => run(box, source, request));
			const { writes } = killer;
			assert.ok(writes >= 2, `${request.verb} makes ${writes} writes to the journal`);
			for (let at = 1; at <= writes; at++) {
				for (const half of [false, true]) {
					reset();
					const what = `${request.verb}, killed ${half ? 'half-way through' : 'before'} write ${at} of ${writes} to the journal`;
					await assert.rejects(
						killer.during({ file: journal, at, half, program: 'node' }, () => run(box, source, request)),
						{ code: 'ERR_TOOL' },
						what,
					);
					await settle(box.host, source);
					assert.ok([atSnapshot, current].includes(contentOf(path)), what);
					const { source: record, snapshots } = readTimeline(box.host, source);
					assert.equal(record.status, 'ready', `${what}: ${record.statusText}`);
					assert.equal(snapshots.length, listed(path).length, what);
					for (const lock of lockPaths(box.host, source))
						assert.throws(() => readFileSync(lock), { code: 'ENOENT' }, what);
					assertClean(path, what);
				}
			}
		}
	});
});

async function prepared(box: Sandbox) {
	mkdirSync(box.path('work'));
	const path = box.image('work/disk.qcow2');
	const source = machineOf(path);
	const { key } = await takeSnapshot(box.host, source, { label: 'a' });
	const atSnapshot = contentOf(path);
	write(path, 2, 65536, 131072);
	// One rollback before, so that all that a machine can have is there.
	await rollBack(box.host, source, key);
	write(path, 3, 65536, 131072);
	const current = contentOf(path);
	cpSync(box.path('work'), box.path('saved'), { recursive: true });
	const reset = () => {
		rmSync(box.path('work'), { recursive: true });
		cpSync(box.path('saved'), box.path('work'), { recursive: true });
	};
	return { path, source, key, atSnapshot, current, reset };
}

async function bundle(outfile: string, contents: string): Promise<void> {
	const format = outfile.endsWith('.cjs') ? 'cjs' : 'esm';
	const banner =
		format === 'esm'
			? "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);"
			: '';
	await build({
		stdin: { contents, resolveDir: resolve('.'), loader: 'ts' },
		bundle: true,
		platform: 'node',
		target: 'node20',
		format,
		outfile,
		logLevel: 'error',
		banner: { js: banner },
	});
}

/** Wait for something that another process does. */
async function until(condition: () => boolean): Promise<void> {
	const end = Date.now() + 30_000;
	while (!condition()) {
		assert.ok(Date.now() < end, 'it never came');
		await sleep(50);
	}
}
