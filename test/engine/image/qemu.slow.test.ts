/** What QEMU writes is read as QEMU reads it, over a matrix of formats; and deleting frees what was said. */
import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { suite, test } from 'node:test';
import { changedRanges } from '../../../src/engine/image/changed.js';
import { asQcow2, openImage, type OpenImageOptions } from '../../../src/engine/image/open-image.js';
import { exclusiveBytes } from '../../../src/engine/image/qcow2/usage.js';
import { readBytes } from '../../../src/engine/io/source.js';
import { UNWATCHED } from '../../../src/engine/util/work.js';
import { mulberry } from '../../builders/qcow2.js';
import { TempFolder, qemuCheck, qemuDisk, qemuImg, qemuIo } from '../../oracles/qemu.js';
import { checkView } from './image-suite.js';

const SIZE = 4 * 2 ** 20 + 512;

/** Writes, zeros and discards of random places, aligned to sectors. */
function scribble(path: string, random: () => number, count: number, size = SIZE): void {
	const commands: string[] = [];
	for (let i = 0; i < count; i++) {
		const offset = Math.floor((random() * size) / 512) * 512;
		const length = Math.max(512, Math.floor((random() ** 3 * Math.min(size - offset, 2 ** 20)) / 512) * 512);
		const kind = random();
		if (kind < 0.6) commands.push(`write -P ${1 + Math.floor(random() * 254)} ${offset} ${length}`);
		else if (kind < 0.8) commands.push(`write -z ${offset} ${length}`);
		else if (kind < 0.9) commands.push(`write -z -u ${offset} ${length}`);
		else commands.push(`discard ${offset} ${length}`);
	}
	qemuIo(path, ...commands);
}

/** Every state is as QEMU has it, and changed ranges miss nothing. */
function checkAll(path: string, options: OpenImageOptions = {}): void {
	using image = openImage(path, options);
	checkView(image.current(), qemuDisk(path));
	const disks = new Map<string, Buffer>();
	for (const { id, rawName, diskSize } of image.snapshots) {
		const view = image.atSnapshot(id);
		assert.equal(view.size, diskSize);
		const expected = qemuDisk(path, { snapshot: rawName });
		// QEMU reads a snapshot at the size of the current disk.
		const both = Math.min(expected.length, view.size);
		const whole = readBytes(view, 0, view.size);
		assert.ok(whole.subarray(0, both).equals(expected.subarray(0, both)), `snapshot ${rawName}`);
		checkView(view, whole);
		disks.set(id, whole);
	}
	for (const [a, x] of disks) {
		for (const [b, y] of disks) {
			const changed = changedRanges(image.atSnapshot(a), image.atSnapshot(b));
			if (a === b) continue;
			for (let at = 0; at < Math.max(x.length, y.length); at += 512) {
				if (changed.has(at, 512) || x.subarray(at, at + 512).equals(y.subarray(at, at + 512))) continue;
				assert.fail(`the change from ${a} to ${b} at ${at} is missing`);
			}
		}
	}
}

