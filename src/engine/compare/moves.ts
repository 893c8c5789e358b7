/** Files that moved: which of the removed paths is which of the new ones. */
import { createHash } from 'node:crypto';
import type { Filesystem } from '../filesystem/filesystem.js';
import type { Work } from '../util/work.js';
import { isDamage, UnreadableSide, type Change } from './change.js';
import { differingFields, type SameContent } from './inodes.js';

/** Two volumes at one path; one of them may be missing. */
export interface VolumePair {
	readonly a: Filesystem | undefined;
	readonly b: Filesystem | undefined;
	/** Of regular files within this pair. */
	readonly sameContent: SameContent;
}

/**
 * Turn pairs of D and A into R.
 *
 * Two rules, in this order:
 * 1. The same inode and the same generation (not 0, which stands for "none was made up") of one filesystem: the same file
 *    under another name, whatever its kind. When it had several names, the first removed one goes with the first new one.
 * 2. The only removed and the only new regular file, above 0 bytes, that hold the same bytes.
 *
 * A moved directory is told as moved by rule 1, and so is each path below it.
 */
export function pairMoves(changes: readonly Change[], pairs: readonly VolumePair[], work: Work): Change[] {
	const removed = changes.filter(change => change.status === 'D');
	const added = changes.filter(change => change.status === 'A');
	if (removed.length === 0 || added.length === 0) return [...changes];
	/** A removed change to the added one it goes with, and back. */
	const partner = new Map<Change, Change>();
	pairByInode(removed, added, pairs, partner);
	pairByContent(
		removed.filter(change => !partner.has(change)),
		added.filter(change => !partner.has(change)),
		pairs,
		partner,
		work,
	);
	const result: Change[] = [];
	for (const change of changes) {
		const from = partner.get(change);
		if (!from) result.push(change);
		else if (change.status === 'A') result.push(...moved(from, change, pairs));
	}
	return result;
}

function pairByInode(
	removed: readonly Change[],
	added: readonly Change[],
	pairs: readonly VolumePair[],
	partner: Map<Change, Change>,
): void {
	const waiting = new Map<string, Change[]>();
	for (const change of byPath(removed)) {
		const key = inodeKey(change, pairs);
		if (key === undefined) continue;
		const list = waiting.get(key);
		if (list) list.push(change);
		else waiting.set(key, [change]);
	}
	for (const change of byPath(added)) {
		const key = inodeKey(change, pairs);
		const from = key === undefined ? undefined : waiting.get(key)?.shift();
		if (!from) continue;
		partner.set(change, from);
		partner.set(from, change);
	}
}

/** Equal for two sides of one file; `undefined` where the filesystem cannot tell. */
function inodeKey({ a, b, volume }: Change, pairs: readonly VolumePair[]): string | undefined {
	const pair = pairs[volume];
	const inode = (a ?? b)?.inode;
	if (!inode || inode.generation === 0 || !pair?.a || !pair.b || pair.a.uuid === '' || pair.a.uuid !== pair.b.uuid) {
		return undefined;
	}
	return `${volume}:${inode.number}:${inode.generation}:${inode.kind}`;
}

function pairByContent(
	removed: readonly Change[],
	added: readonly Change[],
	pairs: readonly VolumePair[],
	partner: Map<Change, Change>,
	work: Work,
): void {
	// Only sizes that occur on both sides are worth a read.
	const left = bySize(removed);
	const right = bySize(added);
	let done = 0;
	for (const [size, ones] of left) {
		const others = right.get(size);
		if (!others) continue;
		const byHash = new Map<string, { removed: Change[]; added: Change[] }>();
		for (const change of [...ones, ...others]) {
			work.throwIfCancelled();
			work.report({ step: 'Looking for moved files', done: ++done, unit: 'files' });
			const hash = hashOf(change, pairs, work);
			if (hash === undefined) continue;
			const group = byHash.get(hash) ?? { removed: [], added: [] };
			byHash.set(hash, group);
			(change.status === 'D' ? group.removed : group.added).push(change);
		}
		for (const group of byHash.values()) {
			const [from, to] = [group.removed[0], group.added[0]];
			if (!from || !to || group.removed.length > 1 || group.added.length > 1) continue;
			partner.set(from, to);
			partner.set(to, from);
		}
	}
}

function bySize(changes: readonly Change[]): Map<number, Change[]> {
	const sizes = new Map<number, Change[]>();
	for (const change of changes) {
		const inode = (change.a ?? change.b)?.inode;
		if (inode?.kind !== 'file' || inode.size === 0) continue;
		const list = sizes.get(inode.size);
		if (list) list.push(change);
		else sizes.set(inode.size, [change]);
	}
	return sizes;
}

/** `undefined` for a file that cannot be read: it is no copy of anything as far as anyone can tell. */
function hashOf({ a, b, volume }: Change, pairs: readonly VolumePair[], work: Work): string | undefined {
	const filesystem = a ? pairs[volume]?.a : pairs[volume]?.b;
	const inode = (a ?? b)?.inode;
	if (!filesystem || !inode) return undefined;
	try {
		using source = filesystem.openFile(inode);
		const hash = createHash('sha256');
		const chunk = Buffer.allocUnsafe(Math.min(source.size, 256 * 1024));
		for (let at = 0; at < source.size; at += chunk.length) {
			work.throwIfCancelled();
			const part = chunk.subarray(0, Math.min(chunk.length, source.size - at));
			source.read(at, part);
			hash.update(part);
		}
		return hash.digest('base64');
	} catch (error) {
		if (isDamage(error)) return undefined;
		throw error;
	}
}

/** The one change that stands for both; both of them where it cannot be said what else changed. */
function moved(from: Change, to: Change, pairs: readonly VolumePair[]): Change[] {
	const [a, b] = [from.a?.inode, to.b?.inode];
	const [sideA, sideB] = [pairs[from.volume]?.a, pairs[to.volume]];
	if (!a || !b || !sideA || !sideB?.b) return [from, to];
	// By inode: both are in one pair of volumes, which knows how to compare. By content: the bytes are known to be equal.
	const sameContent: SameContent = isSameInode(from, to) ? sideB.sameContent : () => true;
	try {
		const fields = differingFields({ a: sideA, b: sideB.b }, a, b, sameContent);
		return [{ status: 'R', path: to.path, from: from.path, fields, a: from.a, b: to.b, volume: to.volume }];
	} catch (error) {
		if (error instanceof UnreadableSide) return [from, to];
		throw error;
	}
}

function isSameInode(from: Change, to: Change): boolean {
	const [a, b] = [from.a?.inode, to.b?.inode];
	return from.volume === to.volume && a?.number === b?.number && a?.generation === b?.generation;
}

function byPath(changes: readonly Change[]): Change[] {
	return [...changes].sort((x, y) => (x.path < y.path ? -1 : y.path < x.path ? 1 : 0));
}
