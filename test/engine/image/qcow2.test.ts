import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { suite, test } from 'node:test';
import { asQcow2, openImage } from '../../../src/engine/image/open-image.js';
import { readBytes } from '../../../src/engine/io/source.js';
import { EngineError, type ErrorCode } from '../../../src/engine/util/errors.js';
import { buildQcow2, expectedDisk, type Cluster, type Qcow2Description } from '../../builders/qcow2.js';
import { TempFolder, qemuCheck, qemuDisk } from '../../oracles/qemu.js';
import { checkView, isError, runImageSuite } from './image-suite.js';
import { exercise } from './exercise.js';
import { MemoryFiles } from './memory-files.js';

const BITS = 12;
const CLUSTER = 2 ** BITS;
const NAMES = ['deflate', 'zstd'] as const;

const text = (seed: number, size = CLUSTER) =>
	Buffer.from(Array.from({ length: size }, (_, i) => ((i * seed) % 11) ^ (i >> 6)));
const A: Cluster = { fill: 0xaa };
const B: Cluster = { bytes: text(3) };
const C: Cluster = { compressed: text(5) };
const D: Cluster = { compressed: text(7) };
const Z: Cluster = { zeroOver: 0x55 };

/** A disk with every kind of cluster, and snapshots that share some of it. */
const MIXED: Qcow2Description = {
	clusterBits: BITS,
	clusters: ['hole', A, C, 'zero', B, Z, 'hole', D, { fill: 1 }, { fill: 2 }, { fill: 3 }, 'hole'],
	size: 12 * CLUSTER - 512,
	snapshots: [
		{ id: '1', name: 'first', clusters: ['hole', A, C, B, B], dateSec: 1_600_000_000 },
		{
			id: '2',
			name: 'caf\xc3\xa9',
			clusters: [D, 'zero', A, Z, 'hole', B, 'hole', C],
			vmState: text(9, 3 * CLUSTER - 7),
		},
	],
};

function openBuilt(
	description: Qcow2Description,
	change: (bytes: Buffer) => void = () => undefined,
	more: Record<string, Uint8Array> = {},
) {
	const built = buildQcow2(description);
	change(built.bytes);
	const files = new MemoryFiles({
		'/vm/disk.qcow2': built.bytes,
		...(built.data ? { '/vm/data.raw': built.data } : {}),
		...more,
	});
	return { built, files, open: () => openImage('/vm/disk.qcow2', { files }) };
}

function disksOf(description: Qcow2Description, below?: Buffer) {
	const bits = description.clusterBits ?? 12;
	return new Map([
		[undefined as string | undefined, expectedDisk(description.clusters, bits, description.size, below)],
		...(description.snapshots ?? []).map(
			each => [each.id, expectedDisk(each.clusters, bits, each.diskSize, below)] as const,
		),
	]);
}

const LETTERS = 'dddd----zzzzdd-zd---------------';
const EXTENDED: Qcow2Description = {
	clusterBits: 14,
	extendedL2: true,
	clusters: [
		'hole',
		{ subclusters: LETTERS, fill: 7 },
		{ fill: 9 },
		'zero',
		{ compressed: text(3, 2 ** 14) },
		Z,
		{ subclusters: 'd'.padStart(32, '-'), fill: 5 },
	],
	snapshots: [{ id: '1', name: 's', clusters: ['zero', { subclusters: 'z'.padEnd(32, '-'), fill: 1 }, 'hole'] }],
};

