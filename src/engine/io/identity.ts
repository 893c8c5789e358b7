import type { Extent, ExtentIdentity } from './source.js';

/**
 * The identity of the byte `delta` after the first one of a run. Plain data moves along its host file; a compressed
 * cluster is kept as a whole, so the place within it moves (see `compressedVariant`).
 */
export function shiftIdentity(identity: ExtentIdentity, delta: number): ExtentIdentity {
	return identity.variant === 0
		? { file: identity.file, offset: identity.offset + delta, variant: 0 }
		: { file: identity.file, offset: identity.offset, variant: identity.variant + delta };
}

/** Whether two runs are known to hold the same bytes at `offset`, which lies in both. They then do so to the end of the shorter one. */
export function isSameAt(a: Extent, b: Extent, offset: number): boolean {
	if (a.kind === 'zero' || b.kind === 'zero') return a.kind === b.kind;
	const [x, y] = [a.identity, b.identity];
	if (!x || !y || x.file !== y.file || (x.variant === 0) !== (y.variant === 0)) return false;
	if (x.variant === 0) return x.offset + (offset - a.offset) === y.offset + (offset - b.offset);
	return x.offset === y.offset && x.variant + (offset - a.offset) === y.variant + (offset - b.offset);
}

/** Compressed clusters are at most this many bytes apart in `variant`, so that the place within one never touches its length. */
const VARIANT_UNIT = 2 ** 22;

/** `variant` of byte `within` of a compressed cluster, whose compressed form is `length` bytes long. Never 0. */
export function compressedVariant(length: number, within: number): number {
	return length * VARIANT_UNIT + within;
}

/** Numbers for `ExtentIdentity.file`: never used twice in one process, so that files of two opened images are never mistaken for one. */
let lastFileNumber = 0;
export function nextFileNumber(): number {
	return ++lastFileNumber;
}
