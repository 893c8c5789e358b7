import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { managedSaveOf } from '../../../src/engine/machine/managed-save.js';
import { processesWith, stateOf, thisProcess } from '../../../src/engine/machine/processes.js';
import { applySnapshot, checkImage, inUseHint, isInUse } from '../../../src/engine/machine/qemu-img.js';
import { StorageDaemon } from '../../../src/engine/machine/storage-daemon.js';
import { findTool, qcow2Image, runTool, toolError, toolVersion } from '../../../src/engine/machine/tools.js';
import { Sandbox, listed } from '../timeline/machine-fixture.js';

suite("QEMU's programs", () => {
	test('are found on the PATH, and by the setting: the program or its folder', () => {
		const folder = mkdtempSync(join(tmpdir(), 'strata-tools-'));
		try {
			const real = findTool('qemu-img');
			assert.match(real, /^\/.*qemu-img$/);
			assert.match(toolVersion(real) ?? '', /^\d+\.\d+/);
			symlinkSync(real, join(folder, 'qemu-img'));
			assert.equal(findTool('qemu-img', { qemuImg: folder }), join(folder, 'qemu-img'));
			assert.equal(findTool('qemu-img', { qemuImg: join(folder, 'qemu-img') }), join(folder, 'qemu-img'));
			// Not beside the program that was set: then from the PATH.
			assert.equal(findTool('qemu-storage-daemon', { qemuImg: folder }), findTool('qemu-storage-daemon'));
			writeFileSync(join(folder, 'qemu-storage-daemon'), '');
			chmodSync(join(folder, 'qemu-storage-daemon'), 0o755);
			assert.equal(
				findTool('qemu-storage-daemon', { qemuImg: join(folder, 'qemu-img') }),
				join(folder, 'qemu-storage-daemon'),
			);
			assert.throws(() => findTool('qemu-img', { qemuImg: join(folder, 'nothing') }), { code: 'ERR_TOOL' });
		} finally {
			rmSync(folder, { recursive: true });
		}
	});

	test('that are missing are told how to be installed', () => {
		const path = process.env['PATH'];
		process.env['PATH'] = '/nowhere';
		try {
			// The known places are looked at as well; a name that is in none of them stands for a system without QEMU.
			assert.throws(() => findTool('qemu-nothing' as 'qemu-img'), {
				code: 'ERR_TOOL',
				message: /was not found.*install/i,
			});
			assert.match(findTool('qemu-img'), /^\/.*qemu-img$/);
		} finally {
			process.env['PATH'] = path;
		}
	});

	test('what they say becomes a code', () => {
		const error = (stderr: string) => toolError('qemu-img', '/a', { code: 1, stdout: '', stderr });
		assert.equal(error('Failed to get "write" lock\nIs another process using the image?').code, 'ERR_BUSY');
		assert.equal(error('qemu-img: x: No space left on device').code, 'ERR_NO_SPACE');
		const odd = error('bad \u001b[31m name\nmore');
		assert.deepEqual([odd.code, odd.message], ['ERR_TOOL', 'qemu-img failed on /a: bad ?[31m name']);
	});

	test('a program that gives no answer is ended', async () => {
		await assert.rejects(runTool('/bin/sleep', ['30'], { timeoutMs: 50 }), { code: 'ERR_TOOL', message: /no answer/ });
		await assert.rejects(runTool('/nowhere/program', []), { code: 'ERR_TOOL' });
		assert.deepEqual(await runTool('/bin/sh', ['-c', 'echo out; echo err >&2; exit 3']), {
			code: 3,
			stdout: 'out\n',
			stderr: 'err\n',
		});
	});

	test('a path that is not absolute is a mistake of the caller', () => {
		assert.throws(() => qcow2Image('a.qcow2'), TypeError);
	});

	test('make, refuse, apply, check and delete snapshots', async () => {
		using box = new Sandbox();
		const path = box.image();
		const daemon = await StorageDaemon.open({}, [path], 'strata-test');
		assert.equal(inUseHint(path), 'writer');
		assert.ok(processesWith('id=strata-test').length > 0);
		await daemon.createSnapshots('a');
		await assert.rejects(daemon.createSnapshots('a'), { code: 'ERR_TOOL', message: /already exist/ });
		await assert.rejects(daemon.deleteSnapshot(path, '1', 'b'), { code: 'ERR_TOOL', message: /does not exist/ });
		await assert.rejects(StorageDaemon.open({}, [path], 'strata-test-2'), { code: 'ERR_BUSY' });
		await daemon.close();
		assert.deepEqual(listed(path), [{ id: '1', name: 'a' }]);
		assert.equal(await isInUse({}, path), false);
		await applySnapshot({}, path, '1');
		await assert.rejects(applySnapshot({}, path, '7'), { code: 'ERR_TOOL' });
		assert.deepEqual(await checkImage({}, path, { repair: false }), {
			corruptions: 0,
			leaks: 0,
			corruptionsFixed: 0,
			leaksFixed: 0,
			checkErrors: 0,
		});
		const again = await StorageDaemon.open({}, [path], 'strata-test');
		await again.deleteSnapshot(path, '1', 'a');
		await again.close();
		assert.deepEqual(listed(path), []);
	});
});

suite('the host', () => {
	test('this process lives; another with its number, of another time, does not', () => {
		const self = thisProcess();
		assert.equal(stateOf(self), 'alive');
		assert.equal(stateOf({ ...self, startTime: '1' }), 'dead');
		assert.equal(stateOf({ ...self, bootId: 'x' }), 'dead');
		assert.equal(stateOf({ ...self, host: 'x' }), 'elsewhere');
		assert.equal(stateOf({ ...self, pidSpace: 'x' }), 'elsewhere');
	});

	test('no libvirt, no saved memory', () => {
		using box = new Sandbox();
		assert.equal(managedSaveOf(box.image(), [{ domains: '/nowhere', saves: '/nowhere' }]), undefined);
	});
});
