import assert from 'node:assert/strict';
import { copyFileSync, linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { suite, test } from 'node:test';
import { parseAddress, resolveState } from '../../../src/engine/timeline/address.js';
import { openDisk } from '../../../src/engine/timeline/machine.js';
import { readTimeline } from '../../../src/engine/timeline/snapshots.js';
import {
	addSource,
	listSources,
	relocateSource,
	removeSource,
	renameSource,
	setConnection,
	sourceById,
} from '../../../src/engine/timeline/sources.js';
import { sourceRecord } from '../../../src/engine/timeline/status.js';
import type { SnapshotRecord } from '../../../src/shared/records.js';
import { Sandbox, qemuImg, write } from './machine-fixture.js';

suite('sources', () => {
	test('add, list, rename, remove', () => {
		using box = new Sandbox();
		const [a, b] = [box.image('dev.qcow2'), box.image('dev.img.qcow2')];
		const dev = addSource(box.host, { disks: [{ path: a }] }, openDisk);
		assert.match(dev.id, /^[a-z2-7]{8}$/);
		assert.deepEqual([dev.name, dev.disks[0]?.format, dev.registered], ['dev', 'qcow2', true]);
		assert.throws(() => addSource(box.host, { disks: [{ path: a }] }, openDisk), {
			code: 'ERR_EXISTS',
			message: /as dev/,
		});
		linkSync(a, box.path('same'));
		assert.throws(() => addSource(box.host, { disks: [{ path: box.path('same') }] }, openDisk), { code: 'ERR_EXISTS' });
		assert.throws(() => addSource(box.host, { name: 'dev', disks: [{ path: b }] }, openDisk), { code: 'ERR_EXISTS' });
		for (const name of ['', 'a@b', 'a/b', 'a\nb', ' a', dev.id]) {
			assert.throws(
				() => addSource(box.host, { name, disks: [{ path: b }] }, openDisk),
				/cannot name|is called/,
				JSON.stringify(name),
			);
		}
		addSource(box.host, { name: 'other', disks: [{ path: b }] }, openDisk);
		renameSource(box.host, dev.id, 'main');
		assert.deepEqual(
			listSources(box.host).map(({ name }) => name),
			['main', 'other'],
		);
		assert.deepEqual(sourceById(box.host, dev.id).disks, dev.disks);
		removeSource(box.host, dev.id);
		assert.throws(() => removeSource(box.host, dev.id), { code: 'ERR_NOT_FOUND' });
		assert.deepEqual(
			listSources(box.host).map(({ name }) => name),
			['other'],
		);
	});

	test('how a machine is reached is kept, and what cannot be an address is refused', () => {
		using box = new Sandbox();
		const [a, b] = [box.image('a.qcow2'), box.image('b.qcow2')];
		const connection = { qmp: '/run/a.qmp', agent: 'tcp:127.0.0.1:4444', command: 'qemu-system-x86_64 -m 1G a.qcow2' };
		addSource(box.host, { disks: [{ path: a }], connection }, openDisk);
		addSource(box.host, { disks: [{ path: b }] }, openDisk);
		const [first, second] = listSources(box.host);
		assert.deepEqual([first?.connection, second?.connection], [connection, undefined]);
		assert.deepEqual(sourceRecord(box.host, first!).connection, connection);
		assert.ok(!('connection' in sourceRecord(box.host, second!)));
		for (const bad of [{ qmp: 'a.sock' }, { agent: '' }, { libvirt: ' ' }, { command: 'a\nb' }]) {
			assert.throws(() => addSource(box.host, { disks: [{ path: box.image('c.qcow2') }], connection: bad }, openDisk), {
				code: 'ERR_USAGE',
			});
		}
	});

	test('how a machine is reached can be said later, said anew, and forgotten', () => {
		using box = new Sandbox();
		const dev = addSource(box.host, { disks: [{ path: box.image('a.qcow2') }], name: 'dev' }, openDisk);
		const qmp = { qmp: '/run/a.qmp' };
		assert.deepEqual(setConnection(box.host, dev.id, qmp).connection, qmp);
		const both = { qmp: '/run/b.qmp', agent: '/run/b.agent' };
		setConnection(box.host, dev.id, both);
		assert.deepEqual(sourceById(box.host, dev.id), { ...dev, connection: both });
		assert.throws(() => setConnection(box.host, dev.id, { qmp: 'a.sock' }), { code: 'ERR_USAGE' });
		assert.deepEqual(sourceById(box.host, dev.id).connection, both, 'what was refused changes nothing');
		assert.equal(setConnection(box.host, dev.id, null).connection, undefined);
		assert.deepEqual(sourceById(box.host, dev.id), dev);
		assert.throws(() => setConnection(box.host, 'nothing2', qmp), { code: 'ERR_NOT_FOUND' });
	});

	test('names made from file names are free and fit an address', () => {
		using box = new Sandbox();
		const paths = ['a@b.qcow2', 'x\ny.qcow2', '.qcow2', 'n'.repeat(150) + '.qcow2'].map(name => box.image(name));
		rmSync(box.path('home'), { recursive: true });
		const names = paths.map(path => addSource(box.host, { disks: [{ path }] }, openDisk).name);
		assert.deepEqual(names, ['a-b', 'x-y', '.qcow2', 'n'.repeat(90)]);
	});

	test('a newer list is read as far as it is known, and not written', () => {
		using box = new Sandbox();
		const path = box.image();
		const dev = addSource(box.host, { disks: [{ path }] }, openDisk);
		const file = box.path('home/sources.json');
		const stored = JSON.parse(readFileSync(file, 'utf8')) as { sources: unknown[] };
		stored.sources.push({ id: 'x', kind: 'layer' });
		writeFileSync(file, JSON.stringify({ ...stored, version: 1 }));
		renameSource(box.host, dev.id, 'kept');
		assert.equal(
			(JSON.parse(readFileSync(file, 'utf8')) as typeof stored).sources.length,
			2,
			'what is not known stays',
		);
		writeFileSync(file, JSON.stringify({ ...stored, version: 2 }));
		assert.equal(listSources(box.host).length, 1);
		assert.throws(() => removeSource(box.host, dev.id), { code: 'ERR_UNSUPPORTED' });
		writeFileSync(file, '{');
		assert.throws(() => listSources(box.host), { code: 'ERR_CORRUPT' });
	});

	test('missing, moved, another image', () => {
		using box = new Sandbox();
		const path = box.image();
		const dev = addSource(box.host, { name: 'dev', disks: [{ path }] }, openDisk);
		qemuImg('snapshot', '-c', 'a', path);
		assert.equal(sourceRecord(box.host, dev).status, 'ready');
		const moved = box.path('moved.qcow2');
		renameSync(path, moved);
		assert.equal(sourceRecord(box.host, dev).status, 'missing');
		assert.deepEqual(readTimeline(box.host, dev).snapshots, []);
		const other = box.image('other.qcow2', { create: ['cluster_size=4096'] });
		assert.throws(() => relocateSource(box.host, dev.id, [{ path: other }], openDisk), { code: 'ERR_REFUSED' });
		const again = relocateSource(box.host, dev.id, [{ path: moved }], openDisk);
		assert.deepEqual([again.id, again.name, again.disks[0]?.path], [dev.id, 'dev', moved]);
		assert.equal(readTimeline(box.host, again).snapshots.length, 1);
	});

	test('an image keeps its identity through writing, snapshots, growing and copying', () => {
		using box = new Sandbox();
		const path = box.image();
		// A partition table, as a disk gets one; then another one, as a disk gets one anew.
		write(path, 0, 0, 8192);
		const dev = addSource(box.host, { disks: [{ path }] }, openDisk);
		qemuImg('snapshot', '-c', 'a', path);
		qemuImg('resize', '-q', '-f', 'qcow2', path, '8M');
		write(path, 9, 0, 1024 * 1024);
		// Nothing of before is left but the size, which changed as well: the person is asked.
		assert.equal(sourceRecord(box.host, dev).status, 'changed');
		removeSource(box.host, dev.id);
		const anew = addSource(box.host, { disks: [{ path }] }, openDisk);
		qemuImg('resize', '-q', '-f', 'qcow2', path, '16M');
		write(path, 7, 0, 1024 * 1024);
		assert.equal(sourceRecord(box.host, anew).status, 'ready', 'its snapshot names it');
		copyFileSync(path, box.path('copy.qcow2'));
		rmSync(path);
		assert.equal(relocateSource(box.host, anew.id, [{ path: box.path('copy.qcow2') }], openDisk).id, anew.id);
	});
});

suite('addresses', () => {
	test('a path that exists is a path; else the last @ splits', () => {
		using box = new Sandbox();
		const [plain, at] = [box.image('dev.qcow2'), box.image('dev@x.qcow2')];
		const dev = addSource(box.host, { name: 'dev', disks: [{ path: plain }] }, openDisk);
		const parse = (text: string) => {
			const { source, snapshot } = parseAddress(box.host, text, box.folder);
			return [source.id, snapshot];
		};
		assert.deepEqual(parse('dev'), [dev.id, undefined]);
		assert.deepEqual(parse(dev.id), [dev.id, undefined]);
		assert.deepEqual(parse('dev@2'), [dev.id, '2']);
		assert.deepEqual(parse('dev@a b'), [dev.id, 'a b']);
		assert.deepEqual(parse('dev.qcow2'), [plain, undefined]);
		assert.deepEqual(parse('dev@x.qcow2'), [at, undefined]);
		assert.deepEqual(parse('./dev@x.qcow2@one'), [at, 'one']);
		assert.deepEqual(parse(`${plain}@two`), [plain, 'two']);
		assert.throws(() => parse('nothing@1'), { code: 'ERR_NOT_FOUND', message: /registered are dev/ });
		assert.throws(() => parse('home'), { code: 'ERR_IS_A_DIRECTORY' });
	});

	test('a snapshot is its id, else its unique name, else its key', () => {
		const snapshot = (id: string, name: string, key: string, tag = name) =>
			({ id, name, key, tag, time: '2026-01-01T00:00:00.000000000Z' }) as SnapshotRecord;
		const list = [
			snapshot('1', '2', 'aaaaaaaaaa'),
			snapshot('2', 'base install', 'bbbbbbbbbb'),
			snapshot('3', 'twice', 'cccccccccc'),
			snapshot('4', 'twice', 'dddddddddd'),
			snapshot('5', 'new', 'eeeeeeeeee', 'old'),
			snapshot('6', 'a\\x0ab', 'ffffffffff'),
		];
		assert.equal(resolveState(list, undefined), 'current');
		assert.equal(resolveState(list, 'current'), 'current');
		assert.equal(resolveState(list, '2'), 'bbbbbbbbbb', 'the id goes before the name');
		assert.equal(resolveState(list, 'base install'), 'bbbbbbbbbb');
		assert.equal(resolveState(list, 'old'), 'eeeeeeeeee');
		assert.equal(resolveState(list, 'new'), 'eeeeeeeeee');
		assert.equal(resolveState(list, 'a\nb'), 'ffffffffff');
		assert.equal(resolveState(list, 'a\\x0ab'), 'ffffffffff');
		assert.equal(resolveState(list, 'dddddddddd'), 'dddddddddd');
		// Another tool's names: the key of another snapshot, and an id that is no number.
		const hostile = [snapshot('1', 'precious', 'aaaaaaaaaa'), snapshot('x', 'aaaaaaaaaa', 'bbbbbbbbbb')];
		assert.throws(() => resolveState(hostile, 'aaaaaaaaaa'), { code: 'ERR_AMBIGUOUS' });
		assert.throws(() => resolveState([...hostile, snapshot('7', 'x', 'cccccccccc')], 'x'), { code: 'ERR_AMBIGUOUS' });
		assert.throws(() => resolveState(list, 'twice'), { code: 'ERR_AMBIGUOUS', message: /id 3 \(key cccccccccc.*id 4/ });
		assert.throws(() => resolveState(list, 'bbbbbb'), { code: 'ERR_NOT_FOUND' });
		assert.throws(() => resolveState(list, 'base'), { code: 'ERR_USAGE' });
	});
});
