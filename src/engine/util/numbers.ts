/** Arithmetic on offsets and sizes, which may pass 2^31 and so must stay away from the 32-bit operators. */

export function alignUp(value: number, unit: number): number {
	return Math.ceil(value / unit) * unit;
}

export function alignDown(value: number, unit: number): number {
	return Math.floor(value / unit) * unit;
}

export function divCeil(value: number, unit: number): number {
	return Math.ceil(value / unit);
}

/** For positive integers up to 2^53 - 1. */
export function isPowerOfTwo(value: number): boolean {
	return value > 0 && Number.isInteger(Math.log2(value)) && 2 ** Math.round(Math.log2(value)) === value;
}

/** Whether bit `n` (0 to 31) of a 32-bit word is set. */
export function bit(word: number, n: number): boolean {
	return ((word >>> n) & 1) === 1;
}
