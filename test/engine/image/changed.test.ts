import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { BitSet } from '../../../src/engine/image/bits.js';
import { changedRanges } from '../../../src/engine/image/changed.js';
import type { DiskView } from '../../../src/engine/image/image.js';
import { openImage } from '../../../src/engine/image/open-image.js';
import { MappedSlice } from '../../../src/engine/io/slice.js';
import { readBytes } from '../../../src/engine/io/source.js';
import { buildQcow2, mulberry, type Cluster, type Qcow2Description } from '../../builders/qcow2.js';
import { MemoryFiles } from './memory-files.js';

const BITS = 9;
const CLUSTER = 2 ** BITS;

/** Everything that differs is marked, and of a disk that is shared nothing else: both ways of comparing agree. */
function checkChanged(a: DiskView, b: DiskView, what: string): void {
	const fast = changedRanges(a, b);
	// A slice is no view of the image: it is compared by extents.
	const slow = changedRanges(new MappedSlice(a, 0, a.size), new MappedSlice(b, 0, b.size));
	const size = Math.max(a.size, b.size);
	const x = Buffer.concat([readBytes(a, 0, a.size), Buffer.alloc(size - a.size)]);
	const y = Buffer.concat([readBytes(b, 0, b.size), Buffer.alloc(size - b.size)]);
	for (let at = 0; at < size; at += fast.granularity) {
		const length = Math.min(fast.granularity, size - at);
		if (!x.subarray(at, at + length).equals(y.subarray(at, at + length))) {
			assert.ok(fast.has(at, length), `${what}: the change at ${at} is missing`);
			assert.ok(slow.has(at, length), `${what}: the change at ${at} is missing from the slow way`);
		}
		// The tables know nothing finer than a cluster; extents know subclusters.
		if (what !== 'subclusters') assert.equal(fast.has(at, length), slow.has(at, length), `${what} at ${at}`);
	}
	let sum = 0;
	let last = -1;
	for (const { offset, length } of fast.ranges()) {
		assert.ok(last < offset);
		last = offset + length;
		sum += Math.ceil(length / fast.granularity);
		assert.ok(fast.has(offset, 1) && fast.has(offset + length - 1, 1));
		if (offset > 0) assert.equal(fast.has(offset - 1, 1), false);
	}
	assert.ok(last <= size);
	assert.equal(sum, fast.count);
}

test('random histories: exactly what is mapped otherwise may differ', () => {
	for (let seed = 1; seed <= 40; seed++) {
		const random = mulberry(seed);
		const pool: Cluster[] = [
			'hole',
			'zero',
			{ zeroOver: 9 },
			{ fill: 1 },
			{ fill: 2 },
			{ fill: 3 },
			{ compressed: Buffer.alloc(CLUSTER, 5) },
		];
		const start = Array.from({ length: 200 }, () => pool[Math.floor(random() * pool.length)]!);
		const states = [start];
		for (let i = 0; i < 3; i++) {
			const next = [...states.at(-1)!];
			for (let n = 0; n < 5; n++) next[Math.floor(random() * next.length)] = pool[Math.floor(random() * pool.length)]!;
			const length = random() < 0.3 ? 100 + Math.floor(random() * 120) : next.length;
			while (next.length < length) next.push('hole');
			next.length = length;
			states.push(next);
		}
		const description: Qcow2Description = {
			clusterBits: BITS,
			clusters: states[0]!,
			snapshots: states.slice(1).map((clusters, i) => ({ id: String(i + 1), name: `s${i}`, clusters })),
			...(seed % 2 === 0 ? { backing: { name: 'base.raw', format: 'raw' } } : {}),
			seed,
		};
		const files = new MemoryFiles({
			'/d/a': buildQcow2(description).bytes,
			'/d/base.raw': Buffer.alloc(90 * CLUSTER + 7, 0x42),
		});
		using image = openImage('/d/a', { files });
		const views = [image.current(), ...image.snapshots.map(each => image.atSnapshot(each.id))];
		for (const a of views) for (const b of views) checkChanged(a, b, `seed ${seed}`);
		assert.equal(changedRanges(views[0]!, views[0]!).count, 0);
	}
});

