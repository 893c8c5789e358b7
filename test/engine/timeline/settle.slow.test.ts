import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
	closeSync,
	copyFileSync,
	openSync,
	readFileSync,
	readSync,
	renameSync,
	writeFileSync,
	writeSync,
} from 'node:fs';
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

	test('an image that was restored from a backup keeps its snapshots, whatever an old journal says', async () => {
		using box = new Sandbox();
		const killer = new Killer(box.folder);
		const path = box.image();
		const source = machineOf(path);
		const [early, late] = [box.path('early'), box.path('late')];
		// QEMU uses places again: after these steps the table of three snapshots lies where that of two once lay.
		const step = (text: string) => qemuImg('snapshot', text[0] === '+' ? '-c' : '-d', text.slice(1), path);
		['+n1', '+n2'].forEach(step);
		copyFileSync(path, early);
		['+n3', '+n4', '-n4', '+n5', '+n6', '-n5', '-n2'].forEach(step);
		copyFileSync(path, late);
		const placeIn = (file: string) => readFileSync(file).readBigUInt64BE(64);
		assert.equal(placeIn(early), placeIn(late));
		for (const [cut, restored] of [
			[early, late],
			[late, early],
		] as const) {
			copyFileSync(cut, path);
			await assert.rejects(
				killer.during({ file: path, at: 4, after: true }, () => takeSnapshot(box.host, source, { label: 'cut' })),
				{ code: 'ERR_UNSETTLED' },
			);
			copyFileSync(restored, path);
			write(path, 5, 0, 65536);
			const before = listed(path).map(({ name }) => [name, contentOf(path, name)]);
			const current = contentOf(path);
			await settle(box.host, source);
			assert.deepEqual(
				listed(path).map(({ name }) => [name, contentOf(path, name)]),
				before,
			);
			assert.equal(contentOf(path), current);
			assertClean(path);
		}
	});

	test('what another program writes between the safety snapshot and the rollback is not thrown away', async () => {
		using box = new Sandbox();
		const path = box.image();
		const source = machineOf(path);
		const a = await takeSnapshot(box.host, source, { label: 'a' });
		// Is in use the first time that it is asked to roll back, and by then somebody has written.
		const tool = box.path('qemu-img');
		const marker = box.path('asked');
		const interfere = `echo 'Failed to get "write" lock' >&2; : > '${marker}'; qemu-io -f qcow2 -c 'write -q -P 9 0 65536' '${path}'; exit 1`;
		writeFileSync(
			tool,
			`#!/bin/sh\n[ "$1 $3" = "snapshot -a" ] && [ ! -e '${marker}' ] && { ${interfere}; }\nexec /usr/bin/env PATH="${process.env['PATH']}" qemu-img "$@"\n`,
			{ mode: 0o755 },
		);
		const host = { ...box.host, tools: { qemuImg: tool, storageDaemon: whereIs('qemu-storage-daemon') } };
		await assert.rejects(rollBack(host, source, a.key), { code: 'ERR_CHANGED', message: /left as it is/ });
		const expected = box.image('expected.qcow2');
		write(expected, 9, 0, 65536);
		assert.equal(contentOf(path), contentOf(expected));
		assertClean(path);
		await rollBack(box.host, source, a.key);
	});

	test('an image of another make in its place is left as it is, and the journal is closed', async () => {
		using box = new Sandbox();
		const killer = new Killer(box.folder);
		const path = box.image();
		const source = machineOf(path);
		await assert.rejects(
			killer.during({ file: path, at: 4, after: true }, () => takeSnapshot(box.host, source, { label: 'cut' })),
			{ code: 'ERR_UNSETTLED' },
		);
		renameSync(box.image('other.qcow2', { create: ['cluster_size=4096'] }), path);
		qemuImg('snapshot', '-c', 'cut', path);
		const before = readFileSync(path);
		assert.match((await settle(box.host, source)).done.join(), /another image now/);
		assert.ok(readFileSync(path).equals(before));
		await takeSnapshot(box.host, source, { label: 'goes on' });
	});

	test('an action of another machine that shares the first disk is not settled with the wrong second one', async () => {
		using box = new Sandbox();
		const killer = new Killer(box.folder);
		const [a, b, c] = [box.image('a.qcow2'), box.image('b.qcow2'), box.image('c.qcow2', { pattern: 7 })];
		await assert.rejects(
			killer.during({ file: b, at: 4, after: true }, () => takeSnapshot(box.host, machineOf(a, b), { label: 'cut' })),
			{ code: 'ERR_UNSETTLED' },
		);
		const before = readFileSync(c);
		write(c, 8, 0, 65536 * 3);
		const written = readFileSync(c);
		assert.ok(!written.equals(before));
		await assert.rejects(settle(box.host, machineOf(a, c)), { code: 'ERR_UNSETTLED', message: /was on .*b\.qcow2/ });
		assert.ok(readFileSync(c).equals(written));
		await settle(box.host, machineOf(a, b));
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

function whereIs(program: string): string {
	return execFileSync('sh', ['-c', `command -v ${program}`], { encoding: 'utf8' }).trim();
}
