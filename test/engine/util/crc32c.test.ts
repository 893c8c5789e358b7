import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32c } from '../../../src/engine/util/crc32c.js';

/** The usual form: inverted on the way in and out. */
const checksum = (bytes: Uint8Array): number => (crc32c(0xffffffff, bytes) ^ 0xffffffff) >>> 0;

test('crc32c agrees with the vectors of RFC 3720, B.4', () => {
	assert.equal(checksum(new Uint8Array(32)), 0x8a9136aa);
	assert.equal(checksum(new Uint8Array(32).fill(0xff)), 0x62a8ab43);
	assert.equal(checksum(Uint8Array.from({ length: 32 }, (_, i) => i)), 0x46dd794e);
	assert.equal(checksum(Uint8Array.from({ length: 32 }, (_, i) => 31 - i)), 0x113fdb5c);
	assert.equal(checksum(Buffer.from('123456789')), 0xe3069283);
});

test('crc32c of parts, chained, is that of the whole', () => {
	const bytes = Uint8Array.from({ length: 100 }, (_, i) => (i * 37) & 0xff);
	for (let cut = 0; cut <= 100; cut++) {
		assert.equal(crc32c(crc32c(1, bytes, 0, cut), bytes, cut), crc32c(1, bytes));
		assert.equal(crc32c(crc32c(1, bytes.subarray(0, cut)), bytes.subarray(cut)), crc32c(1, bytes));
	}
});
