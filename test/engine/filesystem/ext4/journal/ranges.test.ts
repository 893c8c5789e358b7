import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BlockRun } from '../../../../../src/engine/filesystem/ext4/core.js';
import { lastChanges, layRanges } from '../../../../../src/engine/filesystem/ext4/journal/ranges.js';
import type { RangeChange } from '../../../../../src/engine/filesystem/ext4/journal/ranges.js';
import { randomFrom } from '../../../../oracles/workload.js';

const BLOCKS = 40;

/** Block by block: where it is kept, and whether it was written; `undefined` in a hole. */
function paint(stored: readonly BlockRun[], changes: readonly RangeChange[]): (string | undefined)[] {
	const blocks: (string | undefined)[] = new Array<string | undefined>(BLOCKS).fill(undefined);
	for (const { logical, physical, count, unwritten } of stored) {
		for (let n = 0; n < count; n++) blocks[logical + n] = `${physical + n}${unwritten ? 'u' : ''}`;
	}
	for (const { logical, physical, length, unwritten } of changes) {
		for (let n = 0; n < length; n++) {
			blocks[logical + n] = physical === undefined ? undefined : `${physical + n}${unwritten ? 'u' : ''}`;
		}
	}
	return blocks;
}

test('ranges laid over runs are what painting block by block gives', () => {
	for (let seed = 1; seed <= 1000; seed++) {
		const random = randomFrom(seed);
		const int = (below: number) => Math.floor(random() * below);
		const stored: BlockRun[] = [];
		for (let at = int(5); at < BLOCKS;) {
			const count = Math.min(1 + int(6), BLOCKS - at);
			stored.push({ logical: at, physical: 1000 + int(1000), count, unwritten: random() < 0.3 });
			at += count + int(4);
		}
		const changes: RangeChange[] = [];
		for (let n = int(8); n > 0; n--) {
			const logical = int(BLOCKS);
			const physical = random() < 0.3 ? undefined : 5000 + int(1000);
			changes.push({ logical, length: int(BLOCKS - logical + 1), physical, unwritten: random() < 0.3 });
		}
		const runs = [...layRanges(stored, lastChanges(changes))];
		let last = 0;
		for (const { logical, count } of runs) {
			assert.ok(last <= logical && count > 0, `in order, not empty (seed ${seed})`);
			last = logical + count;
		}
		assert.deepEqual(paint(runs, []), paint(stored, changes), `seed ${seed}`);
	}
});

test('thirty thousand overlapping changes end', () => {
	const changes = Array.from({ length: 30_000 }, (_, n) => ({
		logical: (n * 7919) % 30_000,
		length: 15_000,
		physical: n,
		unwritten: false,
	}));
	assert.ok(lastChanges(changes).length > 0);
});
