/**
 * A zstd decoder for frames whose size is known, for runtimes without one (Node 20).
 *
 * Supported: one frame of raw, RLE and compressed blocks; all literal and sequence modes.
 * Not supported: dictionaries; the checksum is not verified (QEMU writes none).
 *
 * Whatever the input holds, nothing but the output is written and the work is bounded by the lengths of both: packages
 * that decode zstd in JavaScript drop what leaves their buffer byte by byte, so that 64 KiB of input can keep them busy
 * for a minute.
 *
 * Source: RFC 8878. Oracle in the tests: qemu-img convert -c with compression_type=zstd.
 */
import {
	BackwardBits,
	decodeFseTable,
	decodeHuffmanTable,
	fseTable,
	rleTable,
	type FseTable,
	type HuffmanTable,
} from './zstd-tables.js';

const BLOCK_RAW = 0;
const BLOCK_RLE = 1;
const BLOCK_COMPRESSED = 2;
const LITERALS_RAW = 0;
const LITERALS_RLE = 1;
const LITERALS_TREELESS = 3;
const MODE_PREDEFINED = 0;
const MODE_RLE = 1;
const MODE_FSE = 2;

/** RFC 8878, 3.1.1.2.3: a block gives at most this. */
const MAX_BLOCK = 128 * 1024;
/** An offset of 2^24 is beyond the largest cluster. Also keeps a field and its shift inside 32 bits. */
const MAX_OFFSET_CODE = 24;

/** RFC 8878, tables 15 and 16: extra bits and first value by literal length code and by match length code. */
const LITERAL_BITS = [
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
];
const LITERAL_BASE = bases(LITERAL_BITS, 0);
// prettier-ignore
const MATCH_BITS = [
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
];
const MATCH_BASE = bases(MATCH_BITS, 3);

/** RFC 8878, 3.1.1.3.2.2: the predefined distributions. -1 stands for "less than one". */
// prettier-ignore
const PREDEFINED = {
	literal: fseTable([4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1], 6),
	offset: fseTable([1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1], 5),
	match: fseTable([
		1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
		1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1,
	], 6),
};
/** Largest accuracy and largest symbol of each kind of code. */
const LIMITS = {
	literal: { accuracy: 9, symbol: 35 },
	offset: { accuracy: 8, symbol: 31 },
	match: { accuracy: 9, symbol: 52 },
} as const;

/** What blocks of one frame hand on to each other. */
interface State {
	readonly out: Uint8Array;
	position: number;
	readonly offsets: [number, number, number];
	huffman: HuffmanTable | undefined;
	literal: FseTable | undefined;
	offset: FseTable | undefined;
	match: FseTable | undefined;
}

/**
 * Decode the blocks of a frame, which begin at `at`, into `out`.
 *
 * @returns Bytes written. @throws RangeError when the frame is damaged or gives more than `out` holds.
 */
export function decodeZstdBlocks(frame: Uint8Array, at: number, out: Uint8Array): number {
	const state: State = {
		out,
		position: 0,
		offsets: [1, 4, 8],
		huffman: undefined,
		literal: undefined,
		offset: undefined,
		match: undefined,
	};
	for (let isLast = false; !isLast;) {
		const header = byteAt(frame, at) + byteAt(frame, at + 1) * 0x100 + byteAt(frame, at + 2) * 0x10000;
		at += 3;
		isLast = (header & 1) !== 0;
		const kind = (header >>> 1) & 3;
		const size = header >>> 3;
		if (kind === BLOCK_RLE) {
			need(size <= out.length - state.position, 'the frame holds too much');
			out.fill(byteAt(frame, at), state.position, state.position + size);
			state.position += size;
			at++;
			continue;
		}
		need(at + size <= frame.length, 'a block is cut');
		const block = frame.subarray(at, at + size);
		at += size;
		if (kind === BLOCK_RAW) append(state, block);
		else if (kind === BLOCK_COMPRESSED) decodeBlock(block, state);
		else throw new RangeError('reserved block type');
	}
	return state.position;
}

