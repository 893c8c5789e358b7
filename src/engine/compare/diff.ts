/** What differs between two states of machines: volume by volume, by the fastest way that is exact. */
import { Ext4 } from '../filesystem/ext4/ext4.js';
import type { Filesystem } from '../filesystem/filesystem.js';
import { changedRanges, type ChangedRanges } from '../image/changed.js';
import type { DiskView } from '../image/image.js';
import type { MachineTree, Mount } from '../tree/file-tree.js';
import { EngineError } from '../util/errors.js';
import { textFromRaw, type RawPath } from '../util/names.js';
import type { Work } from '../util/work.js';
import { isDamage, sortChanges, UnreadableSide, type Change } from './change.js';
import { Changes } from './changes.js';
import { contentByRuns } from './content.js';
import { Ext4Side, type Ext4Sides } from './ext4-side.js';
import type { BlockRanges } from './fast/block-ranges.js';
import { fastDiff, whyNotFast, type FastDiffCounts } from './fast/fast-diff.js';
import { blocksThatMayDiffer } from './fast/may-differ.js';
import { readingContent, trustingContent, type SameContent } from './inodes.js';
import { pairMoves, type VolumePair } from './moves.js';
import { WalkedSide } from './one-side.js';
import { walkDiff } from './walk-diff.js';

/** A machine at one moment, opened. Owned by the caller. */
export interface ComparedState {
	readonly tree: MachineTree;
	/** One a disk, in the order of `tree.tables`. */
	readonly disks: readonly DiskView[];
	/**
	 * What each disk is a view of. Where both states have the very same object, they are states of one opened generation,
	 * and equal identities mean equal bytes. Nothing else is asked of it.
	 */
	readonly images: readonly object[];
}

export interface DiffOptions {
	/** Only this path and what is below it; default `/`. */
	readonly path?: RawPath;
	/** Where files would have to be read, trust size and times instead. */
	readonly quick?: boolean;
	/** Also directories of which only the mtime differs. */
	readonly directoryTimes?: boolean;
	/** More changes end it with `ERR_LIMIT`. */
	readonly limit?: number;
	/**
	 * For tests and measurements. `identity`: walk, and read nothing that is kept in the same place. `bytes`: walk, and read
	 * every pair of files of equal size.
	 */
	readonly method?: 'identity' | 'bytes';
	readonly onCounts?: (counts: FastDiffCounts) => void;
}

export interface DiffResult {
	/** Sorted by path, as bytes. */
	readonly changes: readonly Change[];
	/** `fast`: every volume by changed clusters. `quick`: somewhere metadata was trusted. Else `walk`. */
	readonly method: 'fast' | 'walk' | 'quick';
	/** How, and of a walk, why. One sentence. */
	readonly methodReason: string;
	/** What the reader of the changes should know, a sentence each. */
	readonly notes: readonly string[];
}

/**
 * Compare two states.
 *
 * Damage is told as `E` and the comparison goes on. A volume that only one side has is added or deleted with everything in
 * it; one that neither side can read (swap, an encrypted volume) is noted.
 *
 * @throws EngineError `ERR_NOT_FOUND` when neither side has `options.path`; `ERR_LIMIT`, `ERR_CANCELLED`, `ERR_CHANGED`.
 */
export function diffStates(a: ComparedState, b: ComparedState, options: DiffOptions, work: Work): DiffResult {
	const path = options.path ?? '/';
	if (path !== '/' && !exists(a.tree, path) && !exists(b.tree, path)) {
		throw new EngineError('ERR_NOT_FOUND', `neither side has ${textFromRaw(path)}`, { path: textFromRaw(path) });
	}
	const { directoryTimes = false, limit = 1_000_000 } = options;
	return new StateDiff(a, b, options, new Changes({ directoryTimes, limit, path }), work).run();
}

class StateDiff {
	readonly #pairs: VolumePair[] = [];
	readonly #notes: string[] = [];
	/** Path of a volume that was walked, and why. */
	readonly #walked: string[] = [];
	#fast = 0;
	#isQuick = false;
	readonly #changed = new Map<number, ChangedRanges>();

	constructor(
		private readonly a: ComparedState,
		private readonly b: ComparedState,
		private readonly options: DiffOptions,
		private readonly changes: Changes,
		private readonly work: Work,
	) {}

	run(): DiffResult {
		const left = new Map(this.a.tree.mounts.map(mount => [mount.path, mount]));
		const right = new Map(this.b.tree.mounts.map(mount => [mount.path, mount]));
		for (const path of new Set([...left.keys(), ...right.keys()])) {
			if (!this.changes.wantsBelow(path)) continue;
			this.changes.volume = this.#pairs.length;
			this.#pairs.push(this.#compare(path, left.get(path), right.get(path)));
		}
		const changes = sortChanges(pairMoves(this.changes.list, this.#pairs, this.work));
		const method = this.#isQuick ? 'quick' : this.#walked.length > 0 ? 'walk' : 'fast';
		return { changes, method, methodReason: this.#reason(), notes: this.#notes };
	}

	#reason(): string {
		if (this.#walked.length > 0) {
			const how = this.#isQuick ? 'files of equal size and times were taken for equal' : 'both trees were walked';
			return `${how}: ${this.#walked.join('; ')}`;
		}
		return this.#fast > 0 ? 'by the clusters that differ' : 'nothing to compare';
	}

	#compare(path: RawPath, a: Mount | undefined, b: Mount | undefined): VolumePair {
		const left = a && this.#open(a);
		const right = b && this.#open(b);
		const none: VolumePair = { a: undefined, b: undefined, sameContent: () => false };
		if (a && b && EngineError.is(left) && EngineError.is(right)) {
			this.#notes.push(`${textFromRaw(path)} was not compared: ${right.message}`);
			return none;
		}
		if (EngineError.is(left)) {
			this.#tellVolume('a', path, left, !b);
			return none;
		}
		if (EngineError.is(right)) {
			this.#tellVolume('b', path, right, !a);
			return none;
		}
		if (left && right) return this.#comparePair(path, a, b, left, right); // OK: opened from mounts that are there.
		if (left) this.#tellWhole('a', path, left);
		if (right) this.#tellWhole('b', path, right);
		return { ...none, a: left, b: right };
	}

	#open(mount: Mount): Filesystem | EngineError {
		try {
			return mount.filesystem();
		} catch (error) {
			if (isDamage(error)) return error;
			throw error;
		}
	}

