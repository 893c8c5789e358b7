import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import * as esbuild from 'esbuild';
import { createEngineClient, type EngineClient } from '../../src/extension/engine-client.js';
import { StrataError } from '../../src/extension/engine-error.js';
import type { ProgressRecord } from '../../src/shared/engine-api.js';

const state = { source: 'abcd2345', state: 'current' };
const folder = mkdtempSync(join(tmpdir(), 'strata-worker-'));
const program = join(folder, 'engine.cjs');
const clients: EngineClient[] = [];

before(() =>
	esbuild.build({
		entryPoints: ['test/extension/fake-engine-worker.ts'],
		outfile: program,
		bundle: true,
		platform: 'node',
		format: 'cjs',
	}),
);
after(() => {
	for (const client of clients) client.dispose();
	rmSync(folder, { recursive: true, force: true });
});

function start() {
	const log: string[] = [];
	const died: boolean[] = [];
	const client = createEngineClient({
		program,
		setup: () => ({ trusted: true, keepSafetySnapshots: 5 }),
		log: (level, message) => log.push(`${level}: ${message}`),
		onDied: (_reason, again) => died.push(again),
	});
	clients.push(client);
	return { client, log, died };
}

test('nothing runs before the first call', async () => {
	const { client } = start();
	assert.equal(client.running, false);
	const [found] = await client.listSources();
	assert.equal(found?.name, 'dev-debian');
	assert.equal(client.running, true);
});

test('errors come as what they were, and bugs are named and logged', async () => {
	const { client, log } = start();
	await assert.rejects(client.info(state), (error: unknown) => {
		assert.ok(StrataError.is(error, 'ERR_CORRUPT'));
		assert.equal(error.details['field'], 'l1_size');
		return true;
	});
	await assert.rejects(client.stat(state, '/p1'), (error: unknown) => StrataError.is(error, 'ERR_INTERNAL'));
	assert.ok(log.some(line => line.includes('TypeError: a bug')));
});

test('bytes arrive whole', async () => {
	const { client } = start();
	const { bytes } = await client.read(state, '/p1/abc');
	assert.equal(bytes.byteLength, 100_000);
	assert.equal(bytes[99_999], 7);
});

test('a comparison arrives in order, though it travels in pieces', async () => {
	const { client } = start();
	const { changes } = await client.compare(state, state);
	assert.equal(changes.length, 2500);
	assert.deepEqual(
		changes.map(({ path }) => path),
		changes.map((_, i) => `/p1/${i}`),
	);
});

test('a loop that never yields reports and can be cancelled', async () => {
	const { client } = start();
	const controller = new AbortController();
	const seen: ProgressRecord[] = [];
	const call = client.discover(
		{ folders: [], knownPlaces: true },
		{
			signal: controller.signal,
			onProgress: progress => {
				seen.push(progress);
				if (seen.length === 2) controller.abort();
			},
		},
	);
	await assert.rejects(call, (error: unknown) => StrataError.is(error, 'ERR_CANCELLED'));
	assert.equal(seen[0]?.step, 'Looking');
	// The other thread was free all along.
	assert.equal((await client.listSources()).length, 1);
});

test('a call that waits hears the event', async () => {
	const { client } = start();
	const controller = new AbortController();
	const call = client.settle('abcd2345', { signal: controller.signal });
	setTimeout(() => controller.abort(), 50);
	await assert.rejects(call, (error: unknown) => StrataError.is(error, 'ERR_CANCELLED'));
});

test('a thread that dies fails its calls, starts once more, then waits to be asked', async () => {
	const { client, died } = start();
	const died1 = client.generation('abcd2345');
	await assert.rejects(died1, (error: unknown) => StrataError.is(error, 'ERR_ENGINE'));
	assert.deepEqual(died, [true]);
	assert.equal((await client.listSources()).length, 1);
	await assert.rejects(client.generation('abcd2345'), (error: unknown) => StrataError.is(error, 'ERR_ENGINE'));
	assert.deepEqual(died, [true, false]);
	await assert.rejects(client.listSources(), (error: unknown) => StrataError.is(error, 'ERR_ENGINE'));
	await client.restart();
	assert.equal((await client.listSources()).length, 1);
});
