/**
 * The exact fast diff of two states of one ext4 filesystem that are kept in one opened image: clusters whose mapping
 * differs, blocks that lie in them or in a journal, inodes that those blocks hold or that own them, the names of those
 * inodes, and a walk of both trees that leaves out all else.
 *
 * It gives what walking both trees and comparing all bytes gives. It relies on sound counts of links and on '..'; the walk
 * has to meet every changed inode as often as it has names, and when it does not, the answer is thrown away.
 */
import { COMPAT, INCOMPAT } from '../../filesystem/ext4/features.js';
import { type EngineError } from '../../util/errors.js';
import type { RawPath } from '../../util/names.js';
import type { Work } from '../../util/work.js';
import { isDamage, UnreadableSide } from '../change.js';
import type { Changes } from '../changes.js';
import type { Ext4Side, Ext4Sides } from '../ext4-side.js';
import type { SameContent } from '../inodes.js';
import type { BlockRanges } from './block-ranges.js';
import { ChangedInodes } from './changed-inodes.js';
import { differingInodes } from './differing-inodes.js';
import { directoriesOfInterest } from './parents.js';
import { PrunedWalk } from './pruned-walk.js';
import { scanInodes, type OnCandidate } from './scan.js';

/** Counts for those who tune it. */
export interface FastDiffCounts {
	readonly blocks: number;
	readonly differingInodes: number;
	readonly candidates: number;
	readonly changedInodes: number;
	readonly directories: number;
	readonly interesting: number;
}

/**
 * Why the fast way cannot be taken for two filesystems in one place of one image; `undefined` when it can.
 * Everything by number (blocks, inodes, groups) has to mean the same on both sides.
 */
export function whyNotFast({ a, b }: Ext4Sides): string | undefined {
	const [x, y] = [a.filesystem, b.filesystem];
	if (x.uuid !== y.uuid) return 'the filesystem was made anew';
	if (x.blockSize !== y.blockSize) return 'the block size differs';
	if (x.superblock.blockCount !== y.superblock.blockCount) return 'the filesystem was resized';
	if (x.inodesPerGroup !== y.inodesPerGroup || x.inodeSize !== y.inodeSize || x.groupCount !== y.groupCount) {
		return 'the inode tables differ';
	}
	if (x.firstDataBlock !== y.firstDataBlock || x.superblock.clusterSize !== y.superblock.clusterSize) {
		return 'the block groups differ';
	}
	// Fields of an inode are read with these in mind.
	const { superblock: p } = x;
	const { superblock: q } = y;
	const ignored = INCOMPAT.needs_recovery; // Set while mounted.
	if ((p.featureIncompat & ~ignored) !== (q.featureIncompat & ~ignored)) return 'the features of the filesystem differ';
	if (p.creatorOs !== q.creatorOs || p.revLevel !== q.revLevel || p.firstInode !== q.firstInode) {
		return 'the revision of the filesystem differs';
	}
	return whyNotSound(a) ?? whyNotSound(b);
}

/** Why the counts of a filesystem, of links and of inodes in use, may not be what its names say. */
function whyNotSound({ filesystem }: Ext4Side): string | undefined {
	const { featureCompat, featureIncompat, state } = filesystem.superblock;
	if ((state & ERROR_STATE) !== 0) return 'the filesystem is marked as damaged';
	if ((featureCompat & COMPAT.has_journal) === 0 && (state & CLEAN_STATE) === 0) {
		return 'the filesystem has no journal and was not unmounted';
	}
	if ((featureIncompat & INCOMPAT.needs_recovery) !== 0 && !filesystem.replay)
		return 'the journal could not be replayed';
	return undefined;
}

/** s_state */
const CLEAN_STATE = 0x1;
const ERROR_STATE = 0x2;

/**
 * Compare, and put what differs into `changes`. When it fails, `changes` is as before.
 *
 * @param top path of both roots.
 * @returns why the answer cannot be relied on; `undefined` when it can.
 */
export function fastDiff(
	sides: Ext4Sides,
	mayDiffer: BlockRanges,
	top: RawPath,
	changes: Changes,
	sameContent: SameContent,
	work: Work,
	onCounts: (counts: FastDiffCounts) => void = () => undefined,
): string | undefined {
	const before = changes.list.length;
	try {
		const missed = tryFastDiff(sides, mayDiffer, top, changes, sameContent, work, onCounts);
		if (missed === undefined) return undefined;
		changes.rewind(before);
		return `inode ${missed} has other names than it says`;
	} catch (error) {
		const reason = error instanceof UnreadableSide ? error.reason : error;
		if (!isDamage(reason) || isLimitOfChanges(reason, changes)) throw error;
		changes.rewind(before);
		return reason.message;
	}
}

function isLimitOfChanges(error: EngineError, changes: Changes): boolean {
	return error.code === 'ERR_LIMIT' && changes.list.length >= changes.options.limit;
}

function tryFastDiff(
	sides: Ext4Sides,
	mayDiffer: BlockRanges,
	top: RawPath,
	changes: Changes,
	sameContent: SameContent,
	work: Work,
	onCounts: (counts: FastDiffCounts) => void,
): number | undefined {
	const inodes = new ChangedInodes(sides, mayDiffer, sameContent, changes.options, work);
	const differing = differingInodes(sides, mayDiffer, work);
	for (const number of differing) inodes.addDiffering(number);
	let candidates = 0;
	const onCandidate: OnCandidate = (number, bytes, at) => {
		candidates++;
		inodes.addCandidate(number, bytes, at);
	};
	const directories = scanInodes(sides.b, mayDiffer, differing, onCandidate, work);
	const interesting = directoriesOfInterest(sides, inodes, directories, work);
	onCounts({
		blocks: mayDiffer.count(),
		differingInodes: differing.length,
		candidates,
		changedInodes: inodes.changed.size,
		directories: inodes.directories.size,
		interesting: interesting.size,
	});
	const walk = new PrunedWalk(sides, inodes, interesting, changes, sameContent, work);
	walk.run(top);
	return walk.missed();
}
