import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { probeAccelerator } from '../../../../src/engine/machine/running/kvm.js';
import { readGuestFile, writeGuestFile } from '../../../../src/engine/machine/running/agent-commands.js';
import { disksOfImages, RunningMachine } from '../../../../src/engine/machine/running/machine-connection.js';
import { deleteRunning, participants, takeRunning } from '../../../../src/engine/machine/running/snapshot.js';
import { Guest } from '../../../builders/guest.js';
import { fsckSnapshot } from './fsck.js';

/** Writes, syncs and deletes until the machine ends. */
const WRITER =
	'i=0; while :; do i=$((i+1)); dd if=/dev/urandom of=/home/dev/w$((i % 20)) bs=4k count=$((i % 40 + 1)) 2>/dev/null; [ $((i % 7)) = 0 ] && sync; [ $((i % 5)) = 0 ] && rm -f /home/dev/w$((i % 11)); done';

function extraDisks(folder: string): string[] {
	const [second, raw] = [join(folder, 'second.qcow2'), join(folder, 'plain.raw')];
	execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', second, '8M']);
	execFileSync('qemu-img', ['create', '-q', '-f', 'raw', raw, '1M']);
	return [
		...['-blockdev', `driver=qcow2,node-name=disk1,file.driver=file,file.filename=${second}`],
		...['-device', 'virtio-blk-pci,drive=disk1,id=vd1'],
		...['-blockdev', `driver=raw,node-name=plain,file.driver=file,file.filename=${raw}`],
		...['-device', 'virtio-blk-pci,drive=plain,id=vd2'],
	];
}

