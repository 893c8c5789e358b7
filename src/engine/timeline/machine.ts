/** The opened disks of a machine, and its snapshots: one moment of all disks each. */
import type { DiskSpec } from '../../shared/engine-api.js';
import type { DiskImage, ImageSnapshot } from '../image/image.js';
import { openImage } from '../image/open-image.js';
import { EngineError } from '../util/errors.js';
import { fixedFacts } from './fingerprint.js';
import { snapshotKey } from './key.js';
import type { Source } from './source.js';

/** A snapshot of a machine: snapshots of its disks that share a name. */
export interface Moment {
	/** Of the snapshot on the first disk that has it. */
	readonly key: string;
	/** The image's own name, one character a byte. */
	readonly rawName: string;
	/** The snapshot on the first disk that has it: its id, date and size of memory stand for the moment. */
	readonly first: ImageSnapshot;
	/** In the order of the disks; `undefined` where a disk does not have it. */
	readonly onDisk: readonly (ImageSnapshot | undefined)[];
}

/** The disks of a machine, opened for reading. */
export class Machine implements Disposable {
	readonly moments: readonly Moment[];

	private constructor(
		readonly source: Source,
		readonly images: readonly DiskImage[],
	) {
		this.moments = matchMoments(images);
	}

	/** Open all disks. @throws what `openImage` throws. */
	static open(source: Source): Machine {
		const images: DiskImage[] = [];
		try {
			for (const disk of source.disks) images.push(openDisk(disk, source.allowOutside));
			return new Machine(source, images);
		} catch (error) {
			for (const image of images) image[Symbol.dispose]();
			throw error;
		}
	}

	/** @throws EngineError `ERR_NOT_FOUND`. */
	moment(key: string): Moment {
		const found = this.moments.find(moment => moment.key === key);
		if (found) return found;
		throw new EngineError('ERR_NOT_FOUND', `${this.source.name} has no snapshot with the key ${key}: it was deleted`);
	}

	[Symbol.dispose](): void {
		for (const image of this.images) image[Symbol.dispose]();
	}
}

/** Opens one disk by the rules of its source. Registered disks have a format, which is then not probed. */
export function openDisk(spec: DiskSpec, allowOutside: boolean): DiskImage {
	return openImage(spec.path, { format: spec.format, allowOutside });
}

/**
 * Snapshots of all disks, matched by name, because ids differ from disk to disk. In the order of the first disk's table,
 * which is the order in which they were made; then those that only other disks have. A name that occurs twice on a disk is matched
 * in the order of the tables, which is a guess: verbs refuse such names on machines of several disks.
 */
export function matchMoments(images: readonly Pick<DiskImage, 'format' | 'path' | 'snapshots'>[]): Moment[] {
	const moments: Moment[] = [];
	const taken = images.map(() => new Set<ImageSnapshot>());
	const byName = images.map(image => groupByName(image.snapshots));
	const keys = new Set<string>();
	for (const [index, image] of images.entries()) {
		if (image.snapshots.length === 0) continue;
		const fixed = fixedFacts(image);
		for (const snapshot of image.snapshots) {
			if (taken[index]!.has(snapshot)) continue; // OK: a set for each image.
			const onDisk = images.map((_, other) => {
				if (other < index) return undefined;
				if (other === index) return snapshot;
				return byName[other]!.get(snapshot.rawName)?.find(candidate => !taken[other]!.has(candidate)); // OK: one for each image.
			});
			for (const [other, found] of onDisk.entries()) if (found) taken[other]!.add(found); // OK: as above.
			moments.push({ key: uniqueKey(fixed, snapshot, keys), rawName: snapshot.rawName, first: snapshot, onDisk });
		}
	}
	return moments;
}

/** Two entries of one table that agree in everything are damage; they still need two keys. */
function uniqueKey(fixed: string, snapshot: ImageSnapshot, used: Set<string>): string {
	let key = snapshotKey(fixed, snapshot);
	for (let copy = 2; used.has(key); copy++) key = snapshotKey(`${fixed} ${copy}`, snapshot);
	used.add(key);
	return key;
}

function groupByName(snapshots: readonly ImageSnapshot[]): Map<string, ImageSnapshot[]> {
	const groups = new Map<string, ImageSnapshot[]>();
	for (const snapshot of snapshots) {
		const group = groups.get(snapshot.rawName);
		if (group) group.push(snapshot);
		else groups.set(snapshot.rawName, [snapshot]);
	}
	return groups;
}
