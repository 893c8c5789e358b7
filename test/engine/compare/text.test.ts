import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { DEFAULT_NOISE, noiseFilter } from '../../../src/engine/compare/noise.js';
import { modeLetters, propertiesText } from '../../../src/engine/compare/properties.js';
import { summarize } from '../../../src/engine/compare/summary.js';
import { unifiedDiff } from '../../../src/engine/compare/text-diff.js';
import type { ChangeRecord } from '../../../src/shared/records.js';
import { MemoryTree } from '../../builders/memory-tree.js';

suite('unified difference', () => {
	test('git apply makes b of a', () => {
		const dir = mkdtempSync(join(tmpdir(), 'strata-diff-'));
		try {
			const line = fc.constantFrom('a\n', 'b\n', 'c\n', 'long line\n');
			const file = fc.tuple(fc.array(line, { maxLength: 30 }), fc.constantFrom('', 'no end'));
			fc.assert(
				fc.property(file, file, ([linesA, endA], [linesB, endB]) => {
					const [a, b] = [linesA.join('') + endA, linesB.join('') + endB];
					const patch = unifiedDiff({ label: 'a/f', text: a }, { label: 'b/f', text: b });
					if (a === b) return assert.equal(patch, '');
					writeFileSync(join(dir, 'f'), a);
					execFileSync('patch', ['-s', '-p1', '-i', '-'], { cwd: dir, input: patch });
					assert.equal(readFileSync(join(dir, 'f'), 'utf8'), b);
				}),
				{ numRuns: 40, seed: 7 },
			);
		} finally {
			rmSync(dir, { recursive: true });
		}
	});

	test('one change in a file of 300,000 lines is found', () => {
		const lines = Array.from({ length: 300_000 }, (_, i) => `line ${i}\n`);
		const changed = [...lines];
		changed[150_000] = 'changed\n';
		const patch = unifiedDiff({ label: 'a', text: lines.join('') }, { label: 'b', text: changed.join('') });
		assert.match(patch, /@@ -149998,7 \+149998,7 @@/);
	});

	test('too many changes are said, not shown', () => {
		const text = (letter: string) => Array.from({ length: 60_000 }, (_, i) => `${letter}${i}\n`).join('');
		assert.match(
			unifiedDiff({ label: 'a', text: text('a') }, { label: 'b', text: text('b') }),
			/too many lines differ/,
		);
	});
});

suite('noise rules', () => {
	test('patterns are held against the path inside the volume', () => {
		const hides = noiseFilter(DEFAULT_NOISE, ['/p1', '/p10']);
		for (const path of [
			'/p1/var/log/syslog',
			'/p10/tmp/x/y',
			'/p1/usr/lib/a/__pycache__/b.pyc',
			'/p1/home/me/.cache/x',
		]) {
			assert.equal(hides(path), true, path);
		}
		for (const path of ['/p1/etc/hosts', '/p1', '/p1/home/me/var/log/x', '/p1/var/lib/log'])
			assert.equal(hides(path), false, path);
		assert.equal(noiseFilter([], ['/p1'])('/p1/var/log/x'), false);
	});
});

suite('properties', () => {
	test('are one fact a line', () => {
		const tree = new MemoryTree({
			'/p1/x': { content: 'abc', mode: 0o4755, uid: 5, gid: 6, xattrs: { 'user.a': 'v', 'user.b': '\x01' } },
		});
		const text = propertiesText(tree.stat('/p1/x'), tree.xattrs('/p1/x'), undefined);
		assert.match(text, /^path +\/p1\/x$/m);
		assert.match(text, /^mode +4755 rwsr-xr-x$/m);
		assert.match(text, /^owner +5:6$/m);
		assert.match(text, /^xattr user\.a +"v"$/m);
		assert.match(text, /^xattr user\.b +0x01$/m);
	});

	test('mode letters are those of ls', () => {
		assert.equal(modeLetters(0o1644), 'rw-r--r-T');
		assert.equal(modeLetters(0o6751), 'rwsr-s--x');
		assert.equal(modeLetters(0o7000), '--S--S--T');
	});
});

suite('summary', () => {
	const status = (packages: Record<string, string>) =>
		Object.entries(packages)
			.map(
				([name, version]) =>
					`Package: ${name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: ${version}\n`,
			)
			.join('\n');
	const change = (status: ChangeRecord['status'], path: string): ChangeRecord => ({
		status,
		path,
		fields: [],
		size: [1, 1],
		type: ['file', 'file'],
	});

	test('says packages, services and accounts, and who owns what', () => {
		const a = new MemoryTree({
			'/p1/var/lib/dpkg/status': status({ base: '1', curl: '7.1', old: '3' }),
			'/p1/etc/passwd': 'root:x:0:0::/root:/bin/sh\n',
		});
		const b = new MemoryTree({
			'/p1/var/lib/dpkg/status': status({ base: '1', curl: '7.2', nginx: '1.22.1' }),
			'/p1/var/lib/dpkg/info/nginx.list': '/.\n/etc/nginx/nginx.conf\n/bin/nginx\n',
			'/p1/etc/passwd': 'root:x:0:0::/root:/bin/sh\nwww:x:33:33::/:/\n',
			'/p1/usr/bin/nginx': 'x',
		});
		const changes = [
			change('M', '/p1/var/lib/dpkg/status'),
			change('A', '/p1/var/lib/dpkg/info/nginx.list'),
			change('M', '/p1/etc/passwd'),
			change('A', '/p1/etc/nginx/nginx.conf'),
			change('A', '/p1/usr/bin/nginx'),
			change('A', '/p1/etc/systemd/system/multi-user.target.wants/nginx.service'),
		];
		const summary = summarize(a, b, ['/p1'], changes);
		assert.deepEqual(summary.lines, [
			'1 package installed: nginx 1.22.1',
			'1 package removed: old 3',
			'1 package upgraded: curl 7.1 → 7.2',
			'1 service enabled: nginx.service',
			'1 account added: www',
		]);
		assert.deepEqual(summary.ownerOf, {
			'/p1/etc/nginx/nginx.conf': 'nginx',
			'/p1/usr/bin/nginx': 'nginx',
			'/p1/var/lib/dpkg/info/nginx.list': 'nginx',
		});
	});

	test('apk databases are read', () => {
		const db = (version: string) => `P:busybox\nV:${version}\nF:bin\nR:busybox\n\n`;
		const [a, b] = ['1', '2'].map(version => new MemoryTree({ '/p1/lib/apk/db/installed': db(version) }));
		const summary = summarize(
			a!,
			b!,
			['/p1'],
			[change('M', '/p1/lib/apk/db/installed'), change('M', '/p1/bin/busybox')],
		);
		assert.deepEqual(summary.lines, ['1 package upgraded: busybox 1 → 2']);
		assert.equal(summary.ownerOf['/p1/bin/busybox'], 'busybox');
	});
});
