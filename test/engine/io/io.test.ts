import assert from 'node:assert/strict';
import { renameSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { suite, test } from 'node:test';
import { CachedSource } from '../../../src/engine/io/cache.js';
import { FileSource } from '../../../src/engine/io/file.js';
import { LOCAL_FILES } from '../../../src/engine/io/host-files.js';
import { compressedVariant, isSameAt, nextFileNumber, shiftIdentity } from '../../../src/engine/io/identity.js';
import { MemorySource } from '../../../src/engine/io/memory.js';
import { MappedSlice, SliceSource } from '../../../src/engine/io/slice.js';
import { readBytes, type Extent, type MappedSource } from '../../../src/engine/io/source.js';
import { mulberry } from '../../builders/qcow2.js';
import { TempFolder } from '../../oracles/qemu.js';
import { isError } from '../image/image-suite.js';

const CONTENT = Buffer.from(Array.from({ length: 1000 }, (_, i) => i % 251));

suite('sources of bytes', () => {
	test('a file reads anywhere, and no further', () => {
		using folder = new TempFolder();
		writeFileSync(folder.join('a'), CONTENT);
		using file = FileSource.open(folder.join('a'));
		assert.ok(CONTENT.equals(readBytes(file, 0, 1000)));
		assert.ok(CONTENT.subarray(999).equals(readBytes(file, 999, 1)));
		assert.throws(() => readBytes(file, 999, 2), isError('ERR_IO'));
		assert.throws(() => readBytes(file, -1, 1), isError('ERR_IO'));
		truncateSync(folder.join('a'), 500);
		assert.throws(() => readBytes(file, 400, 200), isError('ERR_IO'));
	});

	test('a stamp tells a file that was written, replaced or removed', () => {
		using folder = new TempFolder();
		const path = folder.join('a');
		writeFileSync(path, 'one');
		using file = LOCAL_FILES.open(path);
		const before = file.stamp();
		assert.equal(file.stamp(), before);
		writeFileSync(folder.join('b'), 'two');
		renameSync(folder.join('b'), path);
		assert.notEqual(file.stamp(), before);
		renameSync(path, folder.join('b'));
		assert.equal(file.stamp(), 'gone');
	});

	test('real paths', () => {
		using folder = new TempFolder();
		writeFileSync(folder.join('a'), '');
		symlinkSync('a', folder.join('link'));
		assert.equal(LOCAL_FILES.realPath(folder.join('link')), LOCAL_FILES.realPath(folder.join('a')));
		assert.throws(() => LOCAL_FILES.realPath(folder.join('gone')), isError('ERR_NOT_FOUND'));
	});

	test('slices and caches give the same bytes as what they read from', () => {
		const random = mulberry(5);
		const slice = new SliceSource(new MemorySource(CONTENT), 100, 800);
		const cached = new CachedSource(slice, { blockSize: 64, blocks: 3, bypass: 150 });
		for (let i = 0; i < 300; i++) {
			const offset = Math.floor(random() * 801);
			const length = Math.floor(random() ** 2 * (801 - offset));
			assert.ok(CONTENT.subarray(100 + offset, 100 + offset + length).equals(readBytes(cached, offset, length)));
		}
		assert.throws(() => readBytes(cached, 800, 1), isError('ERR_IO'));
		assert.throws(() => new SliceSource(slice, 700, 101), isError('ERR_IO'));
	});
});

suite('identities', () => {
	const extent = (offset: number, host: number, variant = 0): Extent => ({
		offset,
		length: 100,
		kind: 'data',
		identity: { file: 1, offset: host, variant },
	});

	test('runs of plain data are the same where their host offsets meet', () => {
		assert.equal(isSameAt(extent(0, 1000), extent(50, 1050), 60), true);
		assert.equal(isSameAt(extent(0, 1000), extent(50, 1051), 60), false);
		assert.equal(
			isSameAt(extent(0, 1000), { ...extent(0, 1000), identity: { file: 2, offset: 1000, variant: 0 } }, 0),
			false,
		);
		assert.equal(isSameAt({ offset: 0, length: 5, kind: 'data' }, { offset: 0, length: 5, kind: 'data' }, 0), false);
		assert.equal(isSameAt({ offset: 0, length: 5, kind: 'zero' }, { offset: 3, length: 5, kind: 'zero' }, 3), true);
		assert.equal(isSameAt(extent(0, 0), { offset: 0, length: 5, kind: 'zero' }, 0), false);
	});

	test('compressed clusters are the same at the same place within', () => {
		const whole = extent(0, 777, compressedVariant(512, 0));
		assert.equal(isSameAt(whole, extent(40, 777, compressedVariant(512, 40)), 50), true);
		assert.equal(isSameAt(whole, extent(40, 777, compressedVariant(512, 41)), 50), false);
		assert.equal(isSameAt(whole, extent(0, 777, compressedVariant(1024, 0)), 0), false);
		assert.equal(isSameAt(whole, extent(0, 777), 0), false);
		assert.deepEqual(shiftIdentity(whole.identity!, 7), { file: 1, offset: 777, variant: compressedVariant(512, 7) });
		assert.deepEqual(shiftIdentity({ file: 1, offset: 5, variant: 0 }, 7), { file: 1, offset: 12, variant: 0 });
	});

	test('a slice of a disk keeps the identities, at its own offsets', () => {
		class Disk extends MemorySource implements MappedSource {
			readonly blockSize = 100;
			*extents(from = 0, to = this.size): Generator<Extent> {
				yield { offset: from, length: to - from, kind: 'data', identity: { file: 9, offset: 5000 + from, variant: 0 } };
			}
		}
		const slice = new MappedSlice(new Disk(CONTENT), 100, 800);
		assert.deepEqual(
			[...slice.extents(10, 20)],
			[{ offset: 10, length: 10, kind: 'data', identity: { file: 9, offset: 5110, variant: 0 } }],
		);
	});

	test('file numbers are never used twice', () => {
		assert.notEqual(nextFileNumber(), nextFileNumber());
	});
});
