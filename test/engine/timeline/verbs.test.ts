import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { readTimeline } from '../../../src/engine/timeline/snapshots.js';
import {
	deleteSnapshot,
	renameSnapshot,
	rollBack,
	setNote,
	settle,
	takeSnapshot,
	undo,
} from '../../../src/engine/timeline/verbs.js';
import { Sandbox, assertClean, contentOf, listed, machineOf, write } from './machine-fixture.js';

suite('verbs on one disk', () => {
	test('take, change, roll back, undo, delete', async () => {
		using box = new Sandbox();
		const path = box.image();
		const source = machineOf(path);
		const a = await takeSnapshot(box.host, source, { label: 'clean base', note: 'as installed' });
		assert.deepEqual([a.id, a.name, a.safetySnapshot, a.warnings], ['1', 'clean base', null, []]);
		const atA = contentOf(path);
		write(path, 2, 65536, 65536);
		const b = await takeSnapshot(box.host, source, { label: 'second' });
		write(path, 3, 131072, 65536);
		const before = contentOf(path);

		let timeline = readTimeline(box.host, source);
		assert.equal(timeline.source.status, 'ready', timeline.source.statusText);
		assert.deepEqual(
			timeline.snapshots.map(({ name, parent, inferred, current, note }) => ({
				name,
				parent,
				inferred,
				current,
				note,
			})),
			[
				{ name: 'second', parent: a.key, inferred: false, current: true, note: '' },
				{ name: 'clean base', parent: null, inferred: false, current: false, note: 'as installed' },
			],
		);
		assert.equal(timeline.undo, null);

		const back = await rollBack(box.host, source, a.key);
		assert.equal(back.name, 'clean base');
		assert.match(back.safetySnapshot!.name, /^before rollback \d\d:\d\d$/);
		assert.equal(contentOf(path), atA);
		timeline = readTimeline(box.host, source);
		assert.equal(timeline.position, a.key);
		assert.equal(timeline.positionInferred, false);
		assert.equal(timeline.undo?.safetySnapshot, back.safetySnapshot!.key);
		assert.equal(timeline.snapshots.find(({ safety }) => safety)?.parent, b.key);
		write(path, 4, 0, 65536);
		const meanwhile = contentOf(path);

		const undone = await undo(box.host, source);
		assert.equal(undone.key, back.safetySnapshot!.key);
		assert.equal(contentOf(path), before);
		assert.equal(contentOf(path, undone.safetySnapshot!.name), meanwhile);
		assert.equal(readTimeline(box.host, source).undo, null);
		await assert.rejects(undo(box.host, source), { code: 'ERR_NOT_FOUND' });

		await deleteSnapshot(box.host, source, a.key);
		assert.deepEqual(
			listed(path).map(({ name }) => name),
			['second', back.safetySnapshot!.name, undone.safetySnapshot!.name],
		);
		assert.equal(readTimeline(box.host, source).snapshots.find(({ key }) => key === b.key)?.parent, null);
		assert.equal(contentOf(path), before);
		assertClean(path);
		assert.deepEqual(await settle(box.host, source), { done: [] });
	});

	test("a label and a note are the journal's; the image keeps its name", async () => {
		using box = new Sandbox();
		const path = box.image();
		const source = machineOf(path);
		const a = await takeSnapshot(box.host, source, { label: 'a' });
		await renameSnapshot(box.host, source, a.key, 'größer');
		await setNote(box.host, source, a.key, 'why');
		const [record] = readTimeline(box.host, source).snapshots;
		assert.deepEqual([record!.name, record!.tag, record!.note], ['größer', 'a', 'why']);
		assert.deepEqual(listed(path), [{ id: '1', name: 'a' }]);
		await assert.rejects(takeSnapshot(box.host, source, { label: 'a' }), { code: 'ERR_EXISTS' });
		await assert.rejects(takeSnapshot(box.host, source, { label: 'größer' }), { code: 'ERR_EXISTS' });
	});
});
