import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BlockRanges } from '../../../src/engine/compare/fast/block-ranges.js';
import { Random } from './random-history.js';

test('ranges are sorted and joined; empty ones are left out', () => {
	const ranges = BlockRanges.from([
		[10, 12],
		[1, 3],
		[12, 15],
		[2, 4],
		[7, 7],
	]);
	assert.deepEqual([...ranges.starts], [1, 10]);
	assert.deepEqual([...ranges.ends], [4, 15]);
	assert.equal(ranges.count(), 8);
});

test('nothing touches an empty set', () => {
	const ranges = BlockRanges.from([]);
	assert.equal(ranges.touches(0, 1e9), false);
	assert.equal(ranges.firstAfter(5), 0);
});

test('answers are those of a plain list, in any order of questions', () => {
	for (let seed = 1; seed <= 50; seed++) {
		const random = new Random(seed);
		const isIn = Array.from({ length: 200 }, () => random.chance(20));
		const ranges = BlockRanges.from(isIn.flatMap((is, i) => (is ? [[i, i + 1] as const] : [])));
		for (let n = 0; n < 200; n++) {
			const [block, count] = [random.int(220), random.int(5)];
			const expected = isIn.slice(block, block + count).some(Boolean);
			assert.equal(ranges.touches(block, count), expected, `seed ${seed}: ${block}, ${count}`);
		}
	}
});

test('blocks beyond 2^32', () => {
	const far = 2 ** 40;
	const ranges = BlockRanges.from([[far, far + 2]]);
	assert.ok(ranges.touches(far + 1, 1));
	assert.ok(!ranges.touches(far + 2, 1));
	assert.ok(!ranges.touches(far % 2 ** 32, 1));
});
