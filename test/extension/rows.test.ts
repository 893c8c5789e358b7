import assert from 'node:assert/strict';
import { test } from 'node:test';
import { currentRow, entryRow, machineRow, nameOf, snapshotRow, type Row } from '../../src/extension/sources/rows.js';
import { shortAge, sizeText } from '../../src/extension/words.js';
import type { VolumeRecord } from '../../src/shared/records.js';
import { entry, snapshot, source, timeline } from './fake-engine.js';

const now = Date.parse('2026-11-23T10:00:00Z');

function volume(over: Partial<VolumeRecord>): VolumeRecord {
	return {
		path: '/p1',
		offset: 0,
		size: 9.8 * 2 ** 30,
		type: 'ext4',
		label: 'root',
		uuid: '',
		readable: true,
		partitionType: '',
		partitionName: '',
		...over,
	};
}

test('sizes are binary, with one decimal where it says something', () => {
	assert.deepEqual([0, 12, 1023, 1024, 1536, 12 * 2 ** 20, 9.8 * 2 ** 30, 1024 * 1024 - 1].map(sizeText), [
		'0 B',
		'12 B',
		'1023 B',
		'1 KB',
		'1.5 KB',
		'12 MB',
		'9.8 GB',
		'1 MB',
	]);
});

test('ages are short', () => {
	const ages = [0, 59_000, 60_000, 3_600_000, 86_400_000, 2 * 86_400_000, 100 * 86_400_000, 800 * 86_400_000];
	assert.deepEqual(
		ages.map(age => shortAge(new Date(now - age).toISOString(), now)),
		['now', 'now', '1 min', '1 h', '1 day', '2 days', '3 months', '2 years'],
	);
	assert.equal(shortAge('nonsense', now), 'time unknown');
});

test('a machine says its trouble first, then where it stands', () => {
	assert.equal(machineRow(source(), timeline()).description, 'on before-install');
	const busy = source({ status: 'inUse', statusText: 'QEMU holds it' });
	assert.equal(machineRow(busy, timeline()).description, 'in use · on before-install');
	assert.deepEqual(machineRow(busy, timeline()).tokens, ['source', 'inUse', 'unreachable']);
	const running = { ...busy, connection: { qmp: '/run/dev.qmp' } };
	assert.equal(machineRow(running, timeline()).description, 'running · on before-install');
	assert.deepEqual(machineRow(running, timeline()).tokens, ['source', 'inUse', 'writable']);
	assert.equal(currentRow(timeline({ source: running }), undefined).description, 'running');
	const unsettled = machineRow(source({ status: 'unsettled', statusText: 'cut off' }), undefined);
	assert.match(unsettled.description, /^not settled: do not start it/);
	assert.ok(unsettled.tokens.includes('unsettled'));
	assert.equal(machineRow(source(), timeline({ snapshots: [], position: null })).description, 'no snapshots');
});

test('a snapshot says whether it is current, where it branches, how old it is, and what it holds', () => {
	const all = timeline();
	const [experiment, before, base] = all.snapshots;
	assert.equal(snapshotRow(all, experiment!, now).description, 'from clean-base · 1 day');
	assert.equal(snapshotRow(all, before!, now).description, '◉ 2 days');
	assert.equal(snapshotRow(all, base!, now).description, '3 days');
	const memory = snapshot({
		key: 'memory1234',
		name: 'live',
		kind: 'memory',
		consistency: 'crash',
		exclusiveBytes: 12 * 2 ** 20,
		time: base!.time,
	});
	const row = snapshotRow(timeline({ snapshots: [memory], position: null }), memory, now);
	assert.equal(row.description, '3 days · memory · ⚡ · 12 MB');
	assert.match(row.spoken, /with memory/);
	assert.match(row.spoken, /crash-consistent/);
});

test('guesses are marked', () => {
	const guess = snapshot({
		key: 'guess12345',
		name: 'guess',
		parent: 'cleanbase1',
		inferred: true,
		current: true,
		time: '2026-11-22T10:00:00Z',
	});
	const between = snapshot({ key: 'between123', name: 'between', time: '2026-11-21T10:00:00Z' });
	const base = snapshot({ key: 'cleanbase1', name: 'clean-base' });
	const all = timeline({ snapshots: [guess, between, base], position: 'guess12345', positionInferred: true });
	assert.equal(snapshotRow(all, guess, now).description, '◉? from clean-base? · 1 day');
	assert.match(snapshotRow(all, guess, now).spoken, /parent guessed/);
});

test('the current state tells of a rollback by name, and what differs', () => {
	const all = timeline({
		undo: { time: '2026-11-23T09:52:00Z', rolledBackTo: 'cleanbase1', safetySnapshot: 'experiment' },
	});
	const row = currentRow(all, { A: 214, D: 5, M: 30, T: 1, R: 1, m: 5, E: 0 });
	assert.match(row.description, /^rolled back \d\d:\d\d · \+214 ~37 −5$/);
	assert.ok(row.tokens.includes('undo'));
	assert.ok(row.facts.some(([, value]) => value.startsWith('to clean-base, ')));
});

test('files say their size, links their target, volumes their filesystem', () => {
	assert.equal(entryRow(entry('/p1/etc/hosts')).description, '12 B');
	assert.equal(entryRow(entry('/p1/bin', { type: 'symlink', target: 'usr/bin' })).description, '→ usr/bin');
	assert.equal(entryRow(entry('/p1/dev/sda', { type: 'blockdev', device: '8:0' })).description, 'block device 8:0');
	assert.equal(entryRow(entry('/p1/bad', { error: 'ERR_CORRUPT' })).description, 'damaged (ERR_CORRUPT) · 12 B');
	const row = entryRow(entry('/p1', { type: 'directory', volume: volume({}) }));
	assert.equal(row.description, 'ext4 root · 9.8 GB');
	const swap = entryRow(
		entry('/p2', { type: 'directory', volume: volume({ path: '/p2', type: 'swap', label: '', readable: false }) }),
	);
	assert.equal(swap.description, 'swap · 9.8 GB');
	assert.match(swap.spoken, /has no files to show/);
});

test('every row is spoken, and begins with its name', () => {
	const all = timeline();
	const rows: Row[] = [
		machineRow(source(), all),
		currentRow(all, undefined),
		...all.snapshots.map(item => snapshotRow(all, item, now)),
		entryRow(entry('/p1/etc/hosts')),
	];
	for (const row of rows) assert.ok(row.spoken.startsWith(row.label), `${row.label}: ${row.spoken}`);
	assert.equal(snapshotRow(all, all.snapshots[1]!, now).spoken, 'before-install, snapshot, current parent, 2 days ago');
});

test('the name of a path is its last part', () => {
	assert.equal(nameOf('/p1/etc/hosts'), 'hosts');
	assert.equal(nameOf('/'), '/');
});
