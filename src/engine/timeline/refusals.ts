/** Why an action may not be done: each refusal says what would be lost, and what to do instead. */
import { statSync, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { asQcow2 } from '../image/open-image.js';
import type { Qcow2Image } from '../image/qcow2/image.js';
import { managedSaveOf } from '../machine/managed-save.js';
import { isInUse } from '../machine/qemu-img.js';
import { ioError } from '../io/file.js';
import { EngineError } from '../util/errors.js';
import { textFromRaw } from '../util/names.js';
import { alignUp } from '../util/numbers.js';
import { childrenOf } from './children.js';
import type { Host } from './home.js';
import type { Machine, Moment } from './machine.js';

/** On top of what the tables need: the host's own metadata, and a guess that is wrong. */
const SPACE_MARGIN = 1024 * 1024;

/** The disks as qcow2 images that can hold snapshots. @throws EngineError `ERR_REFUSED` that says how to convert. */
export function requireSnapshots(machine: Machine): Qcow2Image[] {
	return machine.images.map(image => {
		if (image.noSnapshotsReason !== undefined) refuse(image.path, `${image.path}: ${image.noSnapshotsReason}`);
		const qcow2 = asQcow2(image);
		if (qcow2 === undefined) refuse(image.path, `${image.path} is ${image.format}, which holds no snapshots`);
		const ids = new Set(image.snapshots.map(snapshot => snapshot.id));
		if (ids.size < image.snapshots.length) {
			refuse(
				image.path,
				`${image.path} has two snapshots with one id: its snapshot table is damaged. Copy what you need out of it first`,
			);
		}
		// QEMU counts. Bytes that are no text would name another snapshot on a command line.
		const odd = image.snapshots.find(({ id }) => !/^[\x21-\x7e]+$/.test(id));
		if (odd) {
			refuse(
				image.path,
				`${image.path} has a snapshot with the id "${textFromRaw(odd.id)}", which no program of QEMU's gives: its snapshot table is damaged. Copy what you need out of it first`,
			);
		}
		return qcow2;
	});
}

/** @throws EngineError `ERR_BUSY`. */
export async function requireNotInUse(host: Host, machine: Machine): Promise<void> {
	for (const image of machine.images) {
		if (await isInUse(host.tools, image.path)) {
			const message = `${image.path} is in use by a running machine: shut the machine down, then try again`;
			throw new EngineError('ERR_BUSY', message, { file: image.path });
		}
	}
}

/**
 * What would be destroyed when the current state of the machine becomes another one.
 *
 * @throws EngineError `ERR_REFUSED`.
 */
export function requireRollback(host: Host, machine: Machine, images: readonly Qcow2Image[]): void {
	const children = machine.images.flatMap(image => childrenOf(host, image.path));
	if (children.length > 0) {
		const named = children.slice(0, 5).join(', ') + (children.length > 5 ? `, and ${children.length - 5} more` : '');
		refuse(
			machine.images[0]!.path, // OK: a machine has a disk.
			`other images are built on this one, and rolling it back would destroy them: ${named}. Flatten them first ("qemu-img rebase -b '' CHILD"), or roll back a copy`,
		);
	}
	for (const image of images) {
		const bitmaps = image.bitmapNames();
		if (bitmaps.length > 0) {
			const names = bitmaps.slice(0, 5).map(textFromRaw).join(', ');
			refuse(
				image.path,
				`${image.path} holds persistent bitmaps (${names}), which QEMU cannot roll back. Remove them first ("qemu-img bitmap --remove IMAGE NAME"); the next incremental backup is then a full one`,
			);
		}
	}
	for (const image of machine.images) {
		const save = managedSaveOf(image.path, host.libvirtFolders);
		if (save === undefined) continue;
		refuse(
			image.path,
			`libvirt holds the saved memory of ${save.domain} (${save.file}), which belongs to the disk as it is now. Start the machine and shut it down, or drop the memory with "virsh managedsave-remove ${save.domain}"`,
		);
	}
}

/**
 * The snapshot of each disk that a moment stands for, for an action on all disks or none.
 *
 * @throws EngineError `ERR_REFUSED` when a disk does not have it; `ERR_AMBIGUOUS` when names do not tell which belong together.
 */
export function requireOnAllDisks(machine: Machine, moment: Moment): void {
	const name = textFromRaw(moment.rawName);
	const missing = machine.images.filter((_, index) => moment.onDisk[index] === undefined);
	if (missing.length > 0) {
		const paths = missing.map(image => image.path).join(', ');
		refuse(missing[0]!.path, `"${name}" does not exist on ${paths}, and a machine is rolled back on all disks or none`); // OK: not empty.
	}
	requireUniqueName(machine, moment);
}

/** Snapshots are matched across disks by name: it must be the only one of its name on each. */
export function requireUniqueName(machine: Machine, moment: Moment): void {
	if (machine.images.length === 1) return;
	for (const image of machine.images) {
		const twins = image.snapshots.filter(snapshot => snapshot.rawName === moment.rawName);
		if (twins.length < 2) continue;
		const ids = twins.map(twin => textFromRaw(twin.id)).join(', ');
		const name = textFromRaw(moment.rawName);
		throw new EngineError(
			'ERR_AMBIGUOUS',
			`${image.path} has ${twins.length} snapshots called "${name}" (ids ${ids}), so it cannot be told which belongs to those of the other disks. Delete all but one of them with "qemu-img snapshot -d"`,
			{ file: image.path },
		);
	}
}

/**
 * Free space on the host for `snapshots` new snapshots of each disk, in the worst case: a copy of the L1 table, a new
 * snapshot table, reference counts for those, a larger reference table, and a margin. What the guest overwrites later
 * needs more, and is the person's to watch. `memoryBytes` is for the memory of a machine, which the first disk takes. For a deletion (0 snapshots) it is a new snapshot table, and no margin: who
 * deletes wants space.
 *
 * @throws EngineError `ERR_NO_SPACE` that says how much is missing.
 */
export function requireSpace(
	images: readonly Qcow2Image[],
	options: { readonly snapshots: number; readonly memoryBytes?: number },
): void {
	const byDevice = new Map<number, { needed: number; image: Qcow2Image }>();
	for (const image of images) {
		const device = statSync(image.path).dev;
		const place = byDevice.get(device) ?? { needed: options.snapshots === 0 ? 0 : SPACE_MARGIN, image };
		place.needed += bytesForSnapshots(image, options.snapshots);
		if (image === images[0]) place.needed += options.memoryBytes ?? 0;
		byDevice.set(device, place);
	}
	for (const { needed, image } of byDevice.values()) {
		const free = freeBytes(dirname(image.path));
		if (needed <= free) continue;
		const message = `not enough free space for ${image.path}: ${mib(needed)} are needed and ${mib(free)} are free. Nothing was changed`;
		throw new EngineError('ERR_NO_SPACE', message, { file: image.path, expected: needed, actual: free });
	}
}

function bytesForSnapshots(image: Qcow2Image, count: number): number {
	const { clusterSize, l1Size, refcountTableClusters } = image.header;
	const largestL1 = Math.max(l1Size, ...image.snapshots.map(snapshot => snapshot.l1Size));
	// Entry, extra data, id, name, padding.
	const entry = 40 + 24 + 16 + 256 + 8;
	const table = image.snapshots.reduce((sum, { id, rawName }) => sum + 40 + 1024 + id.length + rawName.length, 0);
	const oneSnapshot = alignUp(largestL1 * 8, clusterSize) + alignUp(table + entry * count, clusterSize);
	if (count === 0) return alignUp(table + entry, clusterSize) + 2 * clusterSize;
	// The table grows by half when it is full; one block for the clusters of each new piece.
	const refcounts = Math.ceil(refcountTableClusters * 1.5 + 1) * clusterSize + 4 * clusterSize;
	return oneSnapshot * count + alignUp(largestL1 * 8, clusterSize) + refcounts;
}

function freeBytes(folder: string): number {
	try {
		const { bavail, bsize } = statfsSync(folder);
		return bavail * bsize;
	} catch (cause) {
		throw ioError(folder, cause);
	}
}

function mib(bytes: number): string {
	return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

function refuse(file: string, message: string): never {
	throw new EngineError('ERR_REFUSED', message, { file });
}