suite('qcow2: kinds of images', () => {
	const kinds: Record<string, Qcow2Description> = {
		'every kind of cluster': MIXED,
		zstd: { ...MIXED, compression: 'zstd' },
		'version 2': {
			...MIXED,
			version: 2,
			clusters: ['hole', A, C, B, 'hole', D, A],
			size: 7 * CLUSTER,
			snapshots: [
				{
					id: '1',
					name: 'no extra data',
					clusters: [B, A, 'hole', 'hole', C, 'hole', D],
					extraSize: 0,
					diskSize: 7 * CLUSTER,
				},
			],
		},
		'clusters of 512 bytes': {
			clusterBits: 9,
			clusters: Array.from({ length: 300 }, (_, i) => (i % 3 === 0 ? 'hole' : { fill: i % 251 })),
			snapshots: [
				{
					id: '1',
					name: 's',
					clusters: Array.from({ length: 150 }, (_, i) => (i % 5 === 0 ? 'zero' : { fill: i % 13 })),
				},
			],
		},
		'extended L2 entries': EXTENDED,
		'an empty disk': { clusters: [], size: 0 },
		'a disk that is one hole': { clusters: ['hole'], size: 3 * CLUSTER },
	};
	for (const [name, description] of Object.entries(kinds)) {
		runImageSuite(name, () => ({ image: openBuilt(description).open(), disks: disksOf(description) }));
		test(`${name}: qemu-img reads the same, and finds no fault`, () => {
			using folder = new TempFolder();
			const path = folder.join('a.qcow2');
			const built = buildQcow2(description);
			writeFileSync(path, built.bytes);
			const check = qemuCheck(path);
			assert.deepEqual([check.errors, check.leaks], [0, 0]);
			using image = openImage(path);
			assert.ok(qemuDisk(path).equals(readBytes(image.current(), 0, image.current().size)));
			for (const { id, rawName } of image.snapshots) {
				const view = image.atSnapshot(id);
				const snapshot = Buffer.from(rawName, 'latin1').toString();
				const expected = qemuDisk(path, { snapshot });
				// QEMU gives a snapshot the size of the current disk.
				assert.ok(expected.subarray(0, view.size).equals(readBytes(view, 0, Math.min(view.size, expected.length))));
			}
		});
	}

	for (const raw of [false, true]) {
		test(`an external data file, ${raw ? 'raw' : 'by its own table'}`, () => {
			const description: Qcow2Description = {
				clusters: [A, B, 'hole', 'zero', { fill: 3 }],
				dataFile: { name: 'data.raw', raw },
			};
			using image = openBuilt(description).open();
			checkView(image.current(), expectedDisk(description.clusters, 12));
			assert.deepEqual(
				image.files.map(file => [file.path, file.role]),
				[
					['/vm/disk.qcow2', 'top'],
					['/vm/data.raw', 'data'],
				],
			);
			assert.match(image.noSnapshotsReason!, /external data file/);
		});
	}

	test('VM state is read from behind the disk', () => {
		using image = openBuilt(MIXED).open();
		const qcow2 = asQcow2(image)!;
		assert.equal(qcow2.vmState('1'), undefined);
		const state = qcow2.vmState('2')!;
		assert.ok(text(9, 3 * CLUSTER - 7).equals(readBytes(state, 0, state.size)));
		assert.ok(
			text(9, 3 * CLUSTER - 7)
				.subarray(100, 5000)
				.equals(readBytes(state, 100, 4900)),
		);
	});

	test('L1 tables are given as they are stored', () => {
		const { built, open } = openBuilt(MIXED);
		using image = open();
		const qcow2 = asQcow2(image)!;
		assert.ok(Buffer.from(qcow2.l1Table()).equals(built.bytes.subarray(built.l1Offset, built.l1Offset + 8)));
		assert.ok(
			Buffer.from(qcow2.l1Table('1')).equals(built.bytes.subarray(built.l1OffsetOf(1), built.l1OffsetOf(1) + 8)),
		);
	});

	test('snapshots are as the table has them', () => {
		using image = openBuilt(MIXED).open();
		const [first, second] = image.snapshots;
		assert.deepEqual(
			[
				first!.id,
				first!.rawName,
				first!.dateSec,
				first!.diskSize,
				second!.rawName,
				second!.dateNsec,
				second!.vmStateSize,
			],
			['1', 'first', 1_600_000_000, 5 * CLUSTER, 'caf\xc3\xa9', 1, 3 * CLUSTER - 7],
		);
	});

	test('10,000 snapshots', () => {
		const clusters: Cluster[] = [A, B, 'hole'].map(each => (each === 'hole' ? each : { fill: 1 }));
		const description: Qcow2Description = {
			clusterBits: 9,
			clusters,
			snapshots: Array.from({ length: 10_000 }, (_, i) => ({ id: String(i + 1), name: `snapshot ${i}`, clusters })),
		};
		using image = openBuilt(description).open();
		assert.equal(image.snapshots.length, 10_000);
		assert.equal(readBytes(image.atSnapshot('9999'), 0, 1)[0], 1);
		assert.equal(image.isSnapshotUnchanged('10000'), true);
	});
});

