/** What can be odd about two states besides their files: where volumes lie, what the filesystem is, damage. */
import assert from 'node:assert/strict';
import {
	appendFileSync,
	linkSync,
	mkdirSync,
	openSync,
	readFileSync,
	unlinkSync,
	utimesSync,
	writeFileSync,
	writeSync,
} from 'node:fs';
import { closeSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { diffStates, type DiffOptions, type DiffResult } from '../../../src/engine/compare/diff.js';
import type { FastDiffCounts } from '../../../src/engine/compare/fast/fast-diff.js';
import { openImage } from '../../../src/engine/image/open-image.js';
import { UNWATCHED } from '../../../src/engine/util/work.js';
import { withWritableVolume } from '../../builders/machine-edit.js';
import { debugfsBlocks, debugfsWrite } from '../../oracles/debugfs.js';
import { LiveExt4 } from '../../oracles/live-ext4.js';
import { TempFolder } from '../../oracles/qemu.js';
import { assertExact, diffOf, linesOf, stateOf } from './truth.js';
import {
	change,
	kernelListing,
	makeDisk,
	makeFilesystem,
	sfdiskScript,
	snapshot,
	tool,
	type NewVolume,
	type VolumePlace,
} from './volumes.js';

/** A filesystem on the whole disk, of 32 MiB. */
const WHOLE: NewVolume = { start: 0, sectors: 65536, mkfs: ['-b', '4096'] };
const AT = 1_700_000_000;

test('a partition at sector 63: its blocks lie across clusters', async () => {
	using folder = new TempFolder();
	const path = folder.join('disk.qcow2');
	const volume: NewVolume = { start: 63, sectors: 60000, mkfs: ['-b', '4096', '-O', '^extent,^64bit,^flex_bg'] };
	makeDisk(path, 32, [volume], 'dos');
	await change(path, volume, top => {
		for (let i = 0; i < 200; i++) writeFileSync(join(top, `f${i}`), Buffer.alloc(6000 + i * 50, i));
	});
	snapshot(path, 'a');
	await change(path, volume, top => {
		for (let i = 0; i < 200; i += 7) overwrite(join(top, `f${i}`), 5999, 'x');
		for (let i = 1; i < 200; i += 50) unlinkSync(join(top, `f${i}`));
	});
	snapshot(path, 'b');
	const [before, after] = [kernelListing(path, volume, 'a'), kernelListing(path, volume, 'b')];
	assert.ok(before.size > 100);
	assertExact(path, ['a', 'b'], { before, after, top: '/p1', method: 'fast' });
	assertExact(path, ['b', 'a'], { before: after, after: before, top: '/p1', method: 'fast' });
});

test('several volumes: each compared by itself, a file that moved between them, and one that nobody reads', async () => {
	using folder = new TempFolder();
	const path = folder.join('disk.qcow2');
	const volumes: NewVolume[] = [
		{ start: 2048, sectors: 40960, mkfs: [] },
		{ start: 43008, sectors: 40960, mkfs: ['-b', '1024'] },
		{ start: 83968, sectors: 20480, mkfs: undefined },
	];
	makeDisk(path, 64, volumes, 'gpt');
	await change(path, volumes[0]!, top => writeFileSync(join(top, 'moved'), 'from one volume to the other'));
	await change(path, volumes[1]!, top => writeFileSync(join(top, 'f'), 'f'));
	snapshot(path, 'a');
	await change(path, volumes[0]!, top => unlinkSync(join(top, 'moved')));
	await change(path, volumes[1]!, top => {
		writeFileSync(join(top, 'arrived'), 'from one volume to the other');
		appendFileSync(join(top, 'f'), '!');
	});
	const result = diffOf(path, 'a', undefined);
	assert.deepEqual(linesOf(result.changes), ['R /p2/arrived <- /p1/moved mtime', 'M /p2/f content mtime']);
	assert.equal(result.method, 'fast');
	assert.equal(result.notes.filter(note => note.startsWith('/p3 was not compared')).length, 1);
	assert.deepEqual(linesOf(diffOf(path, 'a', undefined, { path: '/p2' }).changes), [
		'A /p2/arrived',
		'M /p2/f content mtime',
	]);
	assert.throws(() => diffOf(path, 'a', undefined, { path: '/p9' }), { code: 'ERR_NOT_FOUND' });
});

test('a volume that came, went, or lies elsewhere', async () => {
	using folder = new TempFolder();
	const path = folder.join('disk.qcow2');
	const one: NewVolume = { start: 2048, sectors: 40960, mkfs: [] };
	const two: NewVolume = { start: 43008, sectors: 40960, mkfs: [] };
	makeDisk(path, 64, [one, two], 'gpt');
	await change(path, one, top => writeFileSync(join(top, 'f'), 'f', { flag: 'w' }));
	await change(path, two, top => writeFileSync(join(top, 'g'), 'g'));
	snapshot(path, 'both');
	await withWritableVolume(path, disk => tool('sfdisk', ['-q', '--no-tell-kernel', '--delete', disk, '2']));
	snapshot(path, 'one');
	const removed = diffOf(path, 'both', 'one');
	assert.deepEqual(linesOf(removed.changes), ['D /p2', 'D /p2/g', 'D /p2/lost+found']);
	assert.match(removed.methodReason, /p2 is on one side only/);
	assert.deepEqual(linesOf(diffOf(path, 'one', 'both').changes), ['A /p2', 'A /p2/g', 'A /p2/lost+found']);

	// The same bytes, 8 MiB further on, as the only partition.
	const moved: VolumePlace = { start: 63488, sectors: 40960 };
	await withWritableVolume(path, disk => {
		const copy = ['bs=1M', 'skip=1', 'seek=31', 'count=20', 'conv=notrunc', 'status=none'];
		tool('dd', [`if=${disk}`, `of=${disk}`, ...copy]);
		tool('sfdisk', ['-q', '--no-tell-kernel', disk], sfdiskScript('gpt', [moved]));
	});
	await change(path, moved, top => appendFileSync(join(top, 'f'), '!'));
	const elsewhere = diffOf(path, 'one', undefined);
	assert.deepEqual(linesOf(elsewhere.changes), ['M /p1/f content mtime']);
	assert.equal(elsewhere.method, 'walk');
	assert.match(elsewhere.methodReason, /lies elsewhere/);
});

test('a resized filesystem, and one made anew', async () => {
	using folder = new TempFolder();
	const path = folder.join('disk.qcow2');
	makeDisk(path, 48, [{ ...WHOLE, mkfs: ['-b', '1024'] }]);
	await change(path, WHOLE, top => {
		for (let i = 0; i < 300; i++) writeFileSync(join(top, `f${i}`), `${i}`.repeat(500));
	});
	snapshot(path, 'small');
	await withWritableVolume(path, disk => {
		tool('e2fsck', ['-fy', disk]);
		tool('resize2fs', [disk, '48M']);
	});
	const large: VolumePlace = { start: 0, sectors: 98304 };
	await change(path, large, top => appendFileSync(join(top, 'f7'), '!'));
	snapshot(path, 'large');
	const [before, after] = [kernelListing(path, WHOLE, 'small'), kernelListing(path, large, 'large')];
	const resized = assertExact(path, ['small', 'large'], { before, after, top: '/disk', method: 'walk' });
	assert.match(resized.methodReason, /resized/);
	assert.deepEqual(linesOf(resized.changes), ['M /disk/f7 content mtime']);

	await withWritableVolume(path, disk => makeFilesystem(disk, large, ['-b', '4096']));
	await change(path, large, top => writeFileSync(join(top, 'f7'), '7'));
	const anew = assertExact(path, ['large', undefined], {
		before: after,
		after: kernelListing(path, large),
		top: '/disk',
		method: 'walk',
	});
	assert.match(anew.methodReason, /made anew/);
	assert.equal(anew.changes.filter(({ status }) => status === 'D').length, 299);
});

test('two images: nothing is known of where they keep their bytes; quick trusts sizes and times', async () => {
	using folder = new TempFolder();
	const [first, second] = [folder.join('first.qcow2'), folder.join('second.qcow2')];
	makeDisk(first, 32, [WHOLE]);
	await change(first, WHOLE, top => {
		for (let i = 0; i < 20; i++) writeFileSync(join(top, `f${i}`), 'x'.repeat(5000));
		for (let i = 0; i < 20; i++) utimesSync(join(top, `f${i}`), AT, AT);
	});
	tool('qemu-img', ['convert', '-O', 'qcow2', first, second]);
	await change(second, WHOLE, top => {
		appendFileSync(join(top, 'f1'), '!');
		overwrite(join(top, 'f2'), 4999, '!');
		utimesSync(join(top, 'f2'), AT, AT);
	});
	const between = (options: DiffOptions): DiffResult => {
		using a = openImage(first);
		using b = openImage(second);
		return diffStates(stateOf(a), stateOf(b), options, UNWATCHED);
	};
	const whole = between({});
	assert.deepEqual(linesOf(whole.changes), ['M /disk/f1 content mtime', 'M /disk/f2 content']);
	assert.equal(whole.method, 'walk');
	assert.match(whole.methodReason, /not the same/);
	const quick = between({ quick: true });
	assert.equal(quick.method, 'quick');
	// ctime is of this filesystem and of this copy of it, and it says that f2 was written.
	assert.deepEqual(linesOf(quick.changes), ['M /disk/f1 content mtime', 'M /disk/f2 content']);
	assert.match(quick.methodReason, /taken for equal/);
});

test('data that changed under inodes that did not', async () => {
	using folder = new TempFolder();
	const path = folder.join('disk.qcow2');
	makeDisk(path, 32, [WHOLE]);
	await change(path, WHOLE, top => {
		for (let i = 0; i < 50; i++) writeFileSync(join(top, `f${i}`), Buffer.alloc(9000, i));
		linkSync(join(top, 'f7'), join(top, 'g7'));
		const fd = openSync(join(top, 'deep'), 'w');
		for (let i = 0; i < 60; i++) writeSync(fd, Buffer.alloc(4096, 1), 0, 4096, i * 8192);
		closeSync(fd);
	});
	snapshot(path, 'a');
	await withWritableVolume(path, disk => {
		for (const [file, index] of [
			['/f3', 0],
			['/f7', 2],
			['/deep', 41],
		] as const) {
			const block = debugfsBlocks(disk, file)[index]!; // OK: the files have as many.
			const fd = openSync(disk, 'r+');
			writeSync(fd, 'behind', block * 4096);
			closeSync(fd);
		}
	});
	snapshot(path, 'b');
	let counts: FastDiffCounts | undefined;
	const result = diffOf(path, 'a', 'b', { onCounts: found => (counts = found) });
	assert.deepEqual(linesOf(result.changes), [
		'M /disk/deep content',
		'M /disk/f3 content',
		'M /disk/f7 content',
		'M /disk/g7 content',
	]);
	assert.equal(result.method, 'fast');
	assert.equal(counts?.differingInodes, 0);
	assertExact(path, ['a', 'b'], {
		before: kernelListing(path, WHOLE, 'a'),
		after: kernelListing(path, WHOLE, 'b'),
		top: '/disk',
	});
});

test('two states that keep everything in the same place: not one block may differ, whatever the flags of the tables', async () => {
	using folder = new TempFolder();
	const path = folder.join('disk.qcow2');
	makeDisk(path, 32, [WHOLE]);
	await change(path, WHOLE, top => writeFileSync(join(top, 'f'), 'f'));
	snapshot(path, 'a');
	snapshot(path, 'b');
	for (const [a, b] of [
		['a', 'b'],
		['b', undefined],
		[undefined, 'a'],
	] as const) {
		let counts: FastDiffCounts | undefined;
		const result = diffOf(path, a, b, { onCounts: found => (counts = found) });
		assert.deepEqual([result.changes.length, counts?.blocks, result.method], [0, 0, 'fast']);
	}
});

test('the current state, written in place where only a deleted snapshot shared it', async () => {
	using folder = new TempFolder();
	const path = folder.join('disk.qcow2');
	makeDisk(path, 32, [WHOLE]);
	await change(path, WHOLE, top => {
		for (let i = 0; i < 30; i++) writeFileSync(join(top, `f${i}`), Buffer.alloc(20000, i));
	});
	snapshot(path, 'a');
	await change(path, WHOLE, top => overwrite(join(top, 'f1'), 0, 'one'));
	snapshot(path, 'b');
	tool('qemu-img', ['snapshot', '-d', 'b', path]);
	// Of these bytes nobody else has a copy any more, so they are overwritten where they are.
	await change(path, WHOLE, top => overwrite(join(top, 'f1'), 0, 'two'));
	{
		using image = openImage(path);
		const [old, current] = [stateOf(image, 'a'), stateOf(image)];
		assert.equal(diffStates(old, current, {}, UNWATCHED).changes.length, 1);
		assert.ok(image.isUnchanged());
		await change(path, WHOLE, top => overwrite(join(top, 'f2'), 0, 'three'));
		// The views are stale now, and whoever holds them can tell.
		assert.ok(!image.isUnchanged());
	}
	assertExact(path, ['a', undefined], {
		before: kernelListing(path, WHOLE, 'a'),
		after: kernelListing(path, WHOLE),
		top: '/disk',
		method: 'fast',
	});
});

test('a snapshot of a mounted filesystem: what is only in its journal counts, and is noted', async () => {
	await using live = LiveExt4.create({ sizeMiB: 32, mountOptions: 'commit=300' });
	await live.mount();
	for (let i = 0; i < 50; i++) writeFileSync(join(live.mountpoint, `f${i}`), 'f');
	tool('sync', ['-f', live.mountpoint]);
	await live.snapshot('a');
	for (let i = 0; i < 50; i++) writeFileSync(join(live.mountpoint, `g${i}`), 'g');
	// An orphan: it has an inode and no name.
	const fd = openSync(join(live.mountpoint, 'f0'), 'r+');
	unlinkSync(join(live.mountpoint, 'f0'));
	writeSync(fd, 'orphan');
	tool('sync', ['-f', live.mountpoint]);
	await live.snapshot('b');
	closeSync(fd);
	await live.unmount();
	const result = assertExact(live.image, ['a', 'b'], {
		before: live.kernelListing('a'),
		after: live.kernelListing('b'),
		top: '/disk',
		method: 'fast',
	});
	assert.equal(result.changes.filter(({ status }) => status === 'A').length, 50);
	assert.ok(result.changes.some(({ status, path }) => status === 'D' && path === '/disk/f0'));
	assert.deepEqual(result.notes, ['/disk was not unmounted on both sides: its journal was replayed in memory']);
});

test('a count of links that is wrong: everything is walked, and nothing is missed', async () => {
	using folder = new TempFolder();
	const path = folder.join('disk.qcow2');
	makeDisk(path, 32, [WHOLE]);
	await change(path, WHOLE, top => {
		mkdirSync(join(top, 'd'));
		writeFileSync(join(top, 'd/f'), 'f');
	});
	snapshot(path, 'a');
	await withWritableVolume(path, disk => debugfsWrite(disk, ['sif /d/f links_count 7', 'sif /d/f mode 0100600']));
	const result = assertExact(path, ['a', undefined], { top: '/disk', method: 'walk' });
	assert.deepEqual(linesOf(result.changes), ['m /disk/d/f mode links']);
	assert.match(result.methodReason, /other names than it says/);
});

test('damage on one side is told as such, and the rest is compared', async () => {
	using folder = new TempFolder();
	const path = folder.join('disk.qcow2');
	makeDisk(path, 32, [WHOLE]);
	await change(path, WHOLE, top => {
		for (const name of ['broken', 'whole']) {
			mkdirSync(join(top, name));
			writeFileSync(join(top, `${name}/f`), 'f');
		}
		writeFileSync(join(top, 'gone'), 'g');
	});
	snapshot(path, 'a');
	await change(path, WHOLE, top => appendFileSync(join(top, 'whole/f'), '!'));
	await withWritableVolume(path, disk => {
		const block = debugfsBlocks(disk, '/broken')[0]!; // OK: a directory has a block.
		debugfsWrite(disk, ['freei /gone', 'clri /gone']);
		const fd = openSync(disk, 'r+');
		writeSync(fd, Buffer.alloc(4096, 0xff), 0, 4096, block * 4096);
		closeSync(fd);
	});
	for (const [a, b, side] of [
		['a', undefined, 'b'],
		[undefined, 'a', 'a'],
	] as const) {
		const result = assertExact(path, [a, b], { top: '/disk', method: 'walk' });
		assert.deepEqual(
			linesOf(result.changes).map(line => line.split(' ').slice(0, 3).join(' ')),
			[`E /disk/broken ${side}`, `E /disk/gone ${side}`, 'M /disk/whole/f content'],
		);
	}
});

test('features that this kernel may not mount: encryption, folded case, quota of projects', async () => {
	using folder = new TempFolder();
	const path = folder.join('disk.qcow2');
	makeDisk(path, 32, [{ ...WHOLE, mkfs: ['-b', '4096', '-O', 'encrypt,casefold,quota,project,stable_inodes'] }]);
	const host = folder.join('content');
	writeFileSync(host, 'content');
	await withWritableVolume(path, disk => debugfsWrite(disk, ['mkdir /d', `write ${host} /d/f`, `write ${host} /d/g`]));
	snapshot(path, 'a');
	writeFileSync(host, 'CONTENT');
	await withWritableVolume(path, disk => {
		debugfsWrite(disk, ['rm /d/f', `write ${host} /d/f`, 'sif /d/g mtime @1', `write ${host} /d/h`]);
		assert.match(
			readFileSync(disk)
				.subarray(1024 + 0x26c, 1024 + 0x270)
				.toString('hex'),
			/[1-9a-f]/,
			'no project quota',
		);
	});
	const result = assertExact(path, ['a', undefined], { top: '/disk', method: 'fast' });
	assert.deepEqual(
		linesOf(result.changes).map(line => line.replace(' mtime', '')),
		['M /disk/d/f content', 'm /disk/d/g', 'A /disk/d/h'],
	);
});

test('a value that has an inode of its own, and one whose number was used again', async () => {
	using folder = new TempFolder();
	const path = folder.join('disk.qcow2');
	makeDisk(path, 32, [{ ...WHOLE, mkfs: ['-O', 'ea_inode', '-b', '1024'] }]);
	const set = (top: string, name: string, letter: string) =>
		tool('setfattr', ['-n', 'user.large', '-v', letter.repeat(9000), join(top, name)]);
	await change(path, WHOLE, top => {
		for (const name of ['f', 'g', 'h']) {
			writeFileSync(join(top, name), name);
			set(top, name, name);
		}
	});
	snapshot(path, 'a');
	await change(path, WHOLE, top => set(top, 'f', 'x'));
	snapshot(path, 'b');
	await change(path, WHOLE, top => {
		tool('setfattr', ['-x', 'user.large', join(top, 'g')]);
		set(top, 'h', 'y');
	});
	const states = ['a', 'b', undefined] as const;
	const listings = states.map(name => kernelListing(path, WHOLE, name));
	for (const [i, a] of states.entries()) {
		for (const [j, b] of states.entries()) {
			if (i !== j) assertExact(path, [a, b], { before: listings[i]!, after: listings[j]!, top: '/disk' });
		}
	}
	assert.deepEqual(linesOf(diffOf(path, 'a', 'b').changes), ['m /disk/f xattr']);
});

function overwrite(path: string, at: number, text: string): void {
	const fd = openSync(path, 'r+');
	writeSync(fd, text, at);
	closeSync(fd);
}
