import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Pacer } from '../../src/extension/pacer.js';

test('a few pieces are done at once', () => {
	const pacer = new Pacer();
	assert.deepEqual(
		[1, 2, 3].map(each => pacer.make(() => each)),
		[1, 2, 3],
	);
});

test('many pieces are done in order, and let others have their turn', async () => {
	const pacer = new Pacer();
	const done: number[] = [];
	let turns = 0;
	let over = false;
	const count = () => {
		turns++;
		if (!over) setImmediate(count);
	};
	setImmediate(count);
	const pieces = Array.from({ length: 30 }, (_, index) =>
		pacer.make(() => {
			const until = performance.now() + 2;
			while (performance.now() < until);
			done.push(index);
			return index;
		}),
	);
	const results = await Promise.all(pieces.map(piece => Promise.resolve(piece)));
	over = true;
	assert.deepEqual(
		results,
		results.map((_, index) => index),
	);
	assert.deepEqual(done, results);
	assert.ok(turns > 2, `others had ${turns} turns`);
});

test('what fails late rejects', async () => {
	const pacer = new Pacer();
	void pacer.make(() => {
		const until = performance.now() + 20;
		while (performance.now() < until);
	});
	await assert.rejects(async () => await pacer.make(() => assert.fail('broken')), /broken/);
});
