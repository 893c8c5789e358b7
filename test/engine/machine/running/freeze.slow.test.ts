import assert from 'node:assert/strict';
import * as esbuild from 'esbuild';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { freeze, isFrozen, thaw } from '../../../../src/engine/machine/running/agent-commands.js';
import { AgentClient } from '../../../../src/engine/machine/running/agent.js';
import { Freezer } from '../../../../src/engine/machine/running/freezer.js';
import { RunningMachine } from '../../../../src/engine/machine/running/machine-connection.js';
import { takeRunning } from '../../../../src/engine/machine/running/snapshot.js';
import { buildDist, type Dist } from '../../../builders/dist.js';
import { Guest } from '../../../builders/guest.js';
import { fsckSnapshot } from './fsck.js';

let dist: Dist;
/** A program that freezes the guest and then does nothing more: arguments helper, agent's socket, limit. */
let asker: string;
let folder: string;

async function untilThawed(guest: Guest): Promise<void> {
	const end = Date.now() + 30_000;
	while (await statusIsFrozen(guest)) {
		assert.ok(Date.now() < end, 'the guest is still frozen');
		await sleep(100);
	}
}

async function statusIsFrozen(guest: Guest): Promise<boolean> {
	// Behind the guard in the queue, when it holds the socket.
	using agent = await AgentClient.open(guest.agentPath, { timeoutMs: 25_000 });
	return await isFrozen(agent); // Before the session ends.
}

/** Starts the asker and waits until the guest is frozen. */
async function frozenBy(guest: Guest, limitMs: number) {
	const child = spawn(process.execPath, [asker, dist.engine, guest.agentPath, String(limitMs)], {
		stdio: ['ignore', 'pipe', 'inherit'],
	});
	await new Promise<void>(done => child.stdout.once('data', () => done()));
	return child;
}

suite('a guest that is frozen for a snapshot', () => {
	before(async () => {
		dist = await buildDist();
		folder = mkdtempSync(resolve('.build/asker-'));
		asker = join(folder, 'asker.mjs');
		await esbuild.build({
			stdin: {
				contents: `import { Freezer } from './src/engine/machine/running/freezer.js';
					const [, , helper, agent, limitMs] = process.argv;
					const freezer = await Freezer.start({ helper, agent, limitMs: Number(limitMs) });
					await freezer.freeze();
					console.log('frozen');
					setInterval(() => undefined, 1000);`,
				resolveDir: resolve('.'),
			},
			outfile: asker,
			bundle: true,
			platform: 'node',
			target: 'node20',
			format: 'esm',
			logLevel: 'warning',
		});
	});
	after(() => {
		dist[Symbol.dispose]();
		rmSync(folder, { recursive: true, force: true });
	});

	test('has nothing left to replay, and is frozen for a moment', async () => {
		await using guest = await Guest.start();
		await guest.sh('for i in 1 2 3 4 5 6 7 8 9; do echo $i > /home/dev/f$i; done');
		using machine = await RunningMachine.connect({ qmp: guest.qmpPath, agent: guest.agentPath });
		const taken = await takeRunning(machine, {
			name: 'validated',
			validated: { agent: guest.agentPath, helper: dist.engine },
		});
		assert.deepEqual([taken.consistency, taken.kind, taken.warnings], ['validated', 'disk', []]);
		console.log(`frozen for ${taken.frozenMs.toFixed(1)} ms, of which the snapshot ${taken.pausedMs.toFixed(1)} ms`);
		assert.equal(await guest.sh('echo on > /home/dev/on && cat /home/dev/on'), 'on\n');
		await assert.rejects(
			takeRunning(machine, { name: 'x', memory: true, validated: { agent: guest.agentPath, helper: dist.engine } }),
			{ code: 'ERR_USAGE' },
		);
		await guest.stop();
		fsckSnapshot(guest.disk, 'validated', { replay: false });
	});

	test('is thawed when a snapshot fails, and is not touched when somebody else froze it', async () => {
		await using guest = await Guest.start();
		{
			await using freezer = await Freezer.start({ agent: guest.agentPath, helper: dist.engine });
			await freezer.freeze();
		}
		await untilThawed(guest);
		{
			using agent = await AgentClient.open(guest.agentPath);
			await freeze(agent, 10_000);
		}
		await assert.rejects(Freezer.start({ agent: guest.agentPath, helper: dist.engine }), { code: 'ERR_BUSY' });
		assert.equal(await statusIsFrozen(guest), true);
		await assert.rejects(guest.sh('true'), /frozen state/);
		using agent = await AgentClient.open(guest.agentPath);
		assert.equal(await thaw(agent), 1);
	});

	test('is thawed when Strata is killed', async () => {
		await using guest = await Guest.start();
		const child = await frozenBy(guest, 10_000);
		child.kill('SIGKILL');
		await untilThawed(guest);
		await guest.sh('echo on > /home/dev/on');
	});

	test('is thawed in time when Strata hangs, and the snapshot is not called validated', async () => {
		await using guest = await Guest.start();
		const child = await frozenBy(guest, 700);
		child.kill('SIGSTOP');
		try {
			await untilThawed(guest);
			await guest.sh('echo on > /home/dev/on');
		} finally {
			child.kill('SIGKILL');
		}
		await using freezer = await Freezer.start({ agent: guest.agentPath, helper: dist.engine, limitMs: 300 });
		await freezer.freeze();
		await sleep(600);
		assert.equal((await freezer.thaw()).held, false);
	});

	test('is thawed from here when the guard is killed', async () => {
		await using guest = await Guest.start();
		await using freezer = await Freezer.start({ agent: guest.agentPath, helper: dist.engine });
		await freezer.freeze();
		process.kill(freezer.pid, 'SIGKILL');
		await assert.rejects(freezer.thaw(), { code: 'ERR_TOOL', message: /the process that freezes the guest ended/ });
		assert.equal(await statusIsFrozen(guest), false);
	});
});
