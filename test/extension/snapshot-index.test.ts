import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ExclusiveSizes } from '../../src/extension/sources/exclusive-sizes.js';
import { snapshotBefore, snapshotOf } from '../../src/extension/snapshot-index.js';
import { timeline } from './fake-engine.js';

test('snapshots are found by key, and the one before', () => {
	const record = timeline();
	assert.equal(snapshotOf(record, 'beforeinst')?.name, 'before-install');
	assert.equal(snapshotOf(record, 'gone'), undefined);
	assert.equal(snapshotOf(record, null), undefined);
	assert.equal(snapshotBefore(record, 'beforeinst')?.key, 'cleanbase1');
	assert.equal(snapshotBefore(record, 'cleanbase1'), undefined);
});

test('sizes come once a generation, and belong to it alone', async () => {
	const asked: string[] = [];
	const sizes = new ExclusiveSizes({
		exclusiveBytes: id => {
			asked.push(id);
			return Promise.resolve({ beforeinst: 4096, cleanbase1: null });
		},
	});
	const first = timeline();
	const told = new Promise<string>(resolve => sizes.onDidChange(resolve));
	assert.equal(sizes.in(first), first);
	assert.equal(sizes.in(first), first);
	assert.equal(await told, first.source.id);
	const filled = sizes.in(first);
	assert.deepEqual(
		filled.snapshots.map(({ exclusiveBytes }) => exclusiveBytes),
		[null, 4096, null],
	);
	assert.equal(sizes.in(first), filled);
	assert.equal(sizes.in(filled), filled);
	const next = timeline({ generation: '2' });
	assert.equal(sizes.in(next), next);
	assert.equal(asked.length, 2);
});

test('nothing is asked of a machine that is in use, or has too many snapshots', () => {
	const sizes = new ExclusiveSizes({ exclusiveBytes: () => assert.fail('it was asked') });
	const { source, snapshots } = timeline();
	sizes.in(timeline({ source: { ...source, status: 'inUse' } }));
	sizes.in(timeline({ snapshots: Array.from({ length: 501 }, (_, i) => ({ ...snapshots[0]!, key: String(i) })) }));
});
