import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { linkSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { suite, test } from 'node:test';
import { inUseHint, isInUse } from '../../../src/engine/machine/qemu-img.js';
import { openDisk } from '../../../src/engine/timeline/machine.js';
import { readTimeline } from '../../../src/engine/timeline/snapshots.js';
import { pathSource } from '../../../src/engine/timeline/source.js';
import { addSource } from '../../../src/engine/timeline/sources.js';
import { deleteSnapshot, rollBack, takeSnapshot } from '../../../src/engine/timeline/verbs.js';
import { Sandbox, assertClean, contentOf, listed, machineOf, qemuImg, write } from './machine-fixture.js';

suite('refusals', () => {
	test('a raw image, told how to convert', async () => {
		using box = new Sandbox();
		const path = box.path('disk.img');
		qemuImg('create', '-q', '-f', 'raw', path, '1M');
		const source = pathSource(path, 'raw');
		assert.match(readTimeline(box.host, source).readOnlyReason ?? '', /convert/);
		await assert.rejects(takeSnapshot(box.host, source, { label: 'a' }), {
			code: 'ERR_REFUSED',
			message: /qemu-img convert/,
		});
	});

	test('an external data file', async () => {
		using box = new Sandbox();
		const path = box.image('disk.qcow2', { create: [`data_file=${box.path('data.raw')}`] });
		await assert.rejects(takeSnapshot(box.host, machineOf(path), { label: 'a' }), {
			code: 'ERR_REFUSED',
			message: /external data file/,
		});
	});

	test('the backing file of another image, however that names it', async () => {
		using box = new Sandbox();
		const path = box.image('base.qcow2');
		const source = machineOf(path);
		const a = await takeSnapshot(box.host, source, { label: 'a' });
		write(path, 2, 0, 65536);
		const base = contentOf(path);
		mkdirSync(box.path('far'));
		symlinkSync(path, box.path('far/link.qcow2'));
		linkSync(path, box.path('twin.qcow2'));
		const children = [box.path('child.qcow2'), box.path('far/other.qcow2'), box.path('third.qcow2')];
		qemuImg('create', '-q', '-f', 'qcow2', '-b', 'twin.qcow2', '-F', 'qcow2', children[2]!);
		qemuImg('create', '-q', '-f', 'qcow2', '-b', 'base.qcow2', '-F', 'qcow2', children[0]!);
		qemuImg('create', '-q', '-f', 'qcow2', '-b', 'link.qcow2', '-F', 'qcow2', children[1]!);
		// The second one lies elsewhere: it is known because it is registered.
		addSource(box.host, { disks: [{ path: children[1]! }], allowOutside: true }, openDisk);
		await assert.rejects(rollBack(box.host, source, a.key), (error: Error) => {
			for (const child of children) assert.ok(error.message.includes(child), error.message);
			return (error as { code?: string }).code === 'ERR_REFUSED';
		});
		assert.equal(contentOf(path), base);
		// Neither changes what the children see.
		const b = await takeSnapshot(box.host, source, { label: 'b' });
		await deleteSnapshot(box.host, source, b.key);
	});

	test('persistent bitmaps, by name', async () => {
		using box = new Sandbox();
		const path = box.image();
		const source = machineOf(path);
		const a = await takeSnapshot(box.host, source, { label: 'a' });
		qemuImg('bitmap', '--add', path, 'backup-7');
		await assert.rejects(rollBack(box.host, source, a.key), {
			code: 'ERR_REFUSED',
			message: /backup-7.*qemu-img bitmap --remove/,
		});
		assert.equal(listed(path).length, 1);
	});

	test('memory that libvirt saved', async () => {
		using box = new Sandbox();
		const path = box.image('a&b.qcow2');
		const folders = { domains: box.path('domains'), saves: box.path('saves') };
		mkdirSync(folders.domains);
		mkdirSync(folders.saves);
		writeFileSync(
			box.path('domains/dev.xml'),
			`<domain><name>dev</name><devices><disk><source file='${path.replace('&', '&amp;')}'/></disk></devices></domain>`,
		);
		const host = { ...box.host, libvirtFolders: [folders] };
		const source = machineOf(path);
		const a = await takeSnapshot(host, source, { label: 'a' });
		assert.deepEqual(a.warnings, []);
		writeFileSync(box.path('saves/dev.save'), '');
		const b = await takeSnapshot(host, source, { label: 'b' });
		assert.match(b.warnings.join(), /saved memory of dev/);
		await assert.rejects(rollBack(host, source, a.key), {
			code: 'ERR_REFUSED',
			message: /virsh managedsave-remove dev/,
		});
	});

	test('an image that a running program holds', async () => {
		using box = new Sandbox();
		const path = box.image();
		const source = machineOf(path);
		const a = await takeSnapshot(box.host, source, { label: 'a' });
		const generation = readTimeline(box.host, source).generation;
		const daemon = await holdOpen(path);
		try {
			assert.equal(inUseHint(path), 'writer');
			assert.equal(await isInUse(box.host.tools, path), true);
			const timeline = readTimeline(box.host, source);
			assert.equal(timeline.source.status, 'inUse');
			assert.notEqual(timeline.generation, generation);
			assert.deepEqual(
				timeline.snapshots.map(({ name }) => name),
				['a'],
			);
			assert.equal(timeline.position, a.key);
			for (const verb of [
				() => takeSnapshot(box.host, source, { label: 'b' }),
				() => rollBack(box.host, source, a.key),
				() => deleteSnapshot(box.host, source, a.key),
			]) {
				await assert.rejects(verb(), { code: 'ERR_BUSY' });
			}
		} finally {
			daemon.kill('SIGTERM');
			await once(daemon, 'exit');
		}
		assert.equal(inUseHint(path), 'free');
		assert.equal(readTimeline(box.host, source).source.status, 'ready');
		await takeSnapshot(box.host, source, { label: 'b' });
	});

	test('an image that a reader holds: nothing is begun', async () => {
		using box = new Sandbox();
		const path = box.image();
		const source = machineOf(path);
		const daemon = await holdOpen(path, { 'read-only': true });
		try {
			assert.equal(inUseHint(path), 'reader');
			assert.equal(readTimeline(box.host, source).source.status, 'ready');
			await assert.rejects(takeSnapshot(box.host, source, { label: 'a' }), { code: 'ERR_BUSY' });
			assert.equal(readTimeline(box.host, source).source.status, 'ready');
		} finally {
			daemon.kill('SIGTERM');
			await once(daemon, 'exit');
		}
	});

	test('one disk of a machine of several', async () => {
		using box = new Sandbox();
		const [a, b] = [box.image('a.qcow2'), box.image('b.qcow2')];
		addSource(box.host, { name: 'pair', disks: [{ path: a }, { path: b }] }, openDisk);
		await assert.rejects(takeSnapshot(box.host, pathSource(b, 'qcow2'), { label: 'x' }), {
			code: 'ERR_REFUSED',
			message: /pair/,
		});
	});

	test('a path where another image lies now', async () => {
		using box = new Sandbox();
		const path = box.image();
		const source = addSource(box.host, { name: 'dev', disks: [{ path }] }, openDisk);
		await takeSnapshot(box.host, source, { label: 'a' });
		qemuImg('create', '-q', '-f', 'qcow2', '-o', 'cluster_size=4096', path, '4M');
		assert.equal(readTimeline(box.host, source).source.status, 'changed');
		await assert.rejects(takeSnapshot(box.host, source, { label: 'b' }), {
			code: 'ERR_REFUSED',
			message: /another image/,
		});
	});

	test('labels that could be taken for something else', async () => {
		using box = new Sandbox();
		const path = box.image();
		const source = machineOf(path);
		const a = await takeSnapshot(box.host, source, { label: 'a' });
		for (const label of [
			'',
			'12',
			'current',
			'base',
			'a\nb',
			' a',
			'x'.repeat(201),
			'ü'.repeat(101),
			'\ud800',
			a.key,
		]) {
			await assert.rejects(takeSnapshot(box.host, source, { label }), { code: 'ERR_USAGE' }, JSON.stringify(label));
		}
		const odd = ['x'.repeat(200), 'a:b, "c" \\ d', '-a', '日本', '$(touch x)', '[x](command:y)'];
		for (const label of odd) await takeSnapshot(box.host, source, { label });
		assert.deepEqual(
			listed(path).map(({ name }) => name),
			['a', ...odd],
		);
		const { snapshots } = readTimeline(box.host, source);
		assert.equal(snapshots.find(({ id }) => id === '3')?.name, 'a:b, "c" \\x5c d');
		for (const { key } of snapshots) await deleteSnapshot(box.host, source, key);
		assert.deepEqual(listed(path), []);
		assertClean(path);
	});

	test('programs that are missing, told how to get them', async () => {
		using box = new Sandbox({ tools: { qemuImg: '/nowhere/qemu-img' } });
		const source = machineOf(box.image());
		await assert.rejects(takeSnapshot(box.host, source, { label: 'a' }), {
			code: 'ERR_TOOL',
			message: /strata\.qemuImgPath/,
		});
	});
});

async function holdOpen(path: string, options: Record<string, unknown> = {}) {
	const node = { driver: 'qcow2', 'node-name': 'd', ...options, file: { driver: 'file', filename: path, ...options } };
	const daemon = spawn(
		'qemu-storage-daemon',
		['--blockdev', JSON.stringify(node), '--chardev', 'stdio,id=m', '--monitor', 'chardev=m'],
		{
			stdio: ['pipe', 'pipe', 'inherit'],
		},
	);
	// Its greeting comes when the image is open.
	await once(daemon.stdout, 'data');
	return daemon;
}