suite('what QEMU writes', () => {
	const matrix = [
		'cluster_size=512',
		'cluster_size=4k,lazy_refcounts=on',
		'cluster_size=64k',
		'cluster_size=2M',
		'compat=0.10',
		'compat=0.10,cluster_size=1k',
		'extended_l2=on,cluster_size=16k',
		'extended_l2=on,cluster_size=64k',
		'extended_l2=on,cluster_size=1M',
		'preallocation=metadata',
		'preallocation=falloc',
		'preallocation=full',
		'extended_l2=on,preallocation=metadata',
		'refcount_bits=1',
		'refcount_bits=64',
	];
	for (const [index, options] of matrix.entries()) {
		test(options, () => {
			using folder = new TempFolder();
			const random = mulberry(index + 1);
			const path = folder.join('a.qcow2');
			qemuImg('create', '-q', '-f', 'qcow2', '-o', options, path, String(SIZE));
			checkAll(path);
			scribble(path, random, 12);
			if (!options.includes('refcount_bits=1')) {
				qemuImg('snapshot', '-c', 'one', path);
				scribble(path, random, 6);
				qemuImg('snapshot', '-c', 'two', path);
				scribble(path, random, 6);
			}
			checkAll(path);
		});
	}

	test('disks that were resized between snapshots', () => {
		using folder = new TempFolder();
		const random = mulberry(50);
		const path = folder.join('a.qcow2');
		qemuImg('create', '-q', '-f', 'qcow2', path, '4M');
		scribble(path, random, 5, 4 * 2 ** 20);
		qemuImg('snapshot', '-c', 'small', path);
		qemuImg('resize', '-q', '-f', 'qcow2', path, '8M');
		scribble(path, random, 8, 8 * 2 ** 20);
		qemuImg('snapshot', '-c', 'large', path);
		qemuImg('resize', '-q', '--shrink', '-f', 'qcow2', path, '5M');
		checkAll(path);
		using image = openImage(path);
		assert.deepEqual(
			image.snapshots.map(each => each.diskSize),
			[4 * 2 ** 20, 8 * 2 ** 20],
		);
		// The larger snapshot reads beyond the current disk as QEMU does once it is applied.
		const whole = readBytes(image.atSnapshot('2'), 0, 8 * 2 ** 20);
		copyFileSync(path, folder.join('b.qcow2'));
		qemuImg('snapshot', '-a', 'large', folder.join('b.qcow2'));
		assert.ok(whole.equals(qemuDisk(folder.join('b.qcow2'))));
	});

	for (const compression of ['zlib', 'zstd']) {
		for (const clusterSize of ['4k', '64k', '2M']) {
			test(`compressed: ${compression}, ${clusterSize}`, () => {
				using folder = new TempFolder();
				const raw = readFileSync(process.execPath).subarray(2 ** 20, 2 ** 20 + 5 * 2 ** 20 + 512);
				raw.fill(0, 2 ** 20, 2 ** 20 + 300_000);
				writeFileSync(folder.join('a.raw'), raw);
				const path = folder.join('a.qcow2');
				qemuImg(
					'convert',
					'-c',
					'-f',
					'raw',
					'-O',
					'qcow2',
					'-o',
					`compression_type=${compression},cluster_size=${clusterSize}`,
					folder.join('a.raw'),
					path,
				);
				qemuImg('snapshot', '-c', 'one', path);
				scribble(path, mulberry(3), 10, raw.length);
				qemuImg('snapshot', '-c', 'two', path);
				scribble(path, mulberry(4), 10, raw.length);
				checkAll(path);
				checkExclusive(path, folder);
			});
		}
	}

	for (const raw of ['off', 'on']) {
		test(`external data file, raw ${raw}`, () => {
			using folder = new TempFolder();
			const path = folder.join('a.qcow2');
			qemuImg(
				'create',
				'-q',
				'-f',
				'qcow2',
				'-o',
				`data_file=${folder.join('d.raw')},data_file_raw=${raw}`,
				path,
				String(SIZE),
			);
			checkAll(path);
			scribble(path, mulberry(8), 20);
			checkAll(path);
			qemuImg('create', '-q', '-f', 'qcow2', '-b', path, '-F', 'qcow2', folder.join('top.qcow2'), String(2 * SIZE));
			scribble(folder.join('top.qcow2'), mulberry(9), 5);
			checkAll(folder.join('top.qcow2'));
		});
	}

	for (const options of ['cluster_size=64k', 'extended_l2=on,cluster_size=128k', 'compat=0.10']) {
		test(`backing chain: ${options}`, () => {
			using folder = new TempFolder();
			const random = mulberry(20);
			const [raw, middle, top] = ['base.raw', 'middle.qcow2', 'top.qcow2'].map(name => folder.join(name)) as [
				string,
				string,
				string,
			];
			writeFileSync(raw, Buffer.from(Array.from({ length: 3 * 2 ** 20 + 512 }, (_, i) => (i >> 9) & 0xff)));
			qemuImg('create', '-q', '-f', 'qcow2', '-b', 'base.raw', '-F', 'raw', '-o', options, middle, '5M');
			scribble(middle, random, 6, 5 * 2 ** 20);
			qemuImg(
				'create',
				'-q',
				'-f',
				'qcow2',
				'-F',
				'qcow2',
				'-b',
				`json:{"driver":"qcow2","file":{"driver":"file","filename":"${middle}"}}`,
				'-o',
				options,
				top,
				String(SIZE),
			);
			scribble(top, random, 6);
			qemuImg('snapshot', '-c', 'one', top);
			scribble(top, random, 6);
			qemuImg('snapshot', '-c', 'two', top);
			scribble(top, random, 3);
			checkAll(top);
			using image = openImage(top);
			assert.equal(image.files.length, 3);
		});
	}

	test('bitmaps are named, encryption is said', () => {
		using folder = new TempFolder();
		const path = folder.join('a.qcow2');
		qemuImg('create', '-q', '-f', 'qcow2', path, '1M');
		qemuImg('bitmap', '--add', path, 'first');
		qemuImg('bitmap', '--add', path, 'second');
		using image = openImage(path);
		assert.deepEqual(asQcow2(image)!.bitmapNames(), ['first', 'second']);
		// Making a LUKS one measures the processor for seconds, and fails on a busy machine.
		const aes = folder.join('aes.qcow2');
		qemuImg(
			'create',
			'-q',
			'-f',
			'qcow2',
			'--object',
			'secret,id=s,data=x',
			'-o',
			'encrypt.format=aes,encrypt.key-secret=s',
			aes,
			'1M',
		);
		assert.throws(() => openImage(aes), /encrypted \(AES\)/);
	});
});

