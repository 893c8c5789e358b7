import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createEngine } from '../../../src/engine/timeline/engine.js';
import { makeManySnapshots } from '../../builders/many-snapshots.js';
import { run } from '../../oracles/run.js';

const COUNT = 10_000;
const folder = mkdtempSync(join(tmpdir(), 'strata-many-'));
after(() => rmSync(folder, { recursive: true, force: true }));

test('ten thousand snapshots keep their parents, and their files are found', async () => {
	const image = join(folder, 'many.qcow2');
	const { names, parents } = makeManySnapshots(image, COUNT);
	run('qemu-img', ['check', '-q', image]);
	using engine = createEngine({ home: join(folder, 'home'), helper: '' });
	const { id } = await engine.addMachine({ disks: [{ path: image }] });
	const { snapshots, position, positionInferred } = await engine.timeline(id);
	assert.equal(snapshots.length, COUNT);
	assert.equal(snapshots.find(({ key }) => key === position)?.name, names.at(-1));
	assert.equal(positionInferred, false);
	const nameOf = new Map(snapshots.map(({ key, name }) => [key, name]));
	const found = new Map(snapshots.map(({ name, parent }) => [name, parent === null ? null : nameOf.get(parent)]));
	for (const [index, name] of names.entries()) {
		const parent = parents[index] ?? null;
		assert.equal(found.get(name), parent === null ? null : names[parent]);
	}
	// Names are the same whatever the address says: id, name, key.
	const state = await engine.resolve(`${image}@${names[5]!}`, folder);
	assert.deepEqual(await engine.resolve(`${image}@6`, folder), state);
	const { entries } = await engine.list(state, '/disk/etc');
	assert.deepEqual(
		entries.map(({ path }) => path),
		['/disk/etc/hosts'],
	);
	const { changes } = await engine.compare(state, { source: id, state: 'current' });
	assert.deepEqual(
		changes
			.filter(({ status }) => status === 'M')
			.map(({ path }) => path)
			.sort(),
		['/disk/etc/hosts', '/disk/state'],
	);
});