	/** A volume that one side cannot read: the other side's files are neither added nor deleted. */
	#tellVolume(side: 'a' | 'b', path: RawPath, error: EngineError, isOnly: boolean): void {
		if (!isOnly) {
			this.changes.unreadable(path, new UnreadableSide(side, error), undefined, undefined);
			return;
		}
		const place = { kind: 'directory', inode: undefined } as const;
		const { volume } = this.changes;
		this.changes.push(
			side === 'a'
				? { status: 'D', path, fields: [], a: place, b: undefined, volume }
				: { status: 'A', path, fields: [], a: undefined, b: place, volume },
		);
	}

	#tellWhole(side: 'a' | 'b', path: RawPath, filesystem: Filesystem): void {
		new WalkedSide(side, filesystem).tell(path, filesystem.rootInode, 0, this.changes, this.work);
		this.#walked.push(`${textFromRaw(path)} is on one side only`);
	}

	#comparePair(path: RawPath, a: Mount, b: Mount, left: Filesystem, right: Filesystem): VolumePair {
		if (!(left instanceof Ext4) || !(right instanceof Ext4)) {
			const sameContent = this.#contentOf(readingContent({ a: left, b: right }, this.work), left, right);
			return this.#walk(path, left, right, sameContent, 'only ext4 has a faster way');
		}
		const sides: Ext4Sides = { a: new Ext4Side('a', left, a.source), b: new Ext4Side('b', right, b.source) };
		this.#noteReplay(path, left, right);
		const apart = this.#whyApart(a, b);
		if (apart !== undefined) {
			const sameContent = this.#contentOf(contentByRuns(sides, undefined, this.work), left, right);
			return this.#walk(path, left, right, sameContent, apart);
		}
		const mayDiffer = blocksThatMayDiffer(this.#changedRanges(a), a.volume.offset, sides);
		const sameContent = contentByRuns(sides, mayDiffer, this.work);
		const reason = this.#tryFast(sides, mayDiffer, path, sameContent);
		if (reason !== undefined) return this.#walk(path, left, right, sameContent, reason);
		this.#fast++;
		return { a: left, b: right, sameContent };
	}

	#tryFast(sides: Ext4Sides, mayDiffer: BlockRanges, path: RawPath, sameContent: SameContent): string | undefined {
		if (this.options.method === 'identity') return 'as asked';
		return (
			whyNotFast(sides) ?? fastDiff(sides, mayDiffer, path, this.changes, sameContent, this.work, this.options.onCounts)
		);
	}

	#walk(path: RawPath, a: Filesystem, b: Filesystem, sameContent: SameContent, reason: string): VolumePair {
		this.#walked.push(`${textFromRaw(path)}: ${reason}`);
		walkDiff({ a, b }, path, this.changes, sameContent, this.work);
		return { a, b, sameContent };
	}

	/** Only where every pair of files would be read is there anything to be quick about. */
	#contentOf(read: SameContent, a: Filesystem, b: Filesystem): SameContent {
		if (!this.options.quick) return read;
		this.#isQuick = true;
		return trustingContent(read, { sameFilesystem: a.uuid !== '' && a.uuid === b.uuid });
	}

	/** Why nothing is known of where the bytes of two volumes are kept; `undefined` when it is known. */
	#whyApart(a: Mount, b: Mount): string | undefined {
		if (this.options.method === 'bytes') return 'as asked';
		const disk = diskOf(this.a, a);
		if (disk !== diskOf(this.b, b) || this.a.images[disk] !== this.b.images[disk]) return 'the images are not the same';
		if (a.volume.offset !== b.volume.offset) return 'the volume lies elsewhere on the disk';
		return undefined;
	}

	#changedRanges(mount: Mount): ChangedRanges {
		const disk = diskOf(this.a, mount);
		let changed = this.#changed.get(disk);
		if (!changed) {
			changed = changedRanges(this.a.disks[disk]!, this.b.disks[disk]!, this.work); // OK: one a disk, on both sides.
			this.#changed.set(disk, changed);
		}
		return changed;
	}

	#noteReplay(path: RawPath, a: Ext4, b: Ext4): void {
		const [inA, inB] = [a.replay?.needed, b.replay?.needed];
		if (!inA && !inB) return;
		const where = inA && inB ? 'on both sides' : inA ? 'on the first side' : 'on the second side';
		this.#notes.push(`${textFromRaw(path)} was not unmounted ${where}: its journal was replayed in memory`);
	}
}

/** The index of the disk that a volume is on. */
export function diskOf(state: ComparedState, mount: Mount): number {
	return state.tree.tables.findIndex(table => table.volumes.includes(mount.volume));
}

function exists(tree: MachineTree, path: RawPath): boolean {
	try {
		tree.stat(path);
		return true;
	} catch (error) {
		if (EngineError.is(error, 'ERR_NOT_FOUND') || EngineError.is(error, 'ERR_NOT_A_DIRECTORY')) return false;
		if (isDamage(error)) return true; // Something is there; the comparison tells what is wrong with it.
		throw error;
	}
}
