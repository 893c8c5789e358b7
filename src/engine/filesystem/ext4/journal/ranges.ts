/** Runs of a file with later changes laid over them. */
import type { BlockRun } from '../core.js';

/** One change: from now on `[logical, logical + length)` is kept at `physical` and after, or nowhere (`undefined`). */
export interface RangeChange {
	readonly logical: number;
	readonly length: number;
	readonly physical: number | undefined;
	readonly unwritten: boolean;
}

/** A part of a file in which one change is the last one. Half-open. */
export interface ChangedPart {
	readonly from: number;
	readonly to: number;
	readonly change: RangeChange;
}

/**
 * Where each change still shows, in order of blocks and without overlaps. `changes` are in the order in which they
 * happened.
 *
 * A sweep over their ends with the newest change on top of a heap: changes come from an image, and there may be many.
 */
export function lastChanges(changes: readonly RangeChange[]): ChangedPart[] {
	const ends: { readonly at: number; readonly order: number }[] = [];
	for (const [order, change] of changes.entries()) {
		ends.push({ at: change.logical, order }, { at: change.logical + change.length, order });
	}
	ends.sort((a, b) => a.at - b.at);
	const parts: ChangedPart[] = [];
	const open = new NewestFirst();
	for (let n = 0; n < ends.length;) {
		const { at } = ends[n]!; // OK: n < length.
		for (; n < ends.length && ends[n]!.at === at; n++) {
			const { order } = ends[n]!; // OK: as above.
			if (changes[order]!.logical === at) open.push(order); // OK: orders are indexes. Empty changes close at once.
		}
		// What has ended is dropped when it comes to the top.
		let top = open.top();
		for (; top !== undefined && endOf(changes[top]!) <= at; top = open.top()) open.pop();
		if (top === undefined) continue;
		const to = ends[n]?.at;
		const change = changes[top]!; // OK: as above.
		const before = parts.at(-1);
		if (to === undefined) break; // OK: the last end closes everything; an open change here has ended.
		if (before?.change === change && before.to === at) parts[parts.length - 1] = { from: before.from, to, change };
		else parts.push({ from: at, to, change });
	}
	return parts;
}

function endOf(change: RangeChange): number {
	return change.logical + change.length;
}

/** `stored` with the changed parts cut out of it and put over it, in order. */
export function* layRanges(stored: Iterable<BlockRun>, parts: readonly ChangedPart[]): Generator<BlockRun> {
	let n = 0;
	for (const run of stored) {
		const end = run.logical + run.count;
		for (let at = run.logical; at < end;) {
			const part = parts[n];
			if (!part || end <= part.from) {
				yield cut(run, at, end);
				break;
			}
			if (at < part.from) yield cut(run, at, part.from);
			// The part may begin before the run, in a hole, and end behind it.
			if (part.to <= end) {
				yield* runOf(part);
				n++;
				at = Math.max(at, part.to);
			} else {
				break;
			}
		}
	}
	for (; n < parts.length; n++) yield* runOf(parts[n]!); // OK: n < length.
}

function cut(run: BlockRun, from: number, to: number): BlockRun {
	return { logical: from, physical: run.physical + (from - run.logical), count: to - from, unwritten: run.unwritten };
}

function* runOf({ from, to, change }: ChangedPart): Generator<BlockRun> {
	if (change.physical === undefined) return;
	const physical = change.physical + (from - change.logical);
	yield { logical: from, physical, count: to - from, unwritten: change.unwritten };
}

/** A binary heap of numbers, the largest on top. */
class NewestFirst {
	readonly #items: number[] = [];

	top(): number | undefined {
		return this.#items[0];
	}

	push(item: number): void {
		const items = this.#items;
		let at = items.push(item) - 1;
		while (at > 0) {
			const parent = (at - 1) >>> 1;
			if (item <= items[parent]!) break; // OK: parent < at.
			items[at] = items[parent]!;
			at = parent;
		}
		items[at] = item;
	}

	pop(): void {
		const items = this.#items;
		const item = items.pop();
		if (item === undefined || items.length === 0) return;
		let at = 0;
		for (;;) {
			let child = at * 2 + 1;
			if (items.length <= child) break;
			if (child + 1 < items.length && items[child]! < items[child + 1]!) child++; // OK: both are inside.
			if (items[child]! <= item) break;
			items[at] = items[child]!;
			at = child;
		}
		items[at] = item;
	}
}
