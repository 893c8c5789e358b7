/**
 * What tells one image from another when only its path is known.
 *
 * A qcow2 has no identity of its own: its header holds geometry. Fixed for life (but for `qemu-img amend`, which
 * rewrites the image) are the cluster size, the width of refcounts, subclusters, encryption, and whether the data lies outside; sizes,
 * table offsets, version and dirty bits change. Of the content, the disk's own identity (the GUID of a GPT, the signature of an MBR) changes only
 * when the guest is partitioned anew, and every snapshot that was there once names the image for as long as it lives.
 *
 * Two images are taken for the same when the fixed facts agree and one of the others does. A copy of an image passes:
 * it is the same machine, elsewhere.
 */
import { createHash } from 'node:crypto';
import { FileSource } from '../io/file.js';
import type { DiskImage } from '../image/image.js';
import { snapshotKey } from './key.js';

export interface Fingerprint {
	/** Facts that hold for the image's life: "qcow2 16 4 0 0 0", or "raw". */
	readonly fixed: string;
	/** Virtual size in bytes. */
	readonly size: number;
	/** Hash of the disk's identity; empty when it is not partitioned. */
	readonly disk: string;
	/** Keys of the oldest snapshots. */
	readonly keys: readonly string[];
}

const MAX_KEYS = 32;

export function fingerprintOf(image: DiskImage): Fingerprint {
	const fixed = fixedFacts(image);
	return {
		fixed,
		size: image.current().size,
		disk: diskIdentity(image),
		keys: image.snapshots.slice(0, MAX_KEYS).map(snapshot => snapshotKey(fixed, snapshot)),
	};
}

/** Whether `now` may be the image that `recorded` was taken of. */
export function isSameImage(recorded: Fingerprint, now: Fingerprint): boolean {
	if (recorded.fixed !== now.fixed) return false;
	if (recorded.keys.some(key => now.keys.includes(key))) return true;
	if (recorded.disk !== '') return recorded.disk === now.disk;
	// It was blank when it was registered: it may have been partitioned since, and nothing else is known of it.
	return recorded.size === now.size;
}

/** The part of the fingerprint that goes into every key. */
export function fixedFacts(image: Pick<DiskImage, 'format' | 'path'>): string {
	if (image.format !== 'qcow2') return image.format;
	using file = FileSource.open(image.path);
	const header = Buffer.alloc(104);
	file.read(0, header.subarray(0, Math.min(104, file.size)));
	const version = header.readUInt32BE(4);
	const features = version < 3 ? 0 : header.readUInt32BE(76); // Low word of incompatible_features.
	// Version 2 has 16-bit refcounts, and an upgrade to 3 keeps them.
	const refcountOrder = version < 3 ? 4 : header.readUInt32BE(96);
	const external = (features >>> 2) & 1;
	const extendedL2 = (features >>> 4) & 1;
	return `qcow2 ${header.readUInt32BE(20)} ${refcountOrder} ${header.readUInt32BE(32)} ${external} ${extendedL2}`;
}

/** The GUID in a GPT's header, else the 32-bit signature of an MBR. */
function diskIdentity(image: DiskImage): string {
	const disk = image.current();
	if (disk.size < 8192) return '';
	const head = Buffer.alloc(8192);
	disk.read(0, head);
	// With sectors of 512 and of 4096 bytes.
	for (const lba1 of [512, 4096]) {
		if (head.toString('latin1', lba1, lba1 + 8) === 'EFI PART') return digest(head.subarray(lba1 + 56, lba1 + 72));
	}
	const signature = head.subarray(440, 444);
	if (head.readUInt16LE(510) !== 0xaa55 || signature.readUInt32LE(0) === 0) return '';
	return digest(signature);
}

function digest(bytes: Uint8Array): string {
	return createHash('sha256').update(bytes).digest('hex').slice(0, 32);
}
