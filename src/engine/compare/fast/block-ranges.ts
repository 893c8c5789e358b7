/** A set of blocks, as sorted ranges: asked 100,000 times in a scan, so it allocates nothing and remembers its place. */

export class BlockRanges {
	/** Where the last question was answered: questions come in rising order, mostly. */
	#at = 0;

	private constructor(
		/** First blocks of the ranges, rising; between two ranges there is at least one block. */
		readonly starts: Float64Array,
		/** One past their last blocks. */
		readonly ends: Float64Array,
	) {}

	/** From half-open ranges in any order, which may overlap. */
	static from(ranges: readonly (readonly [from: number, to: number])[]): BlockRanges {
		const sorted = [...ranges].sort((a, b) => a[0] - b[0]);
		const starts: number[] = [];
		const ends: number[] = [];
		for (const [from, to] of sorted) {
			const last = ends.length - 1;
			if (to <= from) continue;
			if (last >= 0 && from <= ends[last]!)
				ends[last] = Math.max(ends[last]!, to); // OK: last is inside.
			else {
				starts.push(from);
				ends.push(to);
			}
		}
		return new BlockRanges(Float64Array.from(starts), Float64Array.from(ends));
	}

	/** Number of ranges. */
	get length(): number {
		return this.starts.length;
	}

	/** Number of blocks. */
	count(): number {
		let count = 0;
		for (let i = 0; i < this.length; i++) count += this.ends[i]! - this.starts[i]!; // OK: i is inside.
		return count;
	}

	/** Whether any of the `count` blocks from `block` is in the set. */
	touches(block: number, count: number): boolean {
		const i = this.firstAfter(block);
		return count > 0 && i < this.length && this.starts[i]! < block + count; // OK: i is inside.
	}

	/** Index of the first range that ends after `block`; `length` when there is none. */
	firstAfter(block: number): number {
		const { ends } = this;
		let at = this.#at;
		// OK: below, an index outside compares as false.
		if (at < ends.length && block < ends[at]! && (at === 0 || ends[at - 1]! <= block)) return at;
		let low = 0;
		at = ends.length;
		while (low < at) {
			const middle = (low + at) >>> 1;
			if (ends[middle]! <= block) low = middle + 1;
			else at = middle;
		}
		this.#at = at;
		return at;
	}
}
