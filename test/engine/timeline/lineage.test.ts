import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { parseJournal } from '../../../src/engine/timeline/journal.js';
import { lineageOf } from '../../../src/engine/timeline/lineage.js';
import { Machine } from '../../../src/engine/timeline/machine.js';
import { readTimeline } from '../../../src/engine/timeline/snapshots.js';
import { rollBack, takeSnapshot } from '../../../src/engine/timeline/verbs.js';
import { Sandbox, machineOf, qemuImg, write } from './machine-fixture.js';

const KIB = 1024;

function parentsOf(box: Sandbox, path: string): Record<string, string | null> {
	const { snapshots } = readTimeline(box.host, machineOf(path));
	const nameOf = (key: string | null) => snapshots.find(snapshot => snapshot.key === key)?.name ?? null;
	return Object.fromEntries(snapshots.map(({ name, parent }) => [name, nameOf(parent)] as const).reverse());
}

suite('parents that nobody recorded', () => {
	for (const create of [[], ['extended_l2=on'], ['cluster_size=512'], ['compat=0.10']]) {
		test(`two branches, found by their clusters (${create.join() || 'default'})`, () => twoBranches(create));
	}

	test('a tie gives candidates and no parent', () => {
		using box = new Sandbox();
		const path = box.image();
		qemuImg('snapshot', '-c', 'one', path);
		qemuImg('snapshot', '-c', 'two', path);
		write(path, 2, 0, 64 * KIB);
		qemuImg('snapshot', '-c', 'three', path);
		const [three, two, one] = readTimeline(box.host, machineOf(path)).snapshots;
		assert.deepEqual([three!.parent, [...three!.candidates].sort()], [null, [one!.key, two!.key].sort()]);
		assert.deepEqual([two!.parent, two!.inferred], [one!.key, true]);
	});

	test('a recorded position is not used when the disk was moved behind it', async () => {
		using box = new Sandbox();
		const path = box.image();
		const source = machineOf(path);
		const a = await takeSnapshot(box.host, source, { label: 'a' });
		write(path, 2, 0, 64 * KIB);
		const b = await takeSnapshot(box.host, source, { label: 'b' });
		assert.equal(readTimeline(box.host, source).position, b.key);
		qemuImg('snapshot', '-a', 'a', path);
		write(path, 3, 128 * KIB, 64 * KIB);
		let timeline = readTimeline(box.host, source);
		assert.deepEqual([timeline.position, timeline.positionInferred], [a.key, true]);
		// A snapshot from another tool, on top of what is recorded, is where the current state grew from.
		await rollBack(box.host, source, b.key);
		write(path, 4, 192 * KIB, 64 * KIB);
		qemuImg('snapshot', '-c', 'foreign', path);
		timeline = readTimeline(box.host, source);
		const foreign = timeline.snapshots.find(({ name }) => name === 'foreign')!;
		assert.deepEqual([foreign.parent, foreign.inferred], [b.key, true]);
		assert.deepEqual([timeline.position, timeline.positionInferred], [foreign.key, true]);
	});

	test('a recorded position is not used when another tool went on to a snapshot that Strata knows', async () => {
		using box = new Sandbox();
		const path = box.image();
		const source = machineOf(path);
		const a = await takeSnapshot(box.host, source, { label: 'a' });
		write(path, 2, 0, 64 * KIB);
		const b = await takeSnapshot(box.host, source, { label: 'b' });
		await rollBack(box.host, source, a.key);
		qemuImg('snapshot', '-a', b.id, path);
		for (const pattern of [undefined, 3]) {
			if (pattern !== undefined) write(path, pattern, 2 * 1024 * KIB, 64 * KIB);
			const { position, positionInferred } = readTimeline(box.host, source);
			assert.notEqual(position, a.key);
			assert.ok(position === null || positionInferred);
		}
	});

	test('too many are not guessed, and that is said', () => {
		using box = new Sandbox();
		const path = box.image();
		qemuImg('snapshot', '-c', 's', path);
		// Deeper than a test should make them one by one: the same machine, asked about more than it has.
		using machine = Machine.open(machineOf(path));
		const many = {
			source: machine.source,
			images: machine.images,
			moments: Array.from({ length: 205 }, (_, index) => ({ ...machine.moments[0]!, key: `k${index}` })),
		};
		const { parents, notes } = lineageOf(many as unknown as Machine, parseJournal(''));
		assert.equal(parents.size, 205);
		assert.ok([...parents.values()].every(({ parent, inferred }) => parent === null && !inferred));
		assert.match(notes.join(), /205 snapshots are not recorded/);
	});
});

function twoBranches(create: readonly string[]): void {
	using box = new Sandbox();
	const path = box.image('disk.qcow2', { create });
	qemuImg('snapshot', '-c', 'base', path);
	write(path, 2, 0, 64 * KIB);
	qemuImg('snapshot', '-c', 'left', path);
	write(path, 3, 64 * KIB, 64 * KIB);
	qemuImg('snapshot', '-c', 'left 2', path);
	qemuImg('snapshot', '-a', 'base', path);
	// Fewer clusters than "left 2" has in common with nothing: the nearest that is not contradicted is "base".
	write(path, 4, 128 * KIB, 64 * KIB);
	qemuImg('snapshot', '-c', 'right', path);
	qemuImg('snapshot', '-a', 'left', path);
	write(path, 5, 192 * KIB, 64 * KIB);
	const timeline = readTimeline(box.host, machineOf(path));
	assert.deepEqual(parentsOf(box, path), { base: null, left: 'base', 'left 2': 'left', right: 'base' });
	assert.deepEqual(
		timeline.snapshots.map(({ inferred }) => inferred),
		[true, true, true, false],
	);
	assert.equal(timeline.snapshots.find(({ current }) => current)?.name, 'left');
	assert.equal(timeline.positionInferred, true);
}
