import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import type { TimelineRow } from '../../src/shared/timeline-protocol.js';
import { MAX_LANES, layoutLanes, type LaneNode } from '../../webview/lanes.js';
import { TimelineState } from '../../webview/timeline-state.js';

const node = (id: string, parent: string | null): LaneNode => ({ id, parent, group: 0 });

/** `o` the dot, `|` a line that passes, `\` one that joins. */
function draw(nodes: readonly LaneNode[]): string[] {
	return layoutLanes(nodes).map(row => {
		const cells: string[] = [];
		for (const { lane } of row.through) cells[lane] = '|';
		for (const { lane } of row.joins) cells[lane] = '\\';
		cells[row.lane] = 'o';
		return Array.from(cells, cell => cell ?? ' ').join('');
	});
}

suite('lanes', () => {
	test('a line of snapshots is one lane', () => {
		assert.deepEqual(draw([node('c', 'b'), node('b', 'a'), node('a', null)]), ['o', 'o', 'o']);
	});

	test('a branch has its own lane and joins where it began', () => {
		assert.deepEqual(draw([node('current', 'b'), node('x', 'a'), node('b', 'a'), node('a', null)]), [
			'o',
			'|o',
			'o|',
			'o\\',
		]);
	});

	test('lanes are used again', () => {
		assert.deepEqual(draw([node('d', 'c'), node('c', null), node('b', 'a'), node('a', null)]), ['o', 'o', 'o', 'o']);
	});

	test('a parent that stands above, or nowhere, gets no line', () => {
		assert.deepEqual(draw([node('a', 'b'), node('b', 'a'), node('c', 'gone')]), ['o', 'o', 'o']);
	});

	test('every line begins at a child and ends at its parent', () => {
		const forest = fc
			.array(fc.option(fc.nat(1000)), { minLength: 1, maxLength: 60 })
			.map(parents =>
				parents.map((parent, i) =>
					node(
						`n${i}`,
						parent === null || i === parents.length - 1 ? null : `n${i + 1 + (parent % (parents.length - 1 - i))}`,
					),
				),
			);
		fc.assert(
			fc.property(forest, nodes => {
				const rows = layoutLanes(nodes);
				let alive = 0;
				for (const [i, row] of rows.entries()) {
					const children = nodes.filter(each => each.parent === nodes[i]!.id).length;
					assert.equal(row.hasChild, children > 0);
					assert.equal(row.joins.length, Math.max(0, children - 1));
					assert.equal(row.hasParent, nodes[i]!.parent !== null);
					assert.equal(row.through.length, alive - children);
					if (alive < MAX_LANES)
						assert.equal(
							new Set([row.lane, ...row.through.map(l => l.lane), ...row.joins.map(l => l.lane)]).size,
							1 + row.through.length + row.joins.length,
						);
					alive += (row.hasParent ? 1 : 0) - children;
				}
				assert.equal(alive, 0);
			}),
			{ numRuns: 300, seed: 3 },
		);
	});
});

suite('timeline state', () => {
	const row = (id: string, time: string, parent: string | null, more: Partial<TimelineRow> = {}): TimelineRow => ({
		id,
		source: 'm',
		state: id,
		label: id,
		time,
		parent,
		inferred: false,
		isPosition: false,
		safety: false,
		facts: [],
		note: '',
		spoken: id,
		tokens: 'snapshot',
		...more,
	});
	const filled = () => {
		const state = new TimelineState();
		state.setRows(
			[{ id: 'm', name: 'dev', status: '' }],
			[
				row('a', '2026-01-01T10:00:00Z', null),
				row('b', '2026-01-02T10:00:00Z', 'a', { facts: ['memory'] }),
				row('c', '2026-01-03T10:00:00Z', 'b'),
			],
		);
		return state;
	};
	const shown = (state: TimelineState) => state.items.flatMap(item => (item.kind === 'row' ? [item.row.id] : []));

	test('newest first, with a row for each day', () => {
		assert.deepEqual(shown(filled()), ['c', 'b', 'a']);
		assert.equal(filled().items.filter(item => item.kind === 'day').length, 3);
	});

	test('what a filter hides keeps the line to the next that is shown', () => {
		const state = filled();
		state.filter = 'a';
		state.hideOthers = true;
		const rows = state.rows.map(each =>
			each.id === 'c' ? { ...each, note: 'a' } : each.id === 'b' ? { ...each, facts: [], label: 'x' } : each,
		);
		state.setRows([{ id: 'm', name: 'dev', status: '' }], rows);
		assert.deepEqual(shown(state), ['c', 'a']);
		assert.equal(state.items.find(item => item.kind === 'row' && item.row.id === 'c')!.kind === 'row', true);
		const first = state.items.find(item => item.kind === 'row');
		assert.ok(first?.kind === 'row' && first.lanes.hasParent);
	});

	test('a filter that only fades keeps what is drawn as before', () => {
		const state = filled();
		const [before, shape] = [state.items, state.shape];
		state.filter = 'nothing has this';
		state.refresh();
		assert.equal(state.matchCount, 0);
		assert.equal(state.shape, shape);
		assert.ok(state.items.every((item, i) => (item.kind === 'day' ? item === before[i] : !item.matches)));
		state.filter = '';
		state.refresh();
		assert.ok(state.items.every(item => item.kind === 'day' || item.matches));
		state.setRows([], []);
		assert.deepEqual(shown(state), []);
		assert.equal(state.neighbour(1), null);
	});

	test('compare takes the base, else the oldest selected', () => {
		const state = filled();
		assert.equal(state.comparison(), undefined);
		state.select('c', 'single');
		state.select('a', 'toggle');
		assert.deepEqual(state.comparison(), { base: 'a', targets: ['c'] });
		state.base = 'b';
		assert.deepEqual(state.comparison(), { base: 'b', targets: ['c', 'a'] });
	});

	test('shift takes a range, arrows walk and stop at the ends', () => {
		const state = filled();
		state.select('c', 'single');
		state.select('a', 'range');
		assert.deepEqual([...state.selected].sort(), ['a', 'b', 'c']);
		assert.equal(state.neighbour(1), 'a');
		assert.equal(state.neighbour(-1), 'b');
	});

	test('what is gone leaves the selection', () => {
		const state = filled();
		state.select('a', 'single');
		state.base = 'a';
		state.setRows(state.machines, [row('z', '2026-01-01T10:00:00Z', null)]);
		assert.equal(state.selected.size, 0);
		assert.equal(state.base, null);
	});

	test('10,000 snapshots are laid out within a frame or few', () => {
		const state = new TimelineState();
		const rows = Array.from({ length: 10_000 }, (_, i) =>
			row(
				`s${i}`,
				new Date(1.7e12 + i * 60_000).toISOString(),
				i === 0 ? null : `s${Math.max(0, i - 1 - (i % 7 === 0 ? 5 : 0))}`,
			),
		);
		state.setRows([{ id: 'm', name: 'dev', status: '' }], rows);
		assert.equal(shown(state).length, 10_000);
	});
});
