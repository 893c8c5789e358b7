/** Entropy coding of zstd: bit streams, FSE tables, Huffman tables. Source: RFC 8878, section 4. */

const MAX_HUFFMAN_BITS = 11;
const MAX_WEIGHT_ACCURACY = 6;

/** By state: the symbol, how many bits follow, and what they are added to for the next state. */
export interface FseTable {
	readonly accuracy: number;
	readonly symbols: Uint8Array;
	readonly lengths: Uint8Array;
	readonly bases: Uint16Array;
}

/** By the next `maxBits` bits: the symbol, and how many of the bits are its. */
export interface HuffmanTable {
	readonly maxBits: number;
	readonly symbols: Uint8Array;
	readonly lengths: Uint8Array;
}

/** A stream that is read from its end, where a 1 bit marks the start. */
export class BackwardBits {
	/** Bits not yet read. Below 0 when more was read than there is. */
	left: number;

	constructor(private readonly bytes: Uint8Array) {
		const last = bytes[bytes.length - 1];
		if (last === undefined || last === 0) throw new RangeError('a bit stream without an end mark');
		this.left = bytes.length * 8 - 8 + (31 - Math.clz32(last));
	}

	/** The next `count` bits (at most 24), zeros where there are none. */
	peek(count: number): number {
		const at = this.left - count;
		if (at <= -count) return 0;
		const { bytes } = this;
		const from = at < 0 ? 0 : at;
		const byte = from >>> 3;
		// Past the end there is nothing: the marker is the last bit.
		const word =
			(bytes[byte] ?? 0) |
			((bytes[byte + 1] ?? 0) << 8) |
			((bytes[byte + 2] ?? 0) << 16) |
			((bytes[byte + 3] ?? 0) << 24);
		if (at < 0) return ((word & ((1 << this.left) - 1)) << -at) >>> 0;
		return (word >>> (from & 7)) & ((1 << count) - 1);
	}

	skip(count: number): void {
		this.left -= count;
		if (this.left < 0) throw new RangeError('a bit stream is cut');
	}

	read(count: number): number {
		const value = this.peek(count);
		this.skip(count);
		return value;
	}
}

export function rleTable(symbol: number): FseTable {
	return { accuracy: 0, symbols: Uint8Array.of(symbol), lengths: Uint8Array.of(0), bases: Uint16Array.of(0) };
}

/** RFC 8878, 4.1.1: the table of a distribution. -1 stands for "less than one", which takes one cell at the end. */
export function fseTable(distribution: readonly number[], accuracy: number): FseTable {
	const size = 2 ** accuracy;
	const symbols = new Uint8Array(size);
	const next = new Uint16Array(distribution.length);
	let end = size;
	distribution.forEach((count, symbol) => {
		next[symbol] = count < 0 ? 1 : count;
		if (count < 0) symbols[--end] = symbol;
	});
	const step = (size >>> 1) + (size >>> 3) + 3;
	let at = 0;
	distribution.forEach((count, symbol) => {
		for (let i = 0; i < count; i++) {
			symbols[at] = symbol;
			do at = (at + step) % size;
			while (end <= at);
		}
	});
	if (at !== 0) throw new RangeError('an FSE table that does not add up');
	const lengths = new Uint8Array(size);
	const bases = new Uint16Array(size);
	for (let state = 0; state < size; state++) {
		const symbol = symbols[state]!; // OK: state < size.
		const value = next[symbol]!++; // OK: one a symbol.
		const length = accuracy - (31 - Math.clz32(value));
		lengths[state] = length;
		bases[state] = (value << length) - size;
	}
	return { accuracy, symbols, lengths, bases };
}

