import type { Extent } from '../io/source.js';

/** The same runs, with neighbours that continue each other made one. Damage and compressed clusters stay apart. */
export function* joinExtents(extents: Iterable<Extent>): Generator<Extent> {
	let last: Extent | undefined;
	for (const extent of extents) {
		if (last && continues(last, extent)) {
			last = { ...last, length: last.length + extent.length };
		} else {
			if (last) yield last;
			last = extent;
		}
	}
	if (last) yield last;
}

function continues(a: Extent, b: Extent): boolean {
	if (a.kind !== b.kind) return false;
	if (a.kind === 'zero') return true;
	const [x, y] = [a.identity, b.identity];
	return !!x && !!y && x.file === y.file && x.variant === 0 && y.variant === 0 && x.offset + a.length === y.offset;
}