suite('a running machine', () => {
	test('its facts, its disks, its agent', async () => {
		await using guest = await Guest.start({ extra: extraDisks });
		using machine = await RunningMachine.connect({ qmp: guest.qmpPath, agent: guest.agentPath });
		const facts = await machine.facts();
		assert.deepEqual(
			[facts.status, facts.runs, facts.accelerator, facts.memoryBytes],
			['running', true, 'tcg', 128 * 1024 * 1024],
		);
		assert.match(facts.machineType, /^pc-q35-\d/);
		assert.match(facts.qemuVersion, /^\d+\.\d+\.\d+$/);
		const disks = await machine.disks();
		assert.deepEqual(
			disks.map(({ name, node, format, isWritable }) => [name, node, format, isWritable]),
			[
				['vd0', 'disk0', 'qcow2', true],
				['vd1', 'disk1', 'qcow2', true],
				['vd2', 'plain', 'raw', true],
			],
		);
		assert.equal(disksOfImages(disks, [guest.disk])[0]?.node, 'disk0');
		assert.throws(() => disksOfImages(disks, [join(guest.folder, 'serial.log')]), { code: 'ERR_CHANGED' });
		assert.equal(await machine.agentAnswers(), true);

		// A disk that cannot take part is named, and the others have the snapshot, under one name.
		const taken = await takeRunning(machine, { name: 'two disks' });
		assert.match(
			taken.warnings[0] ?? '',
			/Not part of the snapshot: vd2 \(.*plain\.raw\): raw images hold no snapshots/,
		);
		assert.deepEqual(
			taken.leftOut.map(disk => disk.node),
			['plain'],
		);
		const { disks: after } = await participants(machine);
		assert.deepEqual(
			after.map(disk => disk.snapshots.map(({ name }) => name)),
			[['two disks'], ['two disks']],
		);
		await assert.rejects(takeRunning(machine, { name: 'two disks' }), { code: 'ERR_EXISTS' });
		await assert.rejects(takeRunning(machine, { name: 'two disks', memory: true }), { code: 'ERR_EXISTS' });
		await deleteRunning(machine, 'two disks');
		await assert.rejects(deleteRunning(machine, 'two disks'), { code: 'ERR_NOT_FOUND' });
		assert.ok((await participants(machine)).disks.every(disk => disk.snapshots.length === 0));
	});

	test('snapshots are matched by name, whatever their ids, and those below an overlay are out of reach', async () => {
		await using guest = await Guest.start({ extra: extraDisks });
		using machine = await RunningMachine.connect({ qmp: guest.qmpPath });
		await machine.monitor.execute('blockdev-snapshot-internal-sync', { device: 'disk1', name: 'only here' });
		await takeRunning(machine, { name: 'both' });
		const ids = (await participants(machine)).disks.map(disk => disk.snapshots.find(({ name }) => name === 'both')?.id);
		assert.deepEqual(ids, ['1', '2']);
		await deleteRunning(machine, 'both');
		assert.deepEqual(
			(await participants(machine)).disks.map(disk => disk.snapshots.map(({ name }) => name)),
			[[], ['only here']],
		);
		await machine.monitor.execute('blockdev-snapshot-sync', {
			'node-name': 'disk0',
			'snapshot-file': join(guest.folder, 'overlay.qcow2'),
			'snapshot-node-name': 'overlay',
			format: 'qcow2',
		});
		const disks = await machine.disks();
		assert.throws(() => disksOfImages(disks, [guest.disk]), { code: 'ERR_REFUSED', message: /built on .*disk\.qcow2/ });
	});

	test('files of the guest are read and written through its agent', async () => {
		await using guest = await Guest.start();
		using machine = await RunningMachine.connect({ qmp: guest.qmpPath, agent: guest.agentPath });
		const bytes = Buffer.alloc(1_500_000, 'Strata\xff\0', 'latin1');
		{
			using agent = await machine.agent();
			await writeGuestFile(agent, '/home/dev/new.bin', bytes);
			assert.ok((await readGuestFile(agent, '/home/dev/new.bin', 2_000_000)).equals(bytes));
			await assert.rejects(machine.agent(), { code: 'ERR_BUSY' });
		}
		const missing = await guest.exec(['/bin/sh', '-c', 'echo out; echo err >&2; exit 3']);
		assert.deepEqual([missing.exitCode, missing.stdout.toString(), missing.stderr.toString()], [3, 'out\n', 'err\n']);
		await assert.rejects(guest.exec(['/bin/nothing-here']), { code: 'ERR_TOOL' });
	});

	test('QEMU that is killed in the middle gives a clear error', async () => {
		await using guest = await Guest.start();
		using machine = await RunningMachine.connect({ qmp: guest.qmpPath });
		const taking = takeRunning(machine, { name: 'cut off', memory: true });
		setTimeout(() => guest.kill(), 60);
		await assert.rejects(taking, { code: 'ERR_TOOL', message: /connection ended|ECONNRESET|EPIPE/ });
		await guest[Symbol.asyncDispose]();
		await assert.rejects(RunningMachine.connect({ qmp: guest.qmpPath }), { code: 'ERR_NOT_FOUND' });
	});

	test('twenty snapshots in a row while the guest writes are all sound', async () => {
		await using guest = await Guest.start();
		await guest.sh(`(${WRITER}) >/dev/null 2>&1 &`);
		const pauses: number[] = [];
		using machine = await RunningMachine.connect({ qmp: guest.qmpPath });
		for (let number = 1; number <= 20; number++) {
			pauses.push((await takeRunning(machine, { name: `n${number}` })).pausedMs);
		}
		console.log(`pause of a disk-only snapshot, ms: ${pauses.map(pause => pause.toFixed(1)).join(' ')}`);
		await guest.stop();
		execFileSync('qemu-img', ['check', '-q', guest.disk]);
		for (let number = 1; number <= 20; number++) fsckSnapshot(guest.disk, `n${number}`, { replay: true });
	});

	test('an accelerator is tried for real', async () => {
		const qemu = '/usr/bin/qemu-system-x86_64';
		assert.equal(await probeAccelerator(qemu, 'tcg'), true);
		assert.equal(await probeAccelerator('/bin/true', 'tcg'), false);
	});
});