function decodeBlock(block: Uint8Array, state: State): void {
	const { literals, end } = decodeLiterals(block, state);
	decodeSequences(block.subarray(end), literals, state);
}

function decodeLiterals(block: Uint8Array, state: State): { literals: Uint8Array; end: number } {
	const first = byteAt(block, 0);
	const kind = first & 3;
	const sizeFormat = (first >>> 2) & 3;
	if (kind === LITERALS_RAW || kind === LITERALS_RLE) {
		const bytes = (sizeFormat & 1) === 0 ? 1 : sizeFormat === 1 ? 2 : 3;
		const size = Math.floor(little(block, 0, bytes) / (bytes === 1 ? 8 : 16));
		need(size <= MAX_BLOCK, 'too many literals');
		if (kind === LITERALS_RLE) return { literals: new Uint8Array(size).fill(byteAt(block, bytes)), end: bytes + 1 };
		need(bytes + size <= block.length, 'the literals are cut');
		return { literals: block.subarray(bytes, bytes + size), end: bytes + size };
	}
	const sizeBits = ([10, 10, 14, 18] as const)[sizeFormat as 0 | 1 | 2 | 3]; // OK: two bits.
	const headerBytes = ([3, 3, 4, 5] as const)[sizeFormat as 0 | 1 | 2 | 3];
	const header = Math.floor(little(block, 0, headerBytes) / 16);
	const size = header % 2 ** sizeBits;
	const compressed = Math.floor(header / 2 ** sizeBits);
	const end = headerBytes + compressed;
	need(size <= MAX_BLOCK && end <= block.length, 'the literals are cut');
	let at = headerBytes;
	if (kind !== LITERALS_TREELESS) {
		const { table, length } = decodeHuffmanTable(block.subarray(at, end));
		state.huffman = table;
		at += length;
	}
	const { huffman } = state;
	need(huffman !== undefined, 'a Huffman table that was never given');
	const literals = new Uint8Array(size);
	if (sizeFormat === 0) {
		decodeStream(block.subarray(at, end), huffman, literals);
		return { literals, end };
	}
	need(at + 6 <= end, 'the jump table is cut');
	const quarter = Math.ceil(size / 4);
	let from = at + 6;
	for (let i = 0; i < 4; i++) {
		const to = i < 3 ? from + little(block, at + i * 2, 2) : end;
		need(to <= end && quarter * 3 <= size, 'a literal stream is cut');
		decodeStream(block.subarray(from, to), huffman, literals.subarray(quarter * i, i < 3 ? quarter * (i + 1) : size));
		from = to;
	}
	return { literals, end };
}

function decodeStream(stream: Uint8Array, huffman: HuffmanTable, into: Uint8Array): void {
	const bits = new BackwardBits(stream);
	const { symbols, lengths, maxBits } = huffman;
	for (let i = 0; i < into.length; i++) {
		const code = bits.peek(maxBits);
		into[i] = symbols[code]!; // OK: the tables have 2^maxBits entries.
		bits.skip(lengths[code]!);
	}
	need(bits.left === 0, 'a literal stream has another length');
}

