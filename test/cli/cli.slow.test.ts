import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
	copyFileSync,
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
import { editMachine, makeMachine } from '../builders/machine.js';

const dir = mkdtempSync(join(tmpdir(), 'strata-cli-'));
const image = join(dir, 'dev vm,1.qcow2');
let dist: Dist;

before(async () => {
	mkdirSync('.build', { recursive: true });
	dist = await buildDist();
	writeFileSync(join(dir, 'new'), 'fresh\n');
	makeMachine(image, {
		files: {
			'etc/hosts': '127.0.0.1 localhost\n',
			'etc/motd': 'old\n',
			'usr/bin/tool': Buffer.from([1, 2, 0, 3]),
			'var/log/syslog': 'noise\n',
			'bad\nname\u001b[31m': 'x',
		},
	});
});
after(() => {
	dist[Symbol.dispose]();
	rmSync(dir, { recursive: true });
});

interface Result {
	readonly code: number | null;
	readonly out: string;
	readonly err: string;
}

function strata(...args: string[]): Result {
	const env = { ...process.env, STRATA_HOME: join(dir, 'home'), NO_COLOR: '' };
	const { status, stdout, stderr } = spawnSync(process.execPath, [dist.cli, ...args], {
		cwd: dir,
		env,
		encoding: 'utf8',
	});
	return { code: status, out: stdout, err: stderr };
}

function ok(...args: string[]): string {
	const result = strata(...args);
	assert.equal(result.code, 0, `strata ${args.join(' ')}\n${result.out}\n${result.err}`);
	return result.out;
}

function records<T>(text: string): T[] {
	return text
		.split('\n')
		.filter(line => line !== '')
		.map(line => JSON.parse(line) as T);
}

