/**
 * The example machine, as it is committed: what its states hold, by programs that others wrote, and by Strata itself.
 * Made by scripts/make-example.mjs; told in scripts/example/story.mjs.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { fixedFacts } from '../src/engine/timeline/fingerprint.js';
import { parseJournal } from '../src/engine/timeline/journal.js';
import { snapshotKey } from '../src/engine/timeline/key.js';
import { openImage } from '../src/engine/image/open-image.js';
import { unpackExample } from './builders/example.js';
import { TempFolder, qemuCheck, qemuImg } from './oracles/qemu.js';

const MIB = 2 ** 20;
const STATES = ['clean-base', 'experiment', 'before-nginx', 'nginx-installed', undefined] as const;
type State = (typeof STATES)[number];

suite('the example machine', () => {
	let folder: TempFolder;
	let image: string;
	/** The root filesystem of each state, as e2fsprogs' programs name a place in a file. */
	const roots = new Map<State, string>();

	before(() => {
		folder = new TempFolder();
		image = unpackExample(folder.path);
		for (const state of STATES) {
			const disk = folder.join(`disk-${state ?? 'current'}`);
			const of = state === undefined ? [] : ['-l', `snapshot.name=${state}`];
			qemuImg('convert', '-O', 'raw', ...of, image, disk);
			roots.set(state, `${disk}?offset=${6 * MIB}`);
		}
	});
	after(() => folder[Symbol.dispose]());

	const debugfs = (state: State, command: string) =>
		execFileSync('debugfs', ['-R', command, roots.get(state)!], {
			encoding: 'utf8',
			stdio: ['ignore', 'pipe', 'pipe'],
		});
	const text = (state: State, path: string) => debugfs(state, `cat ${path}`);
	const exists = (state: State, path: string) => /Inode: \d/.test(debugfs(state, `stat ${path}`));

	test('it is small, sound, and its snapshots have the dates of the story', () => {
		assert.ok(statSync(join('media', 'example', 'example.qcow2.gz')).size < MIB);
		const check = qemuCheck(image);
		assert.deepEqual([check.errors, check.leaks], [0, 0]);
		const info = JSON.parse(qemuImg('info', '--output=json', image)) as {
			snapshots: { id: string; name: string; 'date-sec': number }[];
		};
		assert.deepEqual(
			info.snapshots.map(({ id, name, 'date-sec': seconds }) => [id, name, new Date(seconds * 1000).toISOString()]),
			[
				['1', 'clean-base', '2025-05-12T09:02:00.000Z'],
				['2', 'experiment', '2025-05-12T11:30:00.000Z'],
				['3', 'before-nginx', '2025-05-13T16:40:00.000Z'],
				['4', 'nginx-installed', '2025-05-13T16:52:00.000Z'],
			],
		);
	});

	test('three partitions', () => {
		const disk = folder.join('disk-current');
		const { partitiontable } = JSON.parse(execFileSync('sfdisk', ['--json', disk], { encoding: 'utf8' })) as {
			partitiontable: { label: string; partitions: { start: number; size: number; name: string }[] };
		};
		assert.equal(partitiontable.label, 'gpt');
		assert.deepEqual(
			partitiontable.partitions.map(({ start, size, name }) => [start * 512, size * 512, name]),
			[
				[1 * MIB, 5 * MIB, 'EFI System'],
				[6 * MIB, 48 * MIB, 'root'],
				[54 * MIB, 8 * MIB, 'swap'],
			],
		);
	});

	for (const state of STATES) {
		test(`e2fsck finds nothing in ${state ?? 'the current state'}`, () => {
			execFileSync('e2fsck', ['-f', '-n', roots.get(state)!], { stdio: 'ignore' });
		});
	}

	test('packages come, and are upgraded', () => {
		const versions = (state: State) => {
			const found: Record<string, string> = {};
			for (const paragraph of text(state, '/var/lib/dpkg/status').split('\n\n')) {
				const field = (name: string) => new RegExp(`^${name}: (\\S+)$`, 'm').exec(paragraph)?.[1] ?? '';
				found[field('Package')] = field('Version');
			}
			return found;
		};
		const base = versions('clean-base');
		assert.equal(Object.keys(base).length, 12);
		assert.deepEqual(versions('experiment'), { ...base, postgresql: '15+248+deb12u1' });
		assert.deepEqual(versions('before-nginx'), { ...base, jq: '1.6-2.1' });
		assert.deepEqual(versions('nginx-installed'), {
			...base,
			jq: '1.6-2.1',
			nginx: '1.22.1-9+deb12u2',
			'nginx-common': '1.22.1-9+deb12u2',
			libssl3: '3.0.17-1~deb12u2',
			curl: '7.88.1-10+deb12u14',
		});
		assert.deepEqual(versions(undefined), versions('nginx-installed'));
	});

	test('configuration, users and services change', () => {
		assert.match(text('clean-base', '/etc/ssh/sshd_config'), /^PasswordAuthentication yes$/m);
		assert.match(text('before-nginx', '/etc/ssh/sshd_config'), /^PasswordAuthentication no$/m);
		assert.doesNotMatch(text('clean-base', '/etc/hosts'), /backup/);
		assert.match(text('before-nginx', '/etc/hosts'), /^10\.0\.2\.7\tbackup$/m);
		assert.match(text('nginx-installed', '/etc/passwd'), /^deploy:x:1001:/m);
		assert.doesNotMatch(text('before-nginx', '/etc/passwd'), /^deploy/m);
		const unit = '/etc/systemd/system/multi-user.target.wants/nginx.service';
		assert.equal(exists('before-nginx', unit), false);
		assert.match(
			debugfs('nginx-installed', `stat ${unit}`),
			/Fast link dest: "\/lib\/systemd\/system\/nginx\.service"/,
		);
		assert.match(text('nginx-installed', '/etc/nginx/sites-available/shop'), /proxy_pass http:\/\/127\.0\.0\.1:8000;/);
		assert.doesNotMatch(text(undefined, '/etc/nginx/sites-available/shop'), /8000;/);
	});

	test('files are renamed, deleted, and change their mode', () => {
		const inode = (state: State, path: string) => /Inode: (\d+)/.exec(debugfs(state, `stat ${path}`))?.[1];
		assert.equal(inode('clean-base', '/home/dev/todo.txt'), inode('before-nginx', '/home/dev/notes/todo.txt'));
		assert.equal(exists('before-nginx', '/home/dev/todo.txt'), false);
		assert.equal(exists('before-nginx', '/home/dev/old-notes.txt'), false);
		assert.equal(exists(undefined, '/var/www/html/index.html'), false);
		assert.match(debugfs('nginx-installed', 'stat /srv/shop/shop.py'), /Mode: +0755/);
		assert.match(debugfs(undefined, 'stat /srv/shop/shop.py'), /Mode: +0644/);
	});

	test('a database, a picture, a program, a long text', () => {
		const bytes = (state: State, path: string) => {
			const out = folder.join('out');
			debugfs(state, `dump ${path} ${out}`);
			return readFileSync(out);
		};
		const database = bytes('nginx-installed', '/srv/shop/shop.db');
		assert.equal(database.toString('latin1', 0, 15), 'SQLite format 3');
		assert.notDeepEqual(database, bytes('before-nginx', '/srv/shop/shop.db'));
		assert.equal(bytes('clean-base', '/srv/shop/static/logo.png').toString('latin1', 1, 4), 'PNG');
		const program = folder.join('jq');
		writeFileSync(program, bytes('before-nginx', '/usr/bin/jq'), { mode: 0o755 });
		assert.equal(execFileSync(program, { encoding: 'utf8' }), 'jq 1.6-2.1\n');
		assert.ok(text('clean-base', '/srv/shop/data/temperatures.csv').split('\n').length > 8000);
	});

	test('the journal knows the branches and the notes', () => {
		using disk = openImage(image);
		const facts = fixedFacts(disk);
		const key = new Map(disk.snapshots.map(snapshot => [snapshot.rawName, snapshotKey(facts, snapshot)]));
		const {
			facts: known,
			position,
			damagedLines,
		} = parseJournal(readFileSync(join('media', 'example', 'example.journal'), 'utf8'));
		assert.equal(damagedLines, 0);
		const parentOf = (name: string) => known.get(key.get(name)!)?.parent;
		assert.equal(known.size, 4);
		assert.equal(parentOf('clean-base'), null);
		assert.equal(parentOf('experiment'), key.get('clean-base'));
		assert.equal(parentOf('before-nginx'), key.get('clean-base'));
		assert.equal(parentOf('nginx-installed'), key.get('before-nginx'));
		assert.equal(position?.key, key.get('nginx-installed'));
		assert.equal(known.get(key.get('before-nginx')!)?.note, 'Before apt install nginx.');
	});
});
