/** What differs according to the kernel, and the ways in which Strata finds it, held against each other. */
import assert from 'node:assert/strict';
import { changeRecord, type Change } from '../../../src/engine/compare/change.js';
import { diffStates, type ComparedState, type DiffOptions, type DiffResult } from '../../../src/engine/compare/diff.js';
import type { DiskImage } from '../../../src/engine/image/image.js';
import { openImage } from '../../../src/engine/image/open-image.js';
import { openMachineTree } from '../../../src/engine/tree/machine-tree.js';
import { textFromRaw, type RawPath } from '../../../src/engine/util/names.js';
import { UNWATCHED } from '../../../src/engine/util/work.js';
import type { ListedFile, Listing } from '../../oracles/listing.js';

/** A state of an opened image: a snapshot by its name, or what it holds now. Dispose the tree. */
export function stateOf(image: DiskImage, name?: string): ComparedState {
	const snapshot = name === undefined ? undefined : image.snapshots.find(one => one.rawName === name);
	assert.ok(name === undefined || snapshot, `no snapshot ${name} in ${image.path}`);
	const disk = snapshot ? image.atSnapshot(snapshot.id) : image.current();
	return { tree: openMachineTree([disk]), disks: [disk], images: [image] };
}

/** Compare two states of one image file, each opened for this call alone. */
export function diffOf(
	path: string,
	a: string | undefined,
	b: string | undefined,
	options: DiffOptions = {},
): DiffResult {
	using image = openImage(path);
	const [left, right] = [stateOf(image, a), stateOf(image, b)];
	try {
		return diffStates(left, right, options, UNWATCHED);
	} finally {
		left.tree[Symbol.dispose]();
		right.tree[Symbol.dispose]();
	}
}

/** One line a change: status, path, where it came from, fields. */
export function linesOf(changes: readonly Change[]): string[] {
	return changes.map(change => {
		const { status, path, from, fields, side, error } = changeRecord(change);
		const origin = from === undefined ? '' : ` <- ${from}`;
		return `${status} ${path}${origin} ${fields.join(' ')}${side ? `${side} ${error!.message}` : ''}`.trimEnd();
	});
}

/** The same without moves: what moved went and came. Sorted. */
export function withoutMoves(changes: readonly Change[]): string[] {
	return changes
		.flatMap(change => {
			if (change.status !== 'R') return linesOf([change]);
			return [`D ${textFromRaw(change.from!)}`, `A ${textFromRaw(change.path)}`]; // OK: an R has come from somewhere.
		})
		.sort();
}

/** What two listings by the kernel differ in, in the form of `withoutMoves`. */
export function truthOf(before: Listing, after: Listing, top: RawPath, options: DiffOptions = {}): string[] {
	const lines: string[] = [];
	const shown = (path: RawPath) => textFromRaw(path === '/' ? top : top + path);
	for (const [path, a] of before) {
		const b = after.get(path);
		if (!b) lines.push(`D ${shown(path)}`);
		else {
			const fields = truthFields(a, b);
			const isTime = a.kind === 'directory' && fields.join() === 'mtime' && !options.directoryTimes;
			if (fields.length > 0 && !isTime) {
				const status = fields.includes('type') ? 'T' : fields.some(field => HOLDS.includes(field)) ? 'M' : 'm';
				lines.push(`${status} ${shown(path)} ${fields.join(' ')}`);
			}
		}
	}
	for (const path of after.keys()) if (!before.has(path)) lines.push(`A ${shown(path)}`);
	return lines.sort();
}

const HOLDS = ['content', 'target', 'device'];

function truthFields(a: ListedFile, b: ListedFile): string[] {
	if (a.kind !== b.kind) return ['type'];
	return [
		...(a.sha256 === b.sha256 ? [] : ['content']),
		...(a.mode === b.mode ? [] : ['mode']),
		...(a.owner === b.owner ? [] : ['owner']),
		...(a.mtime === b.mtime ? [] : ['mtime']),
		...(a.xattrs === b.xattrs ? [] : ['xattr']),
		...(a.target === b.target ? [] : ['target']),
		...(a.device === b.device ? [] : ['device']),
		...(a.links === b.links || a.kind === 'directory' ? [] : ['links']),
	];
}

/**
 * Hold all ways against each other and, when there are listings, against the kernel.
 *
 * @param method how the fast way has to have been taken; `undefined` when either is right.
 */
export function assertExact(
	path: string,
	[a, b]: readonly [string | undefined, string | undefined],
	how: {
		readonly before?: Listing;
		readonly after?: Listing;
		readonly top: RawPath;
		readonly method?: 'fast' | 'walk';
		readonly message?: string;
	},
): DiffResult {
	const what = `${how.message ?? path}: ${a ?? 'current'} to ${b ?? 'current'}`;
	const options = { directoryTimes: true };
	const fast = diffOf(path, a, b, options);
	if (how.method) assert.equal(fast.method, how.method, `${what}: ${fast.methodReason}`);
	for (const method of ['identity', 'bytes'] as const) {
		const walked = diffOf(path, a, b, { ...options, method });
		assert.deepEqual(
			fast.changes.map(changeRecord),
			walked.changes.map(changeRecord),
			`${what}: fast is not ${method}`,
		);
	}
	if (how.before && how.after) {
		const truth = truthOf(how.before, how.after, how.top, options);
		assert.deepEqual(withoutMoves(fast.changes), truth, `${what}: not what the kernel shows`);
		for (const change of fast.changes) if (change.status === 'R') assertMoved(change, how.before, how.after, how.top);
	}
	// Without times of directories the rest is the same.
	const plain = diffOf(path, a, b);
	const isTime = (change: Change) =>
		change.status === 'm' && change.a?.kind === 'directory' && change.fields.join() === 'mtime';
	assert.deepEqual(
		linesOf(plain.changes),
		linesOf(fast.changes.filter(change => !isTime(change))),
		`${what}: times of directories change more than themselves`,
	);
	return plain;
}

/** What is told as moved is the same inode, or holds the same bytes; and differs in what is told. */
function assertMoved(change: Change, before: Listing, after: Listing, top: RawPath): void {
	const a = before.get(change.from!.slice(top.length))!; // OK: a deleted path, as was just checked.
	const b = after.get(change.path.slice(top.length))!; // OK: an added one.
	const message = `${textFromRaw(change.path)} from ${textFromRaw(change.from!)}`;
	assert.ok(a.inode === b.inode || (a.sha256 === b.sha256 && a.kind === 'file'), message);
	assert.deepEqual([...change.fields], truthFields(a, b), message);
}