/** Deleting a snapshot frees what was said of it, by what `qemu-img check` counts as allocated. */
function checkExclusive(path: string, folder: TempFolder): void {
	const image = openImage(path);
	using _ = image;
	const qcow2 = asQcow2(image)!;
	const before = refcounted(path);
	for (const [id, bytes] of exclusiveBytes(qcow2, UNWATCHED)) {
		const copy = folder.join(`delete-${id}.qcow2`);
		copyFileSync(path, copy);
		qemuImg('snapshot', '-d', qcow2.snapshot(id).rawName, copy);
		assert.deepEqual([qemuCheck(copy).errors, qemuCheck(copy).leaks], [0, 0]);
		// With the last snapshot its table goes too.
		const table = image.snapshots.length === 1 ? qcow2.geometry.clusterSize : 0;
		assert.equal(before - refcounted(copy), bytes! + table, `snapshot ${id}`);
	}
}

/** Bytes of host clusters with a reference count above 0, by the refcount table itself (16-bit counts). */
function refcounted(path: string): number {
	const file = readFileSync(path);
	const clusterSize = 2 ** file.readUInt32BE(20);
	const table = Number(file.readBigUInt64BE(48));
	let count = 0;
	for (let i = 0; i < (file.readUInt32BE(56) * clusterSize) / 8; i++) {
		const block = Number(file.readBigUInt64BE(table + i * 8));
		for (let at = block; block !== 0 && at < block + clusterSize; at += 2) if (file.readUInt16BE(at) !== 0) count++;
	}
	return count * clusterSize;
}

suite('bytes that only one snapshot holds', () => {
	for (const options of [
		'cluster_size=64k',
		'cluster_size=512',
		'compat=0.10',
		'extended_l2=on',
		'lazy_refcounts=on',
		'preallocation=metadata',
	]) {
		test(options, () => {
			using folder = new TempFolder();
			const random = mulberry(31);
			const path = folder.join('a.qcow2');
			qemuImg('create', '-q', '-f', 'qcow2', '-o', options, path, String(SIZE));
			for (const name of ['one', 'two', 'three', 'four']) {
				scribble(path, random, 6);
				qemuImg('snapshot', '-c', name, path);
			}
			scribble(path, random, 6);
			checkExclusive(path, folder);
			qemuImg('snapshot', '-a', 'two', path);
			checkExclusive(path, folder);
			qemuImg('snapshot', '-d', 'one', path);
			checkExclusive(path, folder);
		});
	}

	test('a damaged table gives no figure', () => {
		using folder = new TempFolder();
		const path = folder.join('a.qcow2');
		qemuImg('create', '-q', '-f', 'qcow2', path, '1M');
		qemuIo(path, 'write -P 1 0 64k');
		qemuImg('snapshot', '-c', 'one', path);
		const bytes = readFileSync(path);
		bytes.writeBigUInt64BE(12345n << 9n, Number(bytes.readBigUInt64BE(40)));
		writeFileSync(path, bytes);
		using image = openImage(path);
		assert.deepEqual([...exclusiveBytes(asQcow2(image)!, UNWATCHED)], [['1', null]]);
	});
});