/** RFC 8878, 4.1.1. `length` is what the description takes. */
export function decodeFseTable(
	bytes: Uint8Array,
	maxAccuracy: number,
	maxSymbol: number,
): { table: FseTable; length: number } {
	let position = 0;
	const read = (count: number) => {
		const byte = position >>> 3;
		if (bytes.length * 8 < position + count) throw new RangeError('an FSE table is cut');
		const word = (bytes[byte] ?? 0) | ((bytes[byte + 1] ?? 0) << 8) | ((bytes[byte + 2] ?? 0) << 16);
		const value = (word >>> (position & 7)) & ((1 << count) - 1);
		position += count;
		return value;
	};
	const accuracy = read(4) + 5;
	if (maxAccuracy < accuracy) throw new RangeError('an FSE table that is too fine');
	const distribution: number[] = [];
	let remaining = 2 ** accuracy;
	while (0 < remaining) {
		// The value is in [0, remaining + 1]: the low ones take a bit less.
		const bits = 32 - Math.clz32(remaining + 1);
		const spare = 2 ** bits - 1 - (remaining + 1);
		const half = 2 ** (bits - 1);
		const low = read(bits - 1);
		let value = low;
		if (spare <= low) {
			value += read(1) * half;
			if (half <= value) value -= spare;
		}
		const count = value - 1;
		remaining -= Math.abs(count);
		distribution.push(count);
		if (count === 0) {
			let repeat: number;
			do {
				repeat = read(2);
				for (let i = 0; i < repeat; i++) distribution.push(0);
			} while (repeat === 3 && distribution.length <= maxSymbol);
		}
		if (maxSymbol + 1 < distribution.length) throw new RangeError('an FSE table with too many symbols');
	}
	if (remaining !== 0) throw new RangeError('an FSE table that does not add up');
	return { table: fseTable(distribution, accuracy), length: Math.ceil(position / 8) };
}

/** RFC 8878, 4.2.1: the table of literals, from the weights that describe it. `length` is what the description takes. */
export function decodeHuffmanTable(bytes: Uint8Array): { table: HuffmanTable; length: number } {
	const header = bytes[0];
	if (header === undefined) throw new RangeError('a Huffman table is cut');
	const length = 1 + (header < 128 ? header : Math.ceil((header - 127) / 2));
	if (bytes.length < length) throw new RangeError('a Huffman table is cut');
	const description = bytes.subarray(1, length);
	const weights = header < 128 ? fseWeights(description) : plainWeights(description, header - 127);

	// The last weight is not stored: it makes the sum a power of two.
	let sum = 0;
	for (const weight of weights) {
		if (MAX_HUFFMAN_BITS < weight) throw new RangeError('a Huffman code that is too long');
		if (0 < weight) sum += 2 ** (weight - 1);
	}
	if (sum === 0) throw new RangeError('a Huffman table without codes');
	const maxBits = 32 - Math.clz32(sum);
	const rest = 2 ** maxBits - sum;
	if (MAX_HUFFMAN_BITS < maxBits || (rest & (rest - 1)) !== 0)
		throw new RangeError('a Huffman table that does not add up');
	weights.push(32 - Math.clz32(rest));

	const symbols = new Uint8Array(2 ** maxBits);
	const lengths = new Uint8Array(2 ** maxBits);
	let at = 0;
	for (let weight = 1; weight <= maxBits; weight++) {
		weights.forEach((each, symbol) => {
			if (each !== weight) return;
			const end = at + 2 ** (weight - 1);
			symbols.fill(symbol, at, end);
			lengths.fill(maxBits + 1 - weight, at, end);
			at = end;
		});
	}
	return { table: { maxBits, symbols, lengths }, length };
}

function plainWeights(description: Uint8Array, count: number): number[] {
	// OK: the caller made the description long enough.
	return Array.from({ length: count }, (_, i) =>
		i % 2 === 0 ? description[i >> 1]! >>> 4 : description[i >> 1]! & 15,
	);
}

/** Two states take turns until the bits are used up. */
function fseWeights(description: Uint8Array): number[] {
	const { table, length } = decodeFseTable(description, MAX_WEIGHT_ACCURACY, MAX_HUFFMAN_BITS + 1);
	const bits = new BackwardBits(description.subarray(length));
	const states = [bits.read(table.accuracy), bits.read(table.accuracy)] as [number, number];
	const weights: number[] = [];
	for (let turn: 0 | 1 = 0; ; turn = turn === 0 ? 1 : 0) {
		const state = states[turn];
		weights.push(table.symbols[state]!); // OK: states are below the table's size.
		if (254 < weights.length) throw new RangeError('a Huffman table with too many symbols');
		const count = table.lengths[state]!;
		if (bits.left < count) {
			weights.push(table.symbols[states[turn === 0 ? 1 : 0]]!);
			return weights;
		}
		states[turn] = table.bases[state]! + bits.read(count);
	}
}