suite('qcow2: what is damaged or not supported', () => {
	const cases: readonly (readonly [name: string, change: (bytes: Buffer) => void, code: string, field: string])[] = [
		['magic', b => b.writeUInt32BE(0x51464900, 0), 'ERR_CORRUPT', 'magic'],
		['version', b => b.writeUInt32BE(4, 4), 'ERR_UNSUPPORTED', 'version'],
		['cluster_bits small', b => b.writeUInt32BE(8, 20), 'ERR_CORRUPT', 'cluster_bits'],
		['cluster_bits large', b => b.writeUInt32BE(22, 20), 'ERR_CORRUPT', 'cluster_bits'],
		['header_length small', b => b.writeUInt32BE(96, 100), 'ERR_CORRUPT', 'header_length'],
		['header_length odd', b => b.writeUInt32BE(107, 100), 'ERR_CORRUPT', 'header_length'],
		['header_length large', b => b.writeUInt32BE(CLUSTER + 8, 100), 'ERR_CORRUPT', 'header_length'],
		['unknown feature', b => b.writeBigUInt64BE(1n << 40n, 72), 'ERR_UNSUPPORTED', 'incompatible_features'],
		['extended L2 in small clusters', b => b.writeBigUInt64BE(16n, 72), 'ERR_CORRUPT', 'cluster_bits'],
		['compression bit alone', b => b.writeBigUInt64BE(8n, 72), 'ERR_CORRUPT', 'compression_type'],
		['compression type alone', b => b.writeUInt8(1, 104), 'ERR_CORRUPT', 'compression_type'],
		[
			'unknown compression',
			b => (b.writeBigUInt64BE(8n, 72), b.writeUInt8(2, 104)),
			'ERR_UNSUPPORTED',
			'compression_type',
		],
		['refcount_order', b => b.writeUInt32BE(7, 96), 'ERR_CORRUPT', 'refcount_order'],
		['crypt_method', b => b.writeUInt32BE(3, 32), 'ERR_UNSUPPORTED', 'crypt_method'],
		['AES', b => b.writeUInt32BE(1, 32), 'ERR_ENCRYPTED', 'crypt_method'],
		['LUKS', b => b.writeUInt32BE(2, 32), 'ERR_ENCRYPTED', 'crypt_method'],
		['size above 2^53', b => b.writeUInt8(1, 24), 'ERR_LIMIT', 'qcow2 header.size'],
		[
			'backing name outside',
			b => (b.writeBigUInt64BE(BigInt(CLUSTER - 4), 8), b.writeUInt32BE(8, 16)),
			'ERR_CORRUPT',
			'backing_file_offset',
		],
		[
			'backing name long',
			b => (b.writeBigUInt64BE(200n, 8), b.writeUInt32BE(1024, 16)),
			'ERR_CORRUPT',
			'backing_file_size',
		],
		[
			'extension long',
			b => (b.writeUInt32BE(0xe2792aca, 112), b.writeUInt32BE(CLUSTER, 116)),
			'ERR_CORRUPT',
			'header extension',
		],
		['no data file name', b => b.writeBigUInt64BE(4n, 72), 'ERR_CORRUPT', 'external data file name'],
	];
	for (const [name, change, code, field] of cases) {
		test(`${name} (${code})`, () => {
			const { files } = openBuilt(MIXED, change);
			assert.throws(() => openImage('/vm/disk.qcow2', { files, format: 'qcow2' }), isError(code, field));
			assert.equal(files.opened, 0);
		});
	}

	test('the message names the file; the name of an unknown feature comes from the image', () => {
		const { open } = openBuilt({
			...MIXED,
			incompatible: 1n << 9n,
			featureNames: [{ kind: 0, bit: 9, name: 'time travel\x1b[31m' }],
		});
		assert.throws(open, error => {
			assert.ok(EngineError.is(error, 'ERR_UNSUPPORTED'));
			assert.match(error.message, /^\/vm\/disk\.qcow2: .*"time travel\\x1b\[31m" \(bit 9\)/);
			return true;
		});
	});

	test('dirty, corrupt, lazy refcounts and unknown compatible bits are notes', () => {
		using image = openBuilt({ ...MIXED, incompatible: 3n, compatible: 1n | (1n << 7n) }).open();
		assert.deepEqual(
			image.notes.map(note => note.kind),
			['damage', 'damage', 'info'],
		);
		assert.match(image.noSnapshotsReason!, /corrupt/);
		checkView(image.current(), disksOf(MIXED).get(undefined)!);
	});

	const damagedTables: readonly (readonly [string, (bytes: Buffer) => unknown, string, string])[] = [
		['nb_snapshots', b => b.writeUInt32BE(65537, 60), 'ERR_LIMIT', 'nb_snapshots'],
		['nb_snapshots beyond the file', b => b.writeUInt32BE(60000, 60), 'ERR_CORRUPT', 'snapshots_offset'],
		['snapshots_offset unaligned', b => b.writeBigUInt64BE(BigInt(CLUSTER + 8), 64), 'ERR_CORRUPT', 'snapshots_offset'],
		['snapshots_offset on the header', b => b.writeBigUInt64BE(0n, 64), 'ERR_CORRUPT', 'snapshots_offset'],
		['snapshots_offset outside', b => b.writeBigUInt64BE(2n ** 40n, 64), 'ERR_CORRUPT', 'snapshots_offset'],
	];
	for (const [name, change, , field] of damagedTables) {
		test(`${name}: the snapshots are gone, the current state is not`, () => {
			using image = openBuilt(MIXED, change).open();
			assert.deepEqual(image.snapshots, []);
			assert.ok(image.notes.some(note => note.kind === 'damage' && note.field === field));
			assert.match(image.noSnapshotsReason!, /snapshot table is damaged/);
			checkView(image.current(), disksOf(MIXED).get(undefined)!);
		});
	}

	test('a damaged active L1 table leaves the snapshots readable', () => {
		for (const [at, value, field, code] of [
			[40, 513n, 'l1_table_offset', 'ERR_CORRUPT'],
			[40, 0n, 'l1_table_offset', 'ERR_CORRUPT'],
			[40, 2n ** 50n, 'l1_table_offset', 'ERR_CORRUPT'],
			[36, 0n, 'l1_size', 'ERR_CORRUPT'],
			[36, 5_000_000n, 'l1_table_offset', 'ERR_LIMIT'],
		] as const) {
			openDamaged(
				bytes => (at === 40 ? bytes.writeBigUInt64BE(value, at) : bytes.writeUInt32BE(Number(value), at)),
				code,
				field,
			);
		}

		function openDamaged(change: (bytes: Buffer) => unknown, code: ErrorCode, field: string) {
			using image = openBuilt(MIXED, change).open();
			assert.throws(() => image.current(), isError(code, field));
			checkView(image.atSnapshot('1'), disksOf(MIXED).get('1')!);
		}
	});

	test('a damaged snapshot leaves the others readable', () => {
		const { built, files } = openBuilt(MIXED);
		built.bytes.writeBigUInt64BE(777n, built.snapshotsOffset);
		using image = openImage('/vm/disk.qcow2', { files });
		assert.throws(() => image.atSnapshot('1'), isError('ERR_CORRUPT', 'l1_table_offset'));
		checkView(image.atSnapshot('2'), disksOf(MIXED).get('2')!);
	});

	const entries: readonly (readonly [name: string, value: bigint, field: string])[] = [
		['an offset that is not on a cluster', BigInt(CLUSTER * 2 + 512), 'L2 entry'],
		['an offset past the end of the file', 2n ** 45n, 'L2 entry'],
		['compressed data past the end of the file', (1n << 62n) | (2n ** 44n), 'L2 entry'],
		['compressed data that is none', (1n << 62n) | 3n, 'compressed cluster'],
	];
	for (const [name, value, field] of entries) {
		test(`an L2 entry with ${name} fails only who reads it`, () => {
			const { built, files } = openBuilt(MIXED);
			built.bytes.writeBigUInt64BE(value, built.entryOffset(4));
			using image = openImage('/vm/disk.qcow2', { files });
			const view = image.current();
			const disk = disksOf(MIXED).get(undefined)!;
			assert.ok(disk.subarray(0, 4 * CLUSTER).equals(readBytes(view, 0, 4 * CLUSTER)));
			assert.ok(disk.subarray(5 * CLUSTER).equals(readBytes(view, 5 * CLUSTER, disk.length - 5 * CLUSTER)));
			assert.throws(() => readBytes(view, 4 * CLUSTER + 7, 1), isError('ERR_CORRUPT', field));
			assert.throws(() => readBytes(view, 0, disk.length), isError('ERR_CORRUPT', field));
			assert.equal(
				[...view.extents()].reduce((sum, extent) => sum + extent.length, 0),
				disk.length,
			);
			checkView(image.atSnapshot('1'), disksOf(MIXED).get('1')!);
		});
	}

	test('a zero flag in version 2, an L2 table in the header, a subcluster both allocated and zero', () => {
		const description: Qcow2Description = { version: 2, clusters: [A, B] };
		const { built, files } = openBuilt(description);
		built.bytes[built.entryOffset(0) + 7]! |= 1;
		using image = openImage('/vm/disk.qcow2', { files });
		assert.throws(() => readBytes(image.current(), 0, 1), isError('ERR_CORRUPT', 'L2 entry'));

		const other = openBuilt(description);
		other.built.bytes.writeBigUInt64BE(BigInt(512), other.built.l1Offset);
		using second = openImage('/vm/disk.qcow2', { files: other.files });
		assert.throws(() => readBytes(second.current(), 0, 1), isError('ERR_CORRUPT', 'L2 table offset'));

		const extended = openBuilt(EXTENDED);
		extended.built.bytes[extended.built.entryOffset(1) + 11]! |= 1;
		using third = extended.open();
		assert.throws(() => readBytes(third.current(), 2 ** 14, 1), isError('ERR_CORRUPT', 'subcluster bitmap'));
	});

	for (const compression of NAMES) {
		test(`a compressed cluster of another length (${compression})`, () => {
			const short: Cluster = { compressed: text(1, CLUSTER - 1) };
			using image = openBuilt({ compression, clusters: [short, { compressed: text(2, CLUSTER + 1) }, A] }).open();
			assert.throws(() => readBytes(image.current(), 0, 1), isError('ERR_CORRUPT'));
			assert.throws(() => readBytes(image.current(), CLUSTER, 1), isError('ERR_CORRUPT'));
			assert.equal(readBytes(image.current(), 2 * CLUSTER, 1)[0], 0xaa);
		});
	}

	test('every truncation and every flipped byte gives an image or an EngineError', () => {
		const { bytes } = buildQcow2({
			...MIXED,
			clusterBits: 9,
			clusters: [{ fill: 1 }, 'hole', { compressed: text(3, 512) }, 'zero'],
			size: 2048,
			snapshots: [{ id: '1', name: 'x', clusters: [{ fill: 2 }], vmState: text(2, 700) }],
		});
		for (let length = 0; length < bytes.length; length += length < 600 ? 1 : 37) exercise(bytes.subarray(0, length));
		for (let at = 0; at < bytes.length; at++) {
			for (const flip of [0x01, 0x80, 0xff]) {
				bytes[at]! ^= flip;
				exercise(bytes);
				bytes[at]! ^= flip;
			}
		}
	});
});

suite('qcow2: staleness', () => {
	test('a file that was replaced, written or removed is changed; a snapshot that still stands is not', () => {
		const { files, built, open } = openBuilt(MIXED);
		using image = open();
		// As a hypervisor does: the current state is written, the table stays. Then a snapshot is deleted.
		const written = Buffer.from(built.bytes);
		files.files['/vm/disk.qcow2'] = written;
		assert.equal(image.isUnchanged(), false);
		assert.equal(image.isSnapshotUnchanged('1'), true);
		built.bytes.writeUInt32BE(1, 60);
		assert.equal(image.isSnapshotUnchanged('1'), true);
		assert.equal(image.isSnapshotUnchanged('2'), false);
		built.bytes.writeUInt32BE(99, built.snapshotsOffset + 16);
		assert.equal(image.isSnapshotUnchanged('1'), false);
	});

	test('on the host: written in place, and replaced by another file', () => {
		using folder = new TempFolder();
		const path = folder.join('a.qcow2');
		writeFileSync(path, buildQcow2(MIXED).bytes);
		using image = openImage(path);
		assert.equal(image.isUnchanged(), true);
		writeFileSync(path, readFileSync(path));
		assert.equal(image.isUnchanged(), false);
	});
});