suite('strata', () => {
	test('every command has help', () => {
		const commands = [...ok('--help').matchAll(/^ {2}([a-z]+) /gm)].map(match => match[1]!);
		assert.ok(commands.length >= 18, commands.join(' '));
		for (const command of commands.filter(name => name !== 'help'))
			assert.match(ok(command, '--help'), new RegExp(`Usage: strata ${command}`));
	});

	test('wrong usage exits with 2 and one line', () => {
		for (const args of [
			['nonsense'],
			['ls'],
			['snapshot', image],
			['ls', image, '--nonsense'],
			['cat', image, '/a\\b'],
			['completion', 'tcsh'],
		]) {
			const { code, err } = strata(...args);
			assert.equal(code, 2, args.join(' '));
			assert.match(err, /^strata: ERR_USAGE: .+\n$/);
		}
	});

	test('failures exit with 3, as a line or as a record', () => {
		assert.deepEqual(strata('ls', image, '/p1/nothing').code, 3);
		assert.match(strata('ls', image, '/p1/nothing').err, /^strata: ERR_NOT_FOUND: .*\/p1\/nothing/);
		const { code, err } = strata('--json', 'ls', 'no-such-machine');
		assert.equal(code, 3);
		assert.equal((JSON.parse(err) as { error: { code: string } }).error.code, 'ERR_NOT_FOUND');
	});

	test('lists and reads files of an image that is only a path', () => {
		assert.equal(ok('cat', image, '/p1/etc/hosts'), '127.0.0.1 localhost\n');
		const list = records<{ path: string; type: string; size: number; mode: string; mtime: string }>(
			ok('ls', '-R', '--json', image, '/p1'),
		);
		const hosts = list.find(each => each.path === '/p1/etc/hosts')!;
		assert.deepEqual([hosts.type, hosts.size, hosts.mode], ['file', 20, '0644']);
		assert.match(hosts.mtime, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
		assert.ok(list.some(each => each.path === '/p1/bad\\x0aname\\x1b[31m'));
		assert.equal(ok('cat', image, '/p1/bad\\x0aname\\x1b[31m'), 'x');
		for (const args of [
			['ls', '-R'],
			['ls', '-l', '-R'],
		])
			assert.doesNotMatch(ok(...args, image), /\u001b/);
	});

	test('info tells format, volumes and snapshots', () => {
		const info = JSON.parse(ok('info', '--json', image)) as {
			format: string;
			size: number;
			volumes: { path: string; type: string; label: string; readable: boolean }[];
		};
		assert.equal(info.format, 'qcow2');
		assert.equal(info.size, 32 * 1024 * 1024);
		assert.deepEqual(
			info.volumes.map(({ path, type, label, readable }) => [path, type, label, readable]),
			[['/p1', 'ext4', 'root', true]],
		);
		assert.match(ok('info', image), /\/p1 +ext4/);
	});

	test('snapshot, change, diff, rollback, undo, rename, note, delete', async () => {
		ok('add', image, '--name', 'dev');
		const taken = JSON.parse(ok('--json', 'snapshot', 'dev', '-m', 'clean base')) as {
			id: string;
			key: string;
			name: string;
		};
		assert.equal(taken.name, 'clean base');
		await editMachine(image, [
			'rm /etc/motd',
			`write ${join(dir, 'new')} /etc/new`,
			'set_inode_field /etc/hosts mode 0100600',
		]);
		assert.match(
			ok('diff', 'dev@clean base', 'dev', '--name-status'),
			/^m\t\/p1\/etc\/hosts\tmode 0644 → 0600\nD\t\/p1\/etc\/motd\nA\t\/p1\/etc\/new\n$/,
		);
		assert.equal(strata('diff', '--exit-code', 'dev@clean base', 'dev').code, 1);
		assert.equal(strata('diff', '--exit-code', 'dev@clean base', `dev@${taken.key}`).code, 0);
		assert.match(ok('diff', '-p', 'dev@1', 'dev'), /\+\+\+ b\/p1\/etc\/new\n@@ -0,0 \+1 @@\n\+fresh\n/);
		assert.match(ok('diff', '--json', 'dev@1', 'dev'), /"status":"D","path":"\/p1\/etc\/motd"/);

		assert.match(ok('rollback', 'dev@clean base'), /rolled back to clean base/);
		assert.equal(ok('cat', 'dev', '/p1/etc/motd'), 'old\n');
		assert.match(ok('undo', 'dev'), /undone/);
		assert.equal(ok('cat', 'dev', '/p1/etc/new'), 'fresh\n');

		ok('rename', 'dev@clean base', 'pristine');
		ok('note', 'dev@pristine', 'as installed');
		const list = records<{
			name: string;
			tag: string;
			note: string;
			parent: string | null;
			kind: string;
			consistency: string;
			exclusiveBytes: number;
		}>(ok('snapshots', '--json', 'dev'));
		const renamed = list.find(each => each.name === 'pristine')!;
		assert.deepEqual(
			[renamed.tag, renamed.note, renamed.kind, renamed.consistency],
			['clean base', 'as installed', 'disk', 'offline'],
		);
		assert.ok(list.every(each => each.exclusiveBytes > 0));
		const versions = records<{ state: string; names: string[] }>(ok('history', '--json', 'dev', '/p1/etc/motd'));
		assert.ok(versions.some(each => each.state === 'absent') && versions.some(each => each.names.includes('pristine')));

		assert.match(ok('delete', '--yes', 'dev@pristine'), /deleted/);
		assert.equal(strata('ls', 'dev@pristine').code, 3);
		assert.equal(execFileSync('qemu-img', ['check', '-q', image]).length, 0);
	});

	test('noise rules hide and count', async () => {
		const copy = join(dir, 'noise.qcow2');
		copyFileSync(image, copy);
		ok('snapshot', copy, '-m', 'before');
		await editMachine(copy, ['rm /var/log/syslog', 'rm /usr/bin/tool']);
		const { out, err } = strata('diff', `${copy}@before`, copy, '--noise');
		assert.equal(out, 'D\t/p1/usr/bin/tool\n');
		assert.match(err, /1 hidden by noise rules/);
	});

	test('restores files out of a snapshot', () => {
		const to = join(dir, 'out');
		mkdirSync(to);
		ok('restore', image, '/p1/etc', '--to', to);
		assert.ok(readdirSync(to, { recursive: true, encoding: 'utf8' }).some(name => name.endsWith('hosts')));
	});

	test('damage in the middle: exit code 4, and the rest', () => {
		const raw = join(dir, 'damaged.raw');
		execFileSync('qemu-img', ['convert', '-O', 'raw', image, raw]);
		const block = Number(
			/(\d+)/.exec(
				execFileSync('debugfs', ['-R', 'blocks /etc', `${raw}?offset=${1024 * 1024}`], { encoding: 'utf8' }),
			)![1],
		);
		const bytes = readFileSync(raw);
		const size = 2 ** (10 + bytes.readUInt32LE(1024 * 1024 + 1024 + 24));
		bytes.fill(0xff, 1024 * 1024 + block * size, 1024 * 1024 + (block + 1) * size);
		writeFileSync(raw, bytes);
		const { code, out } = strata('ls', '-R', raw);
		assert.equal(code, 4);
		assert.match(out, /\/p1\/usr\/bin\/tool\n/);
	});

	test('a reader that leaves early is no error', () => {
		const script = `"${process.execPath}" "${dist.cli}" ls -R "${image}" | head -n 1; echo "\${PIPESTATUS[0]}"`;
		const { stdout, stderr } = spawnSync('bash', ['-c', script], {
			encoding: 'utf8',
			env: { ...process.env, STRATA_HOME: join(dir, 'home') },
		});
		assert.match(stdout, /\n(0|141)\n$/);
		assert.equal(stderr, '');
	});

	test('no text of a note or a label drives the terminal, with --json either', () => {
		const { key } = JSON.parse(ok('snapshot', 'dev', '-m', 'noted', '--json')) as { key: string };
		const note = 'a\u001b]0;x\u0007\u009b31m\u202eb';
		ok('note', `dev@${key}`, note);
		for (const args of [
			['snapshots', 'dev'],
			['snapshots', 'dev', '--json'],
		]) {
			const { out, err } = strata(...args);
			assert.doesNotMatch(out + err, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
		}
		const lines = ok('snapshots', 'dev', '--json').trim().split('\n');
		assert.equal(
			lines.map(line => JSON.parse(line) as { key: string; note: string }).find(each => each.key === key)?.note,
			note,
		);
	});

	test('bash completes commands, sources, snapshots and paths', () => {
		ok('snapshot', 'dev', '-m', 'complete-me');
		const bin = join(dir, 'bin');
		mkdirSync(bin, { recursive: true });
		writeFileSync(join(bin, 'strata'), `#!/bin/sh\nexec "${process.execPath}" "${dist.cli}" "$@"\n`, { mode: 0o755 });
		const complete = (line: string) => {
			const script = `eval "$(strata completion bash)"
				COMP_LINE='${line}'; COMP_POINT=\${#COMP_LINE}
				# Words as readline cuts them: "@" and ":" end a word.
				COMP_WORDS=(); rest="$COMP_LINE"; while [[ $rest =~ ^([[:space:]]*)([^[:space:]@:]+|[@:])(.*)$ ]]; do COMP_WORDS+=("\${BASH_REMATCH[2]}"); rest="\${BASH_REMATCH[3]}"; done
				[[ "$COMP_LINE" == *[[:space:]@] ]] && COMP_WORDS+=("")
				COMP_CWORD=$(( \${#COMP_WORDS[@]} - 1 )); compopt() { :; }
				_strata; printf '%s\\n' "\${COMPREPLY[@]}"`;
			const env = { ...process.env, STRATA_HOME: join(dir, 'home'), PATH: `${bin}:${process.env['PATH']}` };
			const { stdout, stderr } = spawnSync('bash', ['-c', script], { encoding: 'utf8', env, cwd: dir });
			assert.equal(stderr, '', line);
			return stdout.split('\n').filter(Boolean);
		};
		assert.deepEqual(complete('strata snapsh'), ['snapshots', 'snapshot']);
		assert.deepEqual(complete('strata ls de'), ['dev']);
		// readline replaces an "@" in front of the word together with it.
		assert.deepEqual(complete('strata ls dev@compl'), ['@complete-me']);
		assert.deepEqual(complete('strata ls dev /p1/et'), ['/p1/etc/']);
		assert.ok(complete('strata diff --ex').includes('--exit-code'));
		for (const shell of ['zsh', 'fish']) assert.match(ok('completion', shell), /strata __complete/);
	});

	test('nothing is written outside home and .strata', () => {
		assert.ok(existsSync(join(dir, '.strata')));
		assert.equal(statSync(join(dir, 'home')).mode & 0o077, 0);
	});
});