function decodeSequences(section: Uint8Array, literals: Uint8Array, state: State): void {
	let at = 1;
	let count = byteAt(section, 0);
	if (count === 255) {
		count = little(section, 1, 2) + 0x7f00;
		at = 3;
	} else if (128 <= count) {
		count = (count - 128) * 256 + byteAt(section, 1);
		at = 2;
	}
	if (count === 0) {
		append(state, literals);
		return;
	}
	const modes = byteAt(section, at++);
	const table = (kind: 'literal' | 'offset' | 'match', mode: number): FseTable => {
		const { accuracy, symbol } = LIMITS[kind];
		if (mode === MODE_PREDEFINED) {
			state[kind] = PREDEFINED[kind];
		} else if (mode === MODE_RLE) {
			const only = byteAt(section, at++);
			need(only <= symbol, 'a code that does not exist');
			state[kind] = rleTable(only);
		} else if (mode === MODE_FSE) {
			const decoded = decodeFseTable(section.subarray(at), accuracy, symbol);
			state[kind] = decoded.table;
			at += decoded.length;
		}
		const found = state[kind];
		need(found !== undefined, 'a table that was never given');
		return found;
	};
	const literalTable = table('literal', modes >>> 6);
	const offsetTable = table('offset', (modes >>> 4) & 3);
	const matchTable = table('match', (modes >>> 2) & 3);

	const bits = new BackwardBits(section.subarray(at));
	let literalState = bits.read(literalTable.accuracy);
	let offsetState = bits.read(offsetTable.accuracy);
	let matchState = bits.read(matchTable.accuracy);
	let used = 0;
	for (let i = 0; i < count; i++) {
		// OK: states are below the tables' sizes, codes below their limits.
		const offsetCode = offsetTable.symbols[offsetState]!;
		const matchCode = matchTable.symbols[matchState]!;
		const literalCode = literalTable.symbols[literalState]!;
		need(offsetCode <= MAX_OFFSET_CODE, 'an offset beyond the frame');
		const offsetValue = 2 ** offsetCode + bits.read(offsetCode);
		const matchLength = MATCH_BASE[matchCode]! + bits.read(MATCH_BITS[matchCode]!);
		const literalLength = LITERAL_BASE[literalCode]! + bits.read(LITERAL_BITS[literalCode]!);
		if (i < count - 1) {
			literalState = literalTable.bases[literalState]! + bits.read(literalTable.lengths[literalState]!);
			matchState = matchTable.bases[matchState]! + bits.read(matchTable.lengths[matchState]!);
			offsetState = offsetTable.bases[offsetState]! + bits.read(offsetTable.lengths[offsetState]!);
		}
		need(used + literalLength <= literals.length, 'more literals than there are');
		append(state, literals.subarray(used, used + literalLength));
		used += literalLength;
		copyMatch(state, takeOffset(state.offsets, offsetValue, literalLength === 0), matchLength);
	}
	need(bits.left === 0, 'the sequences have another length');
	append(state, literals.subarray(used));
}

/** RFC 8878, 3.1.1.5: values 1 to 3 stand for offsets used before. */
function takeOffset(offsets: [number, number, number], value: number, noLiterals: boolean): number {
	let offset: number;
	const index = value + (noLiterals ? 1 : 0);
	if (3 < value) offset = value - 3;
	else if (index === 1) return offsets[0];
	else if (index === 2) {
		offset = offsets[1];
		offsets[1] = offsets[0];
		offsets[0] = offset;
		return offset;
	} else offset = index === 3 ? offsets[2] : offsets[0] - 1;
	offsets[2] = offsets[1];
	offsets[1] = offsets[0];
	offsets[0] = offset;
	return offset;
}

function append(state: State, bytes: Uint8Array): void {
	need(bytes.length <= state.out.length - state.position, 'the frame holds too much');
	state.out.set(bytes, state.position);
	state.position += bytes.length;
}

function copyMatch(state: State, offset: number, length: number): void {
	const { out, position } = state;
	need(0 < offset && offset <= position, 'a match before the start');
	need(length <= out.length - position, 'the frame holds too much');
	if (length <= offset) out.copyWithin(position, position - offset, position - offset + length);
	// The source runs into what is being written: byte by byte, so that it repeats.
	else for (let i = position; i < position + length; i++) out[i] = out[i - offset]!; // OK: checked above.
	state.position = position + length;
}

function bases(bits: readonly number[], first: number): number[] {
	let next = first;
	return bits.map(count => {
		const base = next;
		next += 2 ** count;
		return base;
	});
}

function byteAt(bytes: Uint8Array, at: number): number {
	const byte = bytes[at];
	if (byte === undefined) throw new RangeError('the frame is cut');
	return byte;
}

/** A little-endian number of up to six bytes. */
function little(bytes: Uint8Array, at: number, count: number): number {
	let value = 0;
	for (let i = count - 1; 0 <= i; i--) value = value * 256 + byteAt(bytes, at + i);
	return value;
}

function need(condition: boolean, message: string): asserts condition {
	if (!condition) throw new RangeError(message);
}
