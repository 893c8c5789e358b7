import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync, readSync, writeSync, closeSync } from 'node:fs';
import { suite, test } from 'node:test';
import { standingOf } from '../../../src/engine/timeline/l1-record.js';
import { readTimeline } from '../../../src/engine/timeline/snapshots.js';
import { rollBack, settle, takeSnapshot } from '../../../src/engine/timeline/verbs.js';
import { Killer } from './kill-fixture.js';
import { Sandbox, assertClean, contentOf, listed, machineOf, qemuImg, write } from './machine-fixture.js';

suite('settling', () => {
	test('an L1 table is old, new, torn or neither, whatever its COPIED flags say', () => {
		const table = (...entries: bigint[]) => {
			const bytes = Buffer.alloc(entries.length * 8);
			entries.forEach((entry, index) => bytes.writeBigUInt64BE(entry, index * 8));
			return bytes;
		};
		const copied = 1n << 63n;
		const before = table(0x50000n | copied, 0x60000n, 0n);
		const after = table(0x70000n, 0x80000n | copied, 0x90000n);
		assert.equal(standingOf(table(0x50000n, 0x60000n | copied, 0n), before, after), 'old');
		assert.equal(standingOf(table(0x70000n | copied, 0x80000n, 0x90000n, 0n), before, after), 'new');
		assert.equal(standingOf(table(0x70000n, 0x60000n, 0n), before, after), 'torn');
		assert.equal(standingOf(table(0x50000n, 0x80000n, 0x90000n), before, after), 'other');
		assert.equal(standingOf(table(0x50000n, 0x60000n, 0xa0000n), before, after), 'other');
		for (let done = 1; done < 23; done++) {
			const mixed = Buffer.concat([after.subarray(0, done), before.subarray(done)]);
			assert.match(standingOf(mixed, before, after), /torn|old|new/, `cut at ${done}`);
		}
	});

	test('work that was done after the cut is left alone', async () => {
		using box = new Sandbox();
		const killer = new Killer(box.folder);
		const path = box.image();
		const source = machineOf(path);
		const a = await takeSnapshot(box.host, source, { label: 'a' });
		write(path, 2, 0, 65536);
		const before = contentOf(path);
		await assert.rejects(
			killer.during({ file: path, at: 2, after: true, program: 'qemu-img' }, () => rollBack(box.host, source, a.key)),
			{ code: 'ERR_UNSETTLED' },
		);
		// Somebody starts the machine all the same.
		qemuImg('check', '-q', '-r', 'all', path);
		write(path, 9, 1024 * 1024, 65536);
		const work = contentOf(path);
		const { done } = await settle(box.host, source);
		assert.match(done.join(), /left as it is/);
		assert.equal(contentOf(path), work);
		const { snapshots, source: record } = readTimeline(box.host, source);
		assert.equal(record.status, 'ready');
		const safety = snapshots.find(snapshot => snapshot.safety)!;
		assert.deepEqual([contentOf(path, safety.tag), safety.parent], [before, a.key]);
		assertClean(path);
	});

	test('waits for no machine: an image in use is not settled', async () => {
		using box = new Sandbox();
		const killer = new Killer(box.folder);
		const path = box.image();
		const source = machineOf(path);
		await assert.rejects(
			killer.during({ file: path, at: 4, after: true }, () => takeSnapshot(box.host, source, { label: 'a' })),
			{ code: 'ERR_UNSETTLED' },
		);
		const node = { driver: 'qcow2', 'node-name': 'd', file: { driver: 'file', filename: path } };
		const daemon = spawn(
			'qemu-storage-daemon',
			['--blockdev', JSON.stringify(node), '--chardev', 'stdio,id=m', '--monitor', 'chardev=m'],
			{ stdio: ['pipe', 'pipe', 'inherit'] },
		);
		await once(daemon.stdout, 'data');
		try {
			await assert.rejects(settle(box.host, source), { code: 'ERR_BUSY' });
			assert.equal(readTimeline(box.host, source).source.status, 'unsettled');
		} finally {
			const ended = once(daemon, 'exit');
			daemon.kill('SIGTERM');
			await ended;
		}
		await settle(box.host, source);
		assert.equal(readTimeline(box.host, source).source.status, 'ready');
	});

	for (const first of [true, false]) {
		test(`the place of the ${first ? 'first' : 'second'} snapshot table, written by half`, async () => {
			await tornTable(first);
		});
	}

	test('a disk that grew since is rolled back to its old size', async () => {
		using box = new Sandbox();
		const path = box.image('disk.qcow2', { create: ['cluster_size=512'], size: '1M' });
		const source = machineOf(path);
		const a = await takeSnapshot(box.host, source, { label: 'a' });
		const before = contentOf(path);
		qemuImg('snapshot', '-c', 'b', path);
		qemuImg('resize', '-q', path, '3M');
		write(path, 3, 2 * 1024 * 1024, 65536);
		const large = contentOf(path);
		const { safetySnapshot } = await rollBack(box.host, source, a.key);
		assert.equal(contentOf(path), before);
		await rollBack(box.host, source, safetySnapshot!.key);
		assert.equal(contentOf(path), large);
		assertClean(path);
	});
});

/** The count of snapshots is new, the place of the table old: as a write leaves it that was cut off in the middle. */
async function tornTable(first: boolean): Promise<void> {
	using box = new Sandbox();
	const killer = new Killer(box.folder);
	const path = box.image();
	const source = machineOf(path);
	if (!first) await takeSnapshot(box.host, source, { label: 'zero' });
	const before = contentOf(path);
	const names = listed(path);
	// Cut off early, so that the journal is open; then torn by hand.
	await assert.rejects(
		killer.during({ file: path, at: 4, after: true }, () => takeSnapshot(box.host, source, { label: 'a' })),
		{ code: 'ERR_UNSETTLED' },
	);
	const fd = openSync(path, 'r+');
	const count = Buffer.alloc(4);
	readSync(fd, count, 0, 4, 60);
	count.writeUInt32BE(count.readUInt32BE() + 1);
	writeSync(fd, count, 0, 4, 60);
	closeSync(fd);
	assert.equal(readTimeline(box.host, source).source.status, 'unsettled');
	assert.match((await settle(box.host, source)).done.join(), /written by half/);
	assert.deepEqual([listed(path), contentOf(path)], [names, before]);
	assertClean(path);
}
