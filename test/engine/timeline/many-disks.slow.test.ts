import assert from 'node:assert/strict';
import { chmodSync, writeFileSync } from 'node:fs';
import { suite, test } from 'node:test';
import { readTimeline } from '../../../src/engine/timeline/snapshots.js';
import type { Source } from '../../../src/engine/timeline/source.js';
import { deleteSnapshot, rollBack, settle, takeSnapshot, undo } from '../../../src/engine/timeline/verbs.js';
import { Killer } from './kill-fixture.js';
import { Sandbox, assertClean, contentOf, listed, machineOf, qemuImg, write } from './machine-fixture.js';

/** Two disks whose ids differ, because one of them had a snapshot before. */
function pair(box: Sandbox): { a: string; b: string; source: Source } {
	const [a, b] = [box.image('a.qcow2'), box.image('b.qcow2', { create: ['cluster_size=4096'] })];
	qemuImg('snapshot', '-c', 'only b', b);
	return { a, b, source: machineOf(a, b) };
}

suite('a machine of several disks', () => {
	test('takes, rolls back, undoes and deletes on all of them', async () => {
		using box = new Sandbox();
		const { a, b, source } = pair(box);
		const contents = () => [contentOf(a), contentOf(b)];
		const one = await takeSnapshot(box.host, source, { label: 'one' });
		const atOne = contents();
		for (const path of [a, b]) write(path, 2, 0, 65536);
		const later = contents();
		assert.deepEqual(
			[listed(a), listed(b).map(({ id, name }) => `${id} ${name}`)],
			[[{ id: '1', name: 'one' }], ['1 only b', '2 one']],
		);
		const timeline = readTimeline(box.host, source);
		assert.deepEqual(
			timeline.snapshots.map(({ name, missingOn }) => [name, missingOn]),
			[
				['one', []],
				['only b', [a]],
			],
		);

		const back = await rollBack(box.host, source, one.key);
		assert.deepEqual(contents(), atOne);
		await undo(box.host, source);
		assert.deepEqual(contents(), later);
		await deleteSnapshot(box.host, source, one.key);
		assert.deepEqual(
			listed(b)
				.map(({ name }) => name)
				.slice(0, 2),
			['only b', back.safetySnapshot!.name],
		);
		const partial = timeline.snapshots.find(({ name }) => name === 'only b')!;
		await assert.rejects(rollBack(box.host, source, partial.key), {
			code: 'ERR_REFUSED',
			message: new RegExp(`does not exist on ${a}`),
		});
		await deleteSnapshot(box.host, source, partial.key);
		for (const path of [a, b]) assertClean(path);
	});

	test('names that occur twice on a disk are refused', async () => {
		using box = new Sandbox();
		const { b, source } = pair(box);
		const one = await takeSnapshot(box.host, source, { label: 'one' });
		qemuImg('snapshot', '-c', 'one', b);
		await assert.rejects(rollBack(box.host, source, one.key), {
			code: 'ERR_AMBIGUOUS',
			message: /2 snapshots called "one" \(ids 2, 3\)/,
		});
	});

	test('cut off between the disks, each verb is finished or taken back on both', async () => {
		using box = new Sandbox();
		const killer = new Killer(box.folder);
		const { a, b, source } = pair(box);
		const contents = () => [contentOf(a), contentOf(b)].join();
		const one = await takeSnapshot(box.host, source, { label: 'one' });
		const atOne = contents();
		for (const path of [a, b]) write(path, 2, 0, 65536);
		const later = contents();
		/** Killed on the second disk, again and again, so that only settling by itself can end it. */
		const cut = async (at: number, verb: () => Promise<unknown>, program = 'qemu') => {
			await assert.rejects(killer.during({ file: b, at, after: true, program }, verb), { code: 'ERR_UNSETTLED' });
			const { status, statusText } = readTimeline(box.host, source).source;
			assert.equal(status, 'unsettled');
			assert.match(statusText, /Do not start this machine/);
		};

		await cut(4, () => takeSnapshot(box.host, source, { label: 'two' }));
		assert.match((await settle(box.host, source)).done.join(), /was not made/);
		assert.deepEqual([listed(a).length, listed(b).length, contents()], [1, 2, later]);

		// Only qemu-img is killed: the safety snapshots stand, and the first disk is rolled back.
		await cut(2, () => rollBack(box.host, source, one.key), 'qemu-img');
		// The next verb settles by itself, and says so.
		const three = await takeSnapshot(box.host, source, { label: 'three' });
		assert.match(three.warnings.join(), /rollback was finished/);
		assert.equal(contents(), atOne);
		assert.equal(readTimeline(box.host, source).snapshots.find(({ key }) => key === three.key)?.parent, one.key);

		await cut(2, () => deleteSnapshot(box.host, source, one.key));
		await settle(box.host, source);
		assert.equal(
			listed(a).some(({ name }) => name === 'one'),
			listed(b).some(({ name }) => name === 'one'),
		);
		for (const path of [a, b]) assertClean(path);
		assert.equal(readTimeline(box.host, source).source.status, 'ready');
	});

	test('a rollback that one disk refuses is taken back on the others', async () => {
		using box = new Sandbox();
		const { a, b, source } = pair(box);
		const one = await takeSnapshot(box.host, source, { label: 'one' });
		for (const path of [a, b]) write(path, 2, 0, 65536);
		const before = [contentOf(a), contentOf(b)];
		// A qemu-img that cannot apply the snapshot with the id 2, which is "one" on the second disk alone.
		const program = box.path('qemu-img');
		writeFileSync(
			program,
			'#!/bin/sh\n[ "$1 $3 $4" = "snapshot -a 2" ] && { echo "qemu-img: no luck" >&2; exit 1; }\nexec qemu-img "$@"\n',
		);
		chmodSync(program, 0o755);
		const host = { ...box.host, tools: { qemuImg: program } };
		// The first disk has one snapshot only: its safety snapshot has the id 2, and needs another one before it.
		await takeSnapshot(box.host, source, { label: 'two' });
		await assert.rejects(rollBack(host, source, one.key), {
			code: 'ERR_TOOL',
			message: /no luck.*all disks were put back/,
		});
		assert.deepEqual([contentOf(a), contentOf(b)], before);
		const { source: record, snapshots, undo: last } = readTimeline(box.host, source);
		assert.deepEqual([record.status, last, snapshots.filter(({ safety }) => safety).length], ['ready', null, 1]);
		for (const path of [a, b]) assertClean(path);
	});
});
