/** A fixed number of bits, each for `granularity` bytes of a disk. */
export class BitSet {
	readonly #words: Uint32Array;

	constructor(readonly length: number) {
		this.#words = new Uint32Array(Math.ceil(length / 32));
	}

	/** Set the bits `[from, to)`, which lie inside. */
	set(from: number, to: number): void {
		for (let bit = from; bit < to;) {
			const word = Math.floor(bit / 32);
			if (bit % 32 === 0 && bit + 32 <= to) {
				this.#words[word] = 0xffffffff;
				bit += 32;
			} else {
				this.#words[word]! |= 1 << (bit % 32); // OK: bit < length.
				bit++;
			}
		}
	}

	/** Whether any of the bits `[from, to)` is set. Bits outside are not. */
	hasAny(from: number, to: number): boolean {
		return this.next(from, 1) < Math.min(to, this.length);
	}

	/** The first bit at or after `from` that is set (`value` 1) or not (0); `length` when there is none. */
	next(from: number, value: 0 | 1): number {
		if (this.length <= from) return this.length;
		const flip = value === 1 ? 0 : 0xffffffff;
		let word = Math.floor(from / 32);
		// OK: from < length, and the loop ends with the words.
		let bits = ((this.#words[word]! ^ flip) & (0xffffffff << (from % 32))) >>> 0;
		while (bits === 0) {
			word++;
			if (this.#words.length <= word) return this.length;
			bits = (this.#words[word]! ^ flip) >>> 0;
		}
		return Math.min(this.length, word * 32 + 31 - Math.clz32(bits & -bits));
	}

	/** Number of set bits. */
	count(): number {
		let count = 0;
		for (let from = this.next(0, 1); from < this.length;) {
			const to = this.next(from, 0);
			count += to - from;
			from = this.next(to, 1);
		}
		return count;
	}
}
