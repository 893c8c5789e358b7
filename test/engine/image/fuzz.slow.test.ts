/** Random damage to small images of every kind: an image or an EngineError, no hang, bounded memory. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { resourceUsage } from 'node:process';
import { after, suite, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { buildQcow2, mulberry, type Cluster } from '../../builders/qcow2.js';
import { TempFolder, qemuImg } from '../../oracles/qemu.js';
import { exercise } from './exercise.js';

const SEED = Number(process.env['STRATA_FUZZ_SEED'] ?? 20_261_120);
const CASES_EACH = 5_000;
const MAX_RSS_MIB = 256;

const mixed = (clusterSize: number): Cluster[] => [
	{ fill: 1 },
	'hole',
	{ compressed: Buffer.alloc(clusterSize, 'compress me ') },
	'zero',
	{ zeroOver: 3 },
	{ compressed: Buffer.alloc(clusterSize, 'and me') },
];
const snapshots = (clusterSize: number) => [
	{ id: '1', name: 'one', clusters: mixed(clusterSize), vmState: Buffer.alloc(clusterSize * 2 + 9, 4) },
	{ id: '2', name: 'two', clusters: ['hole', { fill: 2 }] as Cluster[] },
];

const BASE = { '/vm/base.raw': Buffer.alloc(3000, 8) };
const kinds: Record<string, () => Buffer> = {
	deflate: () => buildQcow2({ clusterBits: 9, clusters: mixed(512), snapshots: snapshots(512) }).bytes,
	zstd: () =>
		buildQcow2({ clusterBits: 9, clusters: mixed(512), snapshots: snapshots(512), compression: 'zstd' }).bytes,
	'version 2': () =>
		buildQcow2({
			version: 2,
			clusterBits: 9,
			clusters: [{ fill: 1 }, 'hole', { fill: 2 }],
			snapshots: [{ id: '1', name: 'x', clusters: [{ fill: 3 }], extraSize: 0 }],
		}).bytes,
	'extended L2': () =>
		buildQcow2({
			clusterBits: 14,
			extendedL2: true,
			clusters: [{ subclusters: 'dz-'.repeat(10).padEnd(32, 'd'), fill: 1 }, 'zero'],
			snapshots: [{ id: '1', name: 'x', clusters: [{ fill: 3 }] }],
		}).bytes,
	'backing file': () =>
		buildQcow2({ clusterBits: 9, clusters: [{ fill: 1 }, 'hole'], backing: { name: 'base.raw', format: 'raw' } }).bytes,
	'json: backing file': () =>
		buildQcow2({
			clusterBits: 9,
			clusters: ['hole'],
			backing: { name: 'json:{"driver":"raw","file":{"driver":"file","filename":"base.raw"}}' },
		}).bytes,
	'made by qemu-img, zlib': () => made('zlib'),
	'made by qemu-img, zstd': () => made('zstd'),
};

/** Real compressed data: a builder's own is too simple to reach far into a decoder. */
function made(compression: string): Buffer {
	using folder = new TempFolder();
	writeFileSync(
		folder.join('a.raw'),
		readFileSync(process.execPath).subarray(2 ** 20, 2 ** 20 + 40_000 - (40_000 % 512)),
	);
	qemuImg(
		'convert',
		'-c',
		'-f',
		'raw',
		'-O',
		'qcow2',
		'-o',
		`cluster_size=4k,compression_type=${compression}`,
		folder.join('a.raw'),
		folder.join('a.qcow2'),
	);
	qemuImg('snapshot', '-c', 'one', folder.join('a.qcow2'));
	return readFileSync(folder.join('a.qcow2'));
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

suite(`damaged images (STRATA_FUZZ_SEED=${SEED})`, () => {
	for (const [kind, build] of Object.entries(kinds)) {
		test(kind, () => {
			const good = build();
			const random = mulberry(SEED + kind.length);
			const bytes = Buffer.alloc(good.length);
			const below = (n: number) => Math.floor(random() * n);
			for (let i = 0; i < CASES_EACH; i++) {
				// A process opens one image, not thousands: what counts is what is held, not what V8 has yet to collect.
				if (i % 500 === 0) collectGarbage();
				good.copy(bytes);
				let length = good.length;
				// Half of the damage goes where it matters most: header, tables, descriptors.
				const place = () => (random() < 0.5 ? below(Math.min(256, good.length)) : below(good.length));
				const way = below(5);
				if (way === 0) length = below(good.length);
				else if (way === 1) for (let n = below(8) + 1; n > 0; n--) bytes[place()]! ^= 1 << below(8);
				else if (way === 2) for (let n = below(4) + 1; n > 0; n--) bytes[place()] = [0, 1, 0x7f, 0x80, 0xff][below(5)]!;
				else if (way === 3)
					for (let at = place(), end = Math.min(good.length, at + below(64)); at < end; at++) bytes[at] = below(256);
				else {
					const at = place();
					bytes.copy(bytes, at, below(good.length), good.length);
				}
				try {
					exercise(bytes.subarray(0, length), BASE);
				} catch (error) {
					throw new Error(`case ${i} of "${kind}", seed ${SEED}`, { cause: error });
				}
			}
		});
	}

	after(() => {
		const rss = resourceUsage().maxRSS / 1024;
		assert.ok(rss < MAX_RSS_MIB, `peak RSS was ${Math.round(rss)} MiB`);
	});
});