test('subclusters, and version 2', () => {
	const s = (subclusters: string, fill: number): Cluster => ({ subclusters: subclusters.padEnd(32, '-'), fill });
	const shared = s('dd', 5);
	const description: Qcow2Description = {
		clusterBits: 14,
		extendedL2: true,
		clusters: [shared, s('zz', 1), 'hole', s('z'.repeat(32), 1), s('d', 1)],
		snapshots: [{ id: '1', name: 'x', clusters: [shared, 'hole', 'zero', 'hole', s('dz', 1)] }],
	};
	using image = openImage('/d/a', { files: new MemoryFiles({ '/d/a': buildQcow2(description).bytes }) });
	checkChanged(image.current(), image.atSnapshot('1'), 'subclusters');
	assert.deepEqual(
		[...changedRanges(image.current(), image.atSnapshot('1')).ranges()],
		[{ offset: 4 * 2 ** 14, length: 2 ** 14 }],
	);
});

test('a damaged table may differ', () => {
	const built = buildQcow2({
		clusterBits: BITS,
		clusters: [{ fill: 1 }],
		snapshots: [{ id: '1', name: 'x', clusters: [{ fill: 2 }] }],
	});
	built.bytes.writeBigUInt64BE(777n << 9n, built.l1OffsetOf(1));
	using image = openImage('/d/a', { files: new MemoryFiles({ '/d/a': built.bytes }) });
	assert.equal(changedRanges(image.current(), image.atSnapshot('1')).has(0, 1), true);
});

test('views of two images have nothing in common but zeros', () => {
	const { bytes } = buildQcow2({ clusterBits: BITS, clusters: [{ fill: 1 }, 'hole', 'zero'] });
	const files = new MemoryFiles({ '/d/a': bytes });
	using a = openImage('/d/a', { files });
	using b = openImage('/d/a', { files });
	assert.deepEqual([...changedRanges(a.current(), b.current()).ranges()], [{ offset: 0, length: CLUSTER }]);
});

test('a disk of 2^53 bytes costs no more than others', () => {
	const { bytes } = buildQcow2({
		clusterBits: BITS,
		clusters: [{ fill: 1 }],
		snapshots: [{ id: '1', name: 'x', clusters: [{ fill: 2 }], diskSize: CLUSTER * 64 }],
	});
	const built = buildQcow2({
		clusterBits: BITS,
		clusters: [{ fill: 1 }],
		snapshots: [{ id: '1', name: 'x', clusters: [{ fill: 2 }], diskSize: CLUSTER * 64 }],
	});
	bytes.writeBigUInt64BE(BigInt(2 ** 53 - 1), built.snapshotsOffset + 48);
	using image = openImage('/d/a', { files: new MemoryFiles({ '/d/a': bytes }) });
	const changed = changedRanges(image.current(), image.atSnapshot('1'));
	assert.ok(changed.granularity >= 2 ** 26);
	assert.ok(changed.has(0, 1) && changed.has(2 ** 52, 1));
});

suite('BitSet', () => {
	test('agrees with an array of booleans', () => {
		const random = mulberry(7);
		for (const length of [0, 1, 31, 32, 33, 500]) {
			const bits = new BitSet(length);
			const plain = new Array<boolean>(length).fill(false);
			for (let i = 0; i < 5; i++) {
				const from = Math.floor(random() * length);
				const to = from + Math.floor(random() * (length - from + 1));
				bits.set(from, to);
				plain.fill(true, from, to);
				assert.equal(bits.count(), plain.filter(Boolean).length);
				for (let at = 0; at <= length; at++) {
					const next = (value: boolean) => (plain.indexOf(value, at) < 0 ? length : plain.indexOf(value, at));
					assert.equal(bits.next(at, 1), next(true));
					assert.equal(bits.next(at, 0), next(false));
					assert.equal(bits.hasAny(at, at + 3), plain.slice(at, at + 3).includes(true));
				}
			}
		}
	});
});
