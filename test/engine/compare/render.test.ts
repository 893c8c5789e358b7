import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { strToU8, zipSync } from 'fflate';
import initSqlJs from 'sql.js';
import { contentKind, longestLine } from '../../../src/engine/compare/file-kind.js';
import { render } from '../../../src/engine/compare/render.js';
import { MemorySource } from '../../../src/engine/io/memory.js';

const dir = mkdtempSync(join(tmpdir(), 'strata-render-'));
after(() => rmSync(dir, { recursive: true }));
const source = (bytes: Uint8Array | string) => new MemorySource(Buffer.from(bytes as Uint8Array));

suite('file kinds', () => {
	for (const [kind, bytes] of [
		['empty', ''],
		['text', 'hello\n'],
		['text', Buffer.from('\ufeffhello', 'utf16le')],
		['text', 'BMW is a car maker\n'],
		['binary', Buffer.from([1, 2, 0, 4])],
		['sqlite', 'SQLite format 3\0…'],
		['elf', '\x7fELF…'],
		['archive', Buffer.concat([Buffer.alloc(257), Buffer.from('ustar')])],
		['image', Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])],
	] as const) {
		test(`${JSON.stringify(String(bytes).slice(0, 12))} is ${kind}`, () =>
			assert.equal(contentKind(source(bytes)), kind));
	}

	test('the longest line is found across pieces', () => {
		assert.equal(longestLine(source('a\nabc\nab')), 3);
		assert.equal(longestLine(source(`${'x'.repeat(600_000)}\n${'y'.repeat(900_000)}\nz`)), 900_000);
	});
});

suite('renderings', () => {
	test('a SQLite database is its schema and rows, with hostile text on one line', async () => {
		const sql = await initSqlJs();
		const db = new sql.Database();
		db.run(
			`CREATE TABLE "a ""b" (id INTEGER PRIMARY KEY, t TEXT, x BLOB); INSERT INTO "a ""b" VALUES (1, 'one\n\u001b[31m', x'00ff'), (2, NULL, NULL)`,
		);
		const text = await render(source(db.export()), 'auto');
		db.close();
		assert.match(text, /^SQLite database\n/);
		assert.match(text, /CREATE TABLE "a ""b"/);
		assert.match(text, / {2}1 \| one\\n\\u001b\[31m \| x'00ff'\n {2}2 \| NULL \| NULL\n/);
	});

	test('what a hostile database computes is not computed, and what unfolds is cut', async () => {
		const sql = await initSqlJs();
		const db = new sql.Database();
		db.run(`CREATE TABLE g (x, y GENERATED ALWAYS AS (x + 1), "z '""z"); INSERT INTO g (x, "z '""z") VALUES (7, 8)`);
		db.run('CREATE VIRTUAL TABLE words USING fts3(t)');
		const long = `('${'x'.repeat(499)}'),`.repeat(2000);
		for (const name of ['y', 'z']) {
			db.run(`CREATE TABLE ${name} (t)`);
			for (let i = 0; i < 10; i++) db.run(`INSERT INTO ${name} VALUES ${long.slice(0, -1)}`);
		}
		const text = await render(source(db.export()), 'auto');
		db.close();
		assert.match(text, /\n {2}x \| z '"z\n {2}7 \| 8\n/);
		assert.match(text, /words\n {2}a virtual table/);
		assert.match(text, /too much text/);
		assert.ok(text.length < 17 * 1024 * 1024, String(text.length));
		const bomb = await render(source(gzipSync(Buffer.alloc(20_000_000, 'A'))), 'auto');
		assert.match(bomb, /^gzip file\nsize inside {2}20000000 bytes\n\nAAA/);
		assert.match(bomb.slice(-100), /too much text/);
	});

	test('a damaged database is rendered as bytes, with the reason', async () => {
		const text = await render(source('SQLite format 3\0 and then nonsense'), 'auto');
		assert.match(text, /^Not readable as sqlite: /);
		assert.match(text, /sha256 {2}[0-9a-f]{64}/);
	});

	test('an ELF shared object agrees with readelf', async () => {
		writeFileSync(join(dir, 'a.c'), '#include <math.h>\ndouble strata_probe(double x) { return cos(x); }\n');
		execFileSync('cc', [
			'-shared',
			'-fPIC',
			'-Wl,-soname,libprobe.so.1',
			'-Wl,--no-as-needed',
			'-o',
			join(dir, 'a.so'),
			join(dir, 'a.c'),
			'-lm',
		]);
		const text = await render(source(readFileSync(join(dir, 'a.so'))), 'auto');
		const oracle = execFileSync('readelf', ['-dW', '-n', '-SW', '--dyn-syms', join(dir, 'a.so')], { encoding: 'utf8' });
		for (const [, library] of oracle.matchAll(/\(NEEDED\).*\[(.*)\]/g))
			assert.ok(text.includes(`needs    ${library}`), library);
		assert.ok(text.includes(`build    ${/Build ID: (\S+)/.exec(oracle)![1]}`));
		assert.match(text, /name {5}libprobe\.so\.1/);
		assert.match(text, /exports\n(.*\n)* {2}strata_probe\n/);
		assert.match(text, /imports\n(.*\n)* {2}cos\n/);
		for (const [, name] of oracle.matchAll(/^ +\[ *\d+\] (\.\S+)/gm)) assert.ok(text.includes(`  ${name}`), name);
	});

	test('archives are listed', async () => {
		writeFileSync(join(dir, 'one.txt'), 'one');
		writeFileSync(join(dir, 'x'.repeat(120)), 'long');
		execFileSync('tar', ['-C', dir, '-cf', join(dir, 'a.tar'), 'one.txt', 'x'.repeat(120)]);
		const tar = readFileSync(join(dir, 'a.tar'));
		for (const bytes of [tar, gzipSync(tar)]) {
			const text = await render(source(bytes), 'auto');
			assert.match(text, /ar archive, 2 members/);
			assert.match(text, / 3 {2}one\.txt\n/);
			assert.ok(text.includes('x'.repeat(120)));
		}
		assert.match(
			await render(source(zipSync({ 'd/a.txt': strToU8('hello') })), 'auto'),
			/Zip archive, 1 members\n\n +5 {2}d\/a\.txt\n/,
		);
		execFileSync('ar', ['rc', join(dir, 'a.a'), join(dir, 'one.txt')]);
		assert.match(
			await render(source(readFileSync(join(dir, 'a.a'))), 'auto'),
			/ar archive, 1 members\n\n +3 {2}one\.txt/,
		);
	});

	test('cut and flipped archives and ELF files never throw', async () => {
		const elf = readFileSync(join(dir, 'a.so'));
		const zip = Buffer.from(zipSync({ a: strToU8('hello') }));
		for (const whole of [
			elf.subarray(0, 4096),
			zip,
			readFileSync(join(dir, 'a.tar')).subarray(0, 1536),
			readFileSync(join(dir, 'a.a')),
		]) {
			for (let cut = 1; cut < whole.length; cut += Math.ceil(whole.length / 60))
				await render(source(whole.subarray(0, cut)), 'auto');
			for (let at = 0; at < Math.min(whole.length, 512); at += 3) {
				const copy = Buffer.from(whole);
				copy[at]! ^= 0xff;
				await render(source(copy), 'auto');
			}
		}
	});
});
