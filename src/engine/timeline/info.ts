/** What a machine is made of, at one state: images, volumes, and what of them cannot be read. */
import type { DiskRecord, InfoRecord, VolumeRecord } from '../../shared/records.js';
import { volumeRecord } from '../tree/records.js';
import { EngineError } from '../util/errors.js';
import type { Machine } from './machine.js';
import type { OpenState } from './session.js';

export function infoRecord(machine: Machine, state: OpenState, inUse: boolean): InfoRecord {
	const unsupported: string[] = [];
	const notes: string[] = [];
	const volumes: VolumeRecord[] = [];
	for (const mount of state.tree.mounts) {
		volumes.push(volumeRecord(mount.volume, mount.path));
		if (!mount.volume.readable) continue;
		try {
			const filesystem = mount.filesystem();
			for (const problem of filesystem.problems) notes.push(`${mount.path}: ${problem.message}`);
		} catch (error) {
			if (!EngineError.is(error)) throw error;
			unsupported.push(`${mount.path}: ${error.message}`);
		}
	}
	for (const table of state.tree.tables) notes.push(...table.notes);
	const disks = machine.images.map((image, index): DiskRecord => {
		for (const note of image.notes) (note.kind === 'unsupported' ? unsupported : notes).push(note.message);
		return {
			path: image.path,
			format: image.format,
			// A disk that lacks the snapshot has no view at it.
			size: state.disks.length === machine.images.length ? state.disks[index]!.size : 0,
			fileSize: image.files[0]!.fileSize, // OK: the first file is the image itself.
			scheme: state.tree.tables[index]?.scheme ?? 'none',
			files: image.files.map(({ path, format, role, fileSize }) => ({ path, format, role, fileSize })),
		};
	});
	const first = machine.images[0]!; // OK: a machine has a disk.
	if (first.noSnapshotsReason !== undefined) notes.push(first.noSnapshotsReason);
	return {
		format: first.format,
		size: state.disks[0]?.size ?? 0,
		volumes,
		unsupported,
		disks,
		snapshots: machine.moments.length,
		inUse,
		notes,
	};
}
