import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
	chmodSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	readFileSync,
	readdirSync,
	rmSync,
	statSync,
	writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { buildDist, type Dist } from '../builders/dist.js';

const dir = mkdtempSync(join(tmpdir(), 'strata-start-'));
const home = join(dir, 'home');
const folder = join(home, 'code-cache');
let dist: Dist;

before(async () => {
	mkdirSync('.build', { recursive: true });
	dist = await buildDist();
	writeFileSync(join(dir, 'a.raw'), Buffer.alloc(1024 * 1024));
});
after(() => {
	dist[Symbol.dispose]();
	rmSync(dir, { recursive: true });
});

function ls(): { code: number | null; out: string; err: string } {
	const env = { ...process.env, STRATA_HOME: home };
	const { status, stdout, stderr } = spawnSync(process.execPath, [dist.cli, 'ls', join(dir, 'a.raw')], {
		env,
		encoding: 'utf8',
	});
	return { code: status, out: stdout, err: stderr };
}

/** The one file of the cache. */
function cacheFile(): string {
	const [name, ...others] = readdirSync(folder);
	assert.deepEqual(others, []);
	return join(folder, name!);
}

suite('code cache', () => {
	test('is made by the first run, for its owner alone, and used by the second', () => {
		const first = ls();
		assert.deepEqual([first.code, first.err], [0, '']);
		const { mode, mtimeMs } = statSync(cacheFile());
		assert.equal(mode & 0o777, 0o600);
		assert.deepEqual(ls(), first);
		assert.equal(statSync(cacheFile()).mtimeMs, mtimeMs);
	});

	for (const [what, damage] of [
		['cut', (bytes: Buffer) => bytes.subarray(0, bytes.length / 2)],
		['empty', () => Buffer.alloc(0)],
		['overwritten', (bytes: Buffer) => Buffer.alloc(bytes.length, 0x5a)],
	] as const) {
		test(`that is ${what} is made anew`, () => {
			const good = ls();
			const bytes = readFileSync(cacheFile());
			writeFileSync(cacheFile(), damage(bytes));
			assert.deepEqual(ls(), good);
			assert.ok(statSync(cacheFile()).size > bytes.length / 2);
		});
	}

	test('that others could have written is not run', () => {
		chmodSync(cacheFile(), 0o666);
		assert.equal(ls().code, 0);
		assert.equal(statSync(cacheFile()).mode & 0o777, 0o600);
	});

	test('is no condition: without a home that can be written all is the same', () => {
		rmSync(folder, { recursive: true });
		writeFileSync(folder, 'a file stands in the way');
		const { code, err } = ls();
		assert.deepEqual([code, err], [0, '']);
		assert.ok(existsSync(folder));
	});
});
