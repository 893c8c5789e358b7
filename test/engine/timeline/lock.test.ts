import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { suite, test } from 'node:test';
import { build } from 'esbuild';
import { processesWith, thisProcess } from '../../../src/engine/machine/processes.js';
import { Lock } from '../../../src/engine/timeline/lock.js';
import { Sandbox } from './machine-fixture.js';

const PURPOSE = { action: 'testing', marker: 'strata-test-marker', journal: '/nowhere' };

suite('lock', () => {
	test('is held by one, and free again afterwards', () => {
		using box = new Sandbox();
		const path = box.path('.strata/disk.lock');
		{
			using lock = Lock.acquire(path, PURPOSE);
			assert.ok(lock.isHeld());
			assert.throws(() => Lock.acquire(path, PURPOSE), {
				code: 'ERR_BUSY',
				message: new RegExp(`process ${process.pid}.*testing`),
			});
		}
		assert.deepEqual(readdirSync(dirname(path)), []);
		Lock.acquire(path, PURPOSE).release();
	});

	test('of a dead owner is taken over; of another host or boot space is not', () => {
		using box = new Sandbox();
		const path = box.path('disk.lock');
		const dead = spawnSync('true').pid;
		const owner = { version: 1, token: 'deadtoken', ...thisProcess(), ...PURPOSE, since: 'then' };
		const stand = (change: object) => writeFileSync(path, JSON.stringify({ ...owner, ...change }));

		stand({ pid: dead });
		assert.equal(Lock.acquire(path, PURPOSE).replaced?.token, 'deadtoken');
		// The number of a process that lives, and started at another time.
		stand({ startTime: '1' });
		Lock.acquire(path, PURPOSE);
		stand({ bootId: 'before-the-reboot' });
		Lock.acquire(path, PURPOSE);
		// Two hosts may have one name; each boots for itself.
		const namesake = { bootId: 'of-its-own', machineId: 'another' };
		for (const elsewhere of [
			{ host: 'other' },
			{ pidSpace: 'pid:[1]' },
			...(thisProcess().machineId ? [namesake] : []),
		]) {
			stand(elsewhere);
			assert.throws(() => Lock.acquire(path, PURPOSE), { code: 'ERR_BUSY', message: /cannot be told/ });
		}
		writeFileSync(path, 'not json');
		assert.throws(() => Lock.acquire(path, PURPOSE), { code: 'ERR_BUSY', message: /not a lock/ });
	});

	test('that Strata did not make is refused, and reaches nothing outside its folder', () => {
		using box = new Sandbox();
		const path = box.path('disk.lock');
		const dead = { version: 1, token: 't', ...thisProcess(), ...PURPOSE, pid: spawnSync('true').pid, since: 'then' };
		// A marker that other programs have on their command lines, and a token that leads out of the folder.
		for (const hostile of [{ marker: 'qemu-storage-daemon' }, { marker: 'a' }, { token: '/../../elsewhere' }]) {
			writeFileSync(path, JSON.stringify({ ...dead, ...hostile }));
			assert.throws(() => Lock.acquire(path, PURPOSE), { code: 'ERR_BUSY', message: /not a lock/ });
		}
		unlinkSync(path);
		assert.equal(spawnSync('mkfifo', [path]).status, 0);
		assert.throws(() => Lock.acquire(path, PURPOSE), { code: 'ERR_REFUSED', message: /no regular file/ });
		unlinkSync(path);
		symlinkSync('/dev/zero', path);
		assert.throws(() => Lock.acquire(path, PURPOSE), { code: 'ERR_REFUSED', message: /is a link/ });
		assert.deepEqual(processesWith(''), []);
	});

	test('of a dead owner is not taken over while a program that it started runs', async () => {
		using box = new Sandbox();
		const path = box.path('disk.lock');
		const dead = spawnSync('true').pid;
		const orphan = spawn('sleep', ['60'], { argv0: 'strata-test-orphan' });
		try {
			await once(orphan, 'spawn');
			writeFileSync(
				path,
				JSON.stringify({
					version: 1,
					token: 't',
					...thisProcess(),
					...PURPOSE,
					marker: 'strata-test-orphan',
					pid: dead,
					since: 'then',
				}),
			);
			assert.throws(() => Lock.acquire(path, PURPOSE), { code: 'ERR_BUSY', message: new RegExp(`${orphan.pid}`) });
		} finally {
			const ended = once(orphan, 'exit');
			orphan.kill();
			await ended;
		}
		Lock.acquire(path, PURPOSE);
	});

	test('is won by one of many processes that find it dead', async () => {
		using box = new Sandbox();
		const path = box.path('disk.lock');
		const log = box.path('log');
		const script = box.path('racer.mjs');
		// Each takes the lock as often as it can for a while, and writes down when it had it.
		const source = `
			import { appendFileSync } from 'node:fs';
			import { Lock } from ${JSON.stringify(resolve('src/engine/timeline/lock.ts'))};
			const end = Date.now() + 300;
			let count = 0;
			while (Date.now() < end) {
				let lock;
				try {
					lock = Lock.acquire(${JSON.stringify(path)}, { action: 'racing', marker: '', journal: '' });
				} catch (error) {
					if (error.code !== 'ERR_BUSY') throw error;
					continue;
				}
				appendFileSync(${JSON.stringify(log)}, 'in ' + process.pid + '\\n');
				appendFileSync(${JSON.stringify(log)}, 'out ' + process.pid + '\\n');
				// Every third time it dies with the lock in its hands, as far as anybody can see.
				if (++count % 3 === 0) process.exit(0);
				lock.release();
			}`;
		await build({
			stdin: { contents: source, resolveDir: resolve('.'), loader: 'js' },
			bundle: true,
			platform: 'node',
			target: 'node20',
			format: 'esm',
			outfile: script,
			logLevel: 'error',
			banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
		});
		for (let round = 0; round < 3; round++) {
			const racers = Array.from({ length: 4 }, () => spawn(process.execPath, [script], { stdio: 'inherit' }));
			const codes = await Promise.all(racers.map(racer => once(racer, 'exit')));
			assert.deepEqual(
				codes.map(([code]) => code as number),
				[0, 0, 0, 0],
			);
		}
		const lines = readFileSync(log, 'utf8').trim().split('\n');
		assert.ok(lines.length >= 8, `${lines.length} lines`);
		for (let at = 0; at < lines.length; at += 2) {
			assert.equal(
				lines[at + 1],
				lines[at]!.replace('in', 'out'),
				`two held the lock at once: ${lines.slice(at, at + 3).join('; ')}`,
			);
		}
		assert.deepEqual(
			readdirSync(box.folder).filter(name => name.includes('.lock.')),
			[],
			'nothing is left of the takeovers',
		);
	});
});
