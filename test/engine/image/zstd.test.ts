import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { execPath } from 'node:process';
import { suite, test } from 'node:test';
import { openImage } from '../../../src/engine/image/open-image.js';
import { decompressCluster, zstdFrameLength } from '../../../src/engine/image/qcow2/decompress.js';
import { decodeZstdBlocks } from '../../../src/engine/image/qcow2/zstd.js';
import { readBytes } from '../../../src/engine/io/source.js';
import { EngineError } from '../../../src/engine/util/errors.js';
import { mulberry } from '../../builders/qcow2.js';
import { TempFolder, qemuImg } from '../../oracles/qemu.js';
import { isError } from './image-suite.js';

const CLUSTER = 65536;
const random = mulberry(99);

/** Data that leads into every part of the format: machine code, text, few symbols, long matches, runs, noise. */
const CONTENTS = Buffer.concat([
	readFileSync(execPath).subarray(3_000_000, 3_000_000 + 4 * CLUSTER),
	Buffer.from(Array.from({ length: 9000 }, (_, i) => `line ${i} of some log, at ${i * 7919}\n`).join('')).subarray(
		0,
		4 * CLUSTER,
	),
	Buffer.from(Array.from({ length: CLUSTER }, () => Math.floor(random() ** 4 * 8))),
	Buffer.from(Array.from({ length: CLUSTER }, (_, i) => (i % 1000 === 0 ? Math.floor(random() * 256) : (i * 31) % 77))),
	Buffer.alloc(CLUSTER, 'ab'),
	Buffer.from(Array.from({ length: CLUSTER }, (_, i) => (i < CLUSTER / 2 ? Math.floor(random() * 256) : 7))),
]);

/** A frame header of a single segment of less than 256 bytes, and one block. */
function frame(kind: number, size: number, ...content: number[]): Uint8Array {
	const block = (size << 3) | (kind << 1) | 1;
	return Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0x20, 200, block & 0xff, (block >> 8) & 0xff, block >> 16, ...content);
}

suite('zstd', () => {
	test('decodes what QEMU compresses, at small and large clusters', () => {
		for (const clusterSize of ['4k', '64k', '1M']) {
			using folder = new TempFolder();
			writeFileSync(folder.join('a.raw'), CONTENTS);
			const options = `compression_type=zstd,cluster_size=${clusterSize}`;
			qemuImg('convert', '-c', '-f', 'raw', '-O', 'qcow2', '-o', options, folder.join('a.raw'), folder.join('a.qcow2'));
			using image = openImage(folder.join('a.qcow2'));
			assert.ok(CONTENTS.equals(readBytes(image.current(), 0, CONTENTS.length)));
		}
	});

	test('a frame is measured by its blocks, whatever follows', () => {
		const one = frame(1, 200, 7);
		assert.equal(zstdFrameLength(Buffer.concat([one, Buffer.alloc(50, 0xff)])), one.length);
		assert.deepEqual(decompressCluster('zstd', Buffer.concat([one, one]), 200, 0), new Uint8Array(200).fill(7));
	});

	for (const [name, bytes] of [
		['no frame', Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)],
		['nothing', new Uint8Array(0)],
		['a block that is cut', frame(0, 200, 1, 2, 3)],
		['a reserved block type', frame(3, 200, 1)],
		['a run longer than the cluster', frame(1, 2 ** 20, 1)],
		['too little', frame(1, 199, 1)],
		['a compressed block of nothing', frame(2, 0)],
		['a match before the start', frame(2, 9, 0, 1, 0x54, 0, 0, 0, 0xff, 0xff, 1)],
	] as const) {
		test(`${name} is an error`, () => {
			assert.throws(() => decompressCluster('zstd', bytes, 200, 0), isError('ERR_CORRUPT', 'compressed cluster'));
		});
	}

	test('a block of many matches of nothing ends at once', () => {
		// 100,000 sequences of the longest match: 13 GB, were they written.
		const content = new Uint8Array(100_000).fill(0xff);
		content.set([0x08, 7, 255, 0xff, 0xff, 0x54, 0, 2, 52]);
		const out = new Uint8Array(CLUSTER);
		assert.throws(() => decodeZstdBlocks(frame(2, content.length, ...content), 6, out), RangeError);
	});

	test('damaged frames end, with an error or as a cluster', () => {
		using folder = new TempFolder();
		writeFileSync(folder.join('a.raw'), CONTENTS.subarray(0, 8 * 4096));
		qemuImg(
			'convert',
			'-c',
			'-f',
			'raw',
			'-O',
			'qcow2',
			'-o',
			'compression_type=zstd,cluster_size=4k',
			folder.join('a.raw'),
			folder.join('a.qcow2'),
		);
		const file = readFileSync(folder.join('a.qcow2'));
		const at = file.indexOf(Buffer.from([0x28, 0xb5, 0x2f, 0xfd]));
		const good = file.subarray(at, at + zstdFrameLength(file.subarray(at)));
		const bytes = Buffer.alloc(good.length);
		for (let i = 0; i < 3000; i++) {
			good.copy(bytes);
			for (let n = 0; n < 3; n++) bytes[6 + Math.floor(random() * (bytes.length - 6))] = Math.floor(random() * 256);
			try {
				decompressCluster('zstd', bytes, 4096, 0);
			} catch (error) {
				assert.ok(EngineError.is(error, 'ERR_CORRUPT'), String(error));
			}
		}
	});
});
