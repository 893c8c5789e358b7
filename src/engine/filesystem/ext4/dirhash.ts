/**
 * The hash of a name in a directory's hash tree. Strata reads directories in order and needs it only where it is part
 * of what is shown: in names of encrypted directories without a key.
 *
 * Source: Linux, Documentation/filesystems/ext4/directory.rst (hash versions, seed); the algorithms are half of MD4's
 * rounds, and TEA (Wheeler and Needham, 1994) used as a hash. Oracle in the tests: the kernel's names.
 */
import { le32 } from '../../util/bytes.js';

/** hash_version; above 2 the same three with unsigned characters. */
const LEGACY = 0;
const HALF_MD4 = 1;
const TEA = 2;
const UNSIGNED = 3;

/** MD4's start value, taken when the filesystem has no seed. */
const START = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476] as const;
/** The highest value means the end of a directory to Linux. */
const END = 0xffff_fffe;

/** The two numbers that a name hashes to; `undefined` for a version that needs a key or does not exist. */
export function directoryHash(
	version: number,
	seed: Uint8Array,
	name: Uint8Array,
): readonly [number, number] | undefined {
	const isUnsigned = UNSIGNED <= version;
	const hash = hashBy(isUnsigned ? version - UNSIGNED : version, isUnsigned, seed, name);
	if (!hash) return undefined;
	const major = (hash[0] & ~1) >>> 0;
	return [major === END ? END - 2 : major, hash[1] >>> 0];
}

function hashBy(
	version: number,
	isUnsigned: boolean,
	seed: Uint8Array,
	name: Uint8Array,
): [number, number] | undefined {
	if (version === LEGACY) return [legacy(name, isUnsigned), 0];
	const hasSeed = seed.some(byte => byte !== 0);
	const state = Int32Array.from(START, (start, i) => (hasSeed ? le32(seed, i * 4) : start));
	if (version === HALF_MD4) {
		for (let at = 0; at < name.byteLength; at += 32) halfMd4(state, words(name, at, 8, isUnsigned));
		return [state[1]!, state[2]!]; // OK, here and below: the state has four words.
	}
	if (version === TEA) {
		for (let at = 0; at < name.byteLength; at += 16) tea(state, words(name, at, 4, isUnsigned));
		return [state[0]!, state[1]!];
	}
	return undefined;
}

/** `count` words of the name from `at` on, big-endian, filled up with its remaining length. */
function words(name: Uint8Array, at: number, count: number, isUnsigned: boolean): Int32Array {
	const left = name.byteLength - at;
	const padding = Math.imul(left & 0xff, 0x0101_0101) | ((left >>> 8) * 0x0100_0100);
	const result = new Int32Array(count).fill(padding);
	const used = Math.min(left, count * 4);
	for (let i = 0; i < used; i++) {
		const before = i % 4 === 0 ? padding : result[i >>> 2]!; // OK: i < count * 4.
		result[i >>> 2] = (before << 8) + character(name[at + i]!, isUnsigned); // OK: i < left.
	}
	return result;
}

function halfMd4(state: Int32Array, input: Int32Array): void {
	let [a, b, c, d] = state as unknown as [number, number, number, number]; // OK: the state has four words.
	const round = (
		mix: (x: number, y: number, z: number) => number,
		order: readonly number[],
		shifts: readonly [number, number, number, number],
		constant: number,
	) => {
		for (let i = 0; i < 8; i++) {
			const sum = (a + mix(b, c, d) + input[order[i]!]! + constant) | 0; // OK: eight words, orders of eight.
			const shift = shifts[i % 4]!; // OK: four shifts.
			[a, b, c, d] = [d, (sum << shift) | (sum >>> (32 - shift)), b, c];
		}
	};
	round((x, y, z) => z ^ (x & (y ^ z)), [0, 1, 2, 3, 4, 5, 6, 7], [3, 7, 11, 19], 0);
	round((x, y, z) => (x & y) + ((x ^ y) & z), [1, 3, 5, 7, 0, 2, 4, 6], [3, 5, 9, 13], 0x5a827999);
	round((x, y, z) => x ^ y ^ z, [3, 7, 2, 6, 1, 5, 0, 4], [3, 9, 11, 15], 0x6ed9eba1);
	[a, b, c, d].forEach((word, i) => (state[i] = (state[i]! + word) | 0)); // OK: four words.
}

function tea(state: Int32Array, key: Int32Array): void {
	let [x, y] = state as unknown as [number, number]; // OK, all of them: four words.
	const [a, b, c, d] = key as unknown as [number, number, number, number];
	for (let i = 1, sum = 0; i <= 16; i++) {
		sum = (sum + 0x9e3779b9) | 0;
		x = (x + (((y << 4) + a) ^ (y + sum) ^ ((y >>> 5) + b))) | 0;
		y = (y + (((x << 4) + c) ^ (x + sum) ^ ((x >>> 5) + d))) | 0;
	}
	state[0] = (state[0]! + x) | 0;
	state[1] = (state[1]! + y) | 0;
}

function legacy(name: Uint8Array, isUnsigned: boolean): number {
	let hash = 0x12a3fe2d;
	let before = 0x37abe8f9;
	for (const byte of name) {
		let next = (before + (hash ^ Math.imul(character(byte, isUnsigned), 7152373))) >>> 0;
		if ((next & 0x8000_0000) !== 0) next = (next - 0x7fff_ffff) >>> 0;
		before = hash;
		hash = next;
	}
	return hash << 1;
}

function character(byte: number, isUnsigned: boolean): number {
	return isUnsigned ? byte : (byte << 24) >> 24;
}
