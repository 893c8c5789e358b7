/** What deleting each snapshot of a machine would free. */
import { asQcow2 } from '../image/open-image.js';
import { exclusiveBytes } from '../image/qcow2/usage.js';
import type { Work } from '../util/work.js';
import type { Machine } from './machine.js';

/** Key to bytes, over all disks; null where that is not known: the image is in use, damaged, or holds no snapshots of its own. */
export function exclusiveBytesOf(machine: Machine, inUse: boolean, work: Work): Record<string, number | null> {
	const onDisks = machine.images.map(image => {
		const qcow2 = asQcow2(image);
		return qcow2 === undefined || inUse ? undefined : exclusiveBytes(qcow2, work);
	});
	return Object.fromEntries(
		machine.moments.map(({ key, onDisk }) => {
			let sum: number | null = 0;
			for (const [index, snapshot] of onDisk.entries()) {
				if (snapshot === undefined) continue;
				const bytes = onDisks[index]?.get(snapshot.id) ?? null;
				sum = sum === null || bytes === null ? null : sum + bytes;
			}
			return [key, sum];
		}),
	);
}
