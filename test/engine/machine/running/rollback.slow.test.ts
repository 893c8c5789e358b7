import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { guestTime } from '../../../../src/engine/machine/running/agent-commands.js';
import { RunningMachine } from '../../../../src/engine/machine/running/machine-connection.js';
import { rollBackRunning } from '../../../../src/engine/machine/running/rollback.js';
import { deleteRunning, participants, takeRunning } from '../../../../src/engine/machine/running/snapshot.js';
import { Guest } from '../../../builders/guest.js';
import { fsckSnapshot } from './fsck.js';

async function connect(guest: Guest): Promise<RunningMachine> {
	return RunningMachine.connect({ qmp: guest.qmpPath, agent: guest.agentPath });
}

async function namesOf(machine: RunningMachine): Promise<string[][]> {
	return (await participants(machine)).disks.map(disk => disk.snapshots.map(({ name }) => name));
}

const secondDisk = (folder: string) => {
	const path = join(folder, 'second.qcow2');
	execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', path, '8M']);
	return [
		...['-blockdev', `driver=qcow2,node-name=disk1,file.driver=file,file.filename=${path}`],
		...['-device', 'virtio-blk-pci,drive=disk1,id=vd1'],
	];
};

const rawDisk = (folder: string) => {
	const path = join(folder, 'plain.raw');
	execFileSync('qemu-img', ['create', '-q', '-f', 'raw', path, '1M']);
	return [
		...['-blockdev', `driver=raw,node-name=plain,file.driver=file,file.filename=${path}`],
		...['-device', 'virtio-blk-pci,drive=plain,id=vd1'],
	];
};

suite('rolling back a running machine', () => {
	test('memory, disks and processes are those of then; what was there is kept; the clock is right', async () => {
		await using guest = await Guest.start({ extra: secondDisk });
		using machine = await connect(guest);
		await guest.sh(
			'echo then > /run/memory; echo then > /home/dev/disk; sync; sleep 1000 >/dev/null 2>&1 & echo $! > /run/pid',
		);
		const taken = await takeRunning(machine, { name: 'then', memory: true });
		assert.deepEqual([taken.kind, taken.disks.length], ['memory', 2]);
		await guest.sh('echo now > /run/memory; echo now > /home/dev/disk; kill $(cat /run/pid)');
		let isSafe = false;
		const result = await rollBackRunning(machine, {
			to: 'then',
			safetyName: 'before',
			onSafe: () => (isSafe = true),
		});
		console.log(
			`paused for ${taken.pausedMs.toFixed(0)} ms to take memory, ${result.pausedMs.toFixed(0)} ms before the rollback`,
		);
		assert.deepEqual([result.warnings, result.clockSet, isSafe], [[], true, true]);
		assert.equal(
			await guest.sh('cat /run/memory /home/dev/disk; kill -0 $(cat /run/pid) && echo alive'),
			'then\nthen\nalive\n',
		);
		{
			using agent = await machine.agent();
			assert.ok(Math.abs((await guestTime(agent)) - Date.now()) < 30_000);
		}
		assert.deepEqual(await namesOf(machine), [
			['then', 'before'],
			['then', 'before'],
		]);

		// And back again, which is how it is undone.
		await rollBackRunning(machine, { to: 'before', safetyName: 'again' });
		assert.equal(
			await guest.sh('cat /run/memory /home/dev/disk; kill -0 $(cat /run/pid) 2>/dev/null || echo gone'),
			'now\nnow\ngone\n',
		);

		// Refusals: each before anything was touched.
		const to = async (name: string) => rollBackRunning(machine, { to: name, safetyName: 'unused' });
		await assert.rejects(to('nowhere'), { code: 'ERR_NOT_FOUND' });
		await assert.rejects(rollBackRunning(machine, { to: 'then', safetyName: 'again' }), { code: 'ERR_EXISTS' });
		await takeRunning(machine, { name: 'disk only' });
		await assert.rejects(to('disk only'), { code: 'ERR_REFUSED', message: /has no memory/ });
		const { disks } = await participants(machine);
		const second = disks[1]!.snapshots.find(({ name }) => name === 'then')!;
		await machine.monitor.execute('blockdev-snapshot-delete-internal-sync', {
			device: 'disk1',
			id: second.id,
			name: 'then',
		});
		await assert.rejects(to('then'), { code: 'ERR_REFUSED', message: /does not exist on vd1/ });
		await machine.monitor.execute('block-dirty-bitmap-add', { node: 'disk0', name: 'backup' });
		await assert.rejects(to('before'), { code: 'ERR_REFUSED', message: /dirty bitmaps \(backup\)/ });
		assert.deepEqual(
			[(await machine.facts()).status, (await namesOf(machine))[0]],
			['running', ['then', 'before', 'again', 'disk only']],
		);
		await deleteRunning(machine, 'then');
		await guest.sh('echo still here');
		await guest.stop();
		execFileSync('qemu-img', ['check', '-q', guest.disk]);
		fsckSnapshot(guest.disk, 'before', { replay: true });
	});

	test('a disk that would stay as it is forbids it', async () => {
		await using guest = await Guest.start({ extra: rawDisk });
		using machine = await connect(guest);
		await takeRunning(machine, { name: 'then', memory: true });
		await assert.rejects(rollBackRunning(machine, { to: 'then', safetyName: 'before' }), {
			code: 'ERR_REFUSED',
			message: /vd1 \(.*plain\.raw\): raw images hold no snapshots/,
		});
		assert.deepEqual([(await machine.facts()).runs, await namesOf(machine)], [true, [['then']]]);
	});

	test('memory of another machine is refused, and a load that fails all the same is taken back', async () => {
		const folder = mkdtempSync(join(tmpdir(), 'strata-rollback-'));
		try {
			const disk = join(folder, 'disk.qcow2');
			{
				await using guest = await Guest.start();
				using machine = await connect(guest);
				await takeRunning(machine, { name: 'then', memory: true });
				await guest.stop();
				copyFileSync(guest.disk, disk);
			}
			{
				await using guest = await Guest.start({ disk, memoryMb: 144 });
				using machine = await connect(guest);
				await assert.rejects(rollBackRunning(machine, { to: 'then', safetyName: 'before' }), {
					code: 'ERR_REFUSED',
					message: /pc\.ram has 128 MiB in it, and 144 MiB in this machine/,
				});
				assert.deepEqual([(await machine.facts()).runs, await namesOf(machine)], [true, [['then']]]);
				await guest.stop();
			}
			// Nothing that is predicted tells the two apart, and QEMU finds it only after it has reverted the disk.
			await using guest = await Guest.start({ disk, device: ',config-wce=off' });
			using machine = await connect(guest);
			await guest.sh('echo mine > /home/dev/mine; echo mine > /run/mine; sync');
			await assert.rejects(rollBackRunning(machine, { to: 'then', safetyName: 'before' }), {
				code: 'ERR_TOOL',
				message: /could not be loaded .*put back to what it was, and goes on/,
			});
			assert.deepEqual([(await machine.facts()).status, await namesOf(machine)], ['running', [['then', 'before']]]);
			assert.equal(await guest.sh('cat /home/dev/mine /run/mine'), 'mine\nmine\n');
			await guest.stop();
			execFileSync('qemu-img', ['check', '-q', disk]);
			fsckSnapshot(disk, 'before', { replay: true });
		} finally {
			rmSync(folder, { recursive: true, force: true });
		}
	});
});
