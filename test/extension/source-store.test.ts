import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StrataError } from '../../src/extension/engine-error.js';
import { SourceStore } from '../../src/extension/sources/source-store.js';
import type { SourceRecord, TimelineRecord } from '../../src/shared/engine-api.js';
import { source, timeline } from './fake-engine.js';

/** An engine whose answers a test changes while the store looks. */
function machine() {
	const world = {
		sources: [source()] as SourceRecord[],
		timeline: timeline() as TimelineRecord | StrataError,
		asked: { list: 0, timeline: 0, generation: 0 },
	};
	const engine = {
		listSources: async () => {
			world.asked.list++;
			return await Promise.resolve(world.sources);
		},
		timeline: () => {
			world.asked.timeline++;
			return world.timeline instanceof StrataError ? Promise.reject(world.timeline) : Promise.resolve(world.timeline);
		},
		generation: () => {
			world.asked.generation++;
			return world.timeline instanceof StrataError
				? Promise.reject(world.timeline)
				: Promise.resolve(world.timeline.generation);
		},
	};
	return { world, store: new SourceStore(engine, 5) };
}

async function until(what: () => boolean): Promise<void> {
	for (let i = 0; i < 400 && !what(); i++) await new Promise(resolve => setTimeout(resolve, 5));
	assert.ok(what());
}

test('nothing is asked before somebody wants to know, and then once', async () => {
	const { world, store } = machine();
	assert.equal(store.state, 'loading');
	assert.equal(world.asked.list, 0);
	await Promise.all([store.load(), store.load()]);
	assert.equal(world.asked.list, 1);
	assert.equal(store.state, 'ready');
	await Promise.all([store.timeline('abcd2345'), store.timeline('abcd2345')]);
	await store.timeline('abcd2345');
	assert.equal(world.asked.timeline, 1);
	store.dispose();
});

test('a change made elsewhere is seen while somebody looks, and only then', async () => {
	const { world, store } = machine();
	await store.load();
	await store.timeline('abcd2345');
	const seen = [] as (string | undefined)[];
	store.onDidChange(id => seen.push(id));
	world.timeline = timeline({ generation: '2', snapshots: [] });
	await new Promise(resolve => setTimeout(resolve, 30));
	assert.equal(seen.length, 0);
	const watching = store.watch();
	await until(() => seen.includes('abcd2345'));
	assert.equal(store.machine('abcd2345')?.timeline?.snapshots.length, 0);
	watching.dispose();
	await new Promise(resolve => setTimeout(resolve, 20));
	const asked = world.asked.list;
	await new Promise(resolve => setTimeout(resolve, 30));
	assert.equal(world.asked.list, asked);
	store.dispose();
});

test('a machine that is added or removed elsewhere comes and goes', async () => {
	const { world, store } = machine();
	await store.load();
	const watching = store.watch();
	world.sources = [source(), source({ id: 'efgh2345', name: 'ci' })];
	await until(() => store.machines.length === 2);
	world.sources = [];
	await until(() => store.state === 'empty');
	watching.dispose();
	store.dispose();
});

test('an error stays with its machine, and goes when it is over', async () => {
	const { world, store } = machine();
	await store.load();
	world.timeline = new StrataError('ERR_CORRUPT', 'qcow2: bad');
	await assert.rejects(store.timeline('abcd2345'));
	assert.equal(store.machine('abcd2345')?.error?.code, 'ERR_CORRUPT');
	world.timeline = timeline();
	await store.reload('abcd2345');
	assert.equal(store.machine('abcd2345')?.error, undefined);
	store.dispose();
});

test('another status makes what was known void', async () => {
	const { world, store } = machine();
	await store.load();
	await store.timeline('abcd2345');
	world.sources = [source({ status: 'missing', statusText: 'not there' })];
	await store.refresh();
	assert.equal(store.machine('abcd2345')?.timeline, undefined);
	assert.equal(store.machine('abcd2345')?.record.status, 'missing');
	store.dispose();
});

test('asking anew also asks what failed, and tells that the list can be read again', async () => {
	const { world, store } = machine();
	await store.load();
	world.timeline = new StrataError('ERR_ENGINE', 'the engine stopped');
	await assert.rejects(store.timeline('abcd2345'));
	const { sources } = world;
	Object.defineProperty(world, 'sources', { get: () => raise(new StrataError('ERR_ENGINE', 'the engine stopped')) });
	await store.refresh();
	assert.equal(store.listError?.code, 'ERR_ENGINE');
	Object.defineProperty(world, 'sources', { value: sources });
	world.timeline = timeline();
	const seen = [] as (string | undefined)[];
	store.onDidChange(id => seen.push(id));
	await store.refresh();
	assert.deepEqual(seen, [undefined, 'abcd2345']);
	assert.equal(store.machine('abcd2345')?.error, undefined);
	store.dispose();
});

function raise(error: Error): never {
	throw error;
}
