import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc16 } from '../../../src/engine/util/crc16.js';

test('crc16 has the check value of CRC-16/ARC, in one piece or two', () => {
	const bytes = Buffer.from('123456789');
	assert.equal(crc16(0, bytes), 0xbb3d);
	assert.equal(crc16(crc16(0, bytes, 0, 4), bytes, 4), 0xbb3d);
});
