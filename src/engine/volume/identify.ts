/**
 * What a volume holds, by its signature, whether or not Strata can read it.
 *
 * Types have the names that blkid prints. Strictest first: a container before what it contains, a filesystem with a
 * checksum or a UUID before FAT, whose boot sector is little more than a jump.
 */
import type { ByteSource } from '../io/source.js';
import { bcache, linuxRaid, luks, lvm, stratis, zfs } from './signatures/containers.js';
import { apfs, bitlocker, exfat, hfs, iso9660, ntfs, refs, udf, vfat } from './signatures/foreign.js';
import { btrfs, erofs, ext, f2fs, jfs, reiserfs, squashfs, swap, xfs } from './signatures/linux.js';
import { Probe, type Identity, type Matcher } from './signatures/probe.js';

export type { Identity } from './signatures/probe.js';

const MATCHERS: readonly Matcher[] = [
	linuxRaid,
	lvm,
	luks,
	bitlocker,
	bcache,
	stratis,
	swap,
	xfs,
	ext,
	btrfs,
	f2fs,
	jfs,
	reiserfs,
	squashfs,
	erofs,
	ntfs,
	exfat,
	refs,
	apfs,
	hfs,
	udf,
	iso9660,
	vfat,
	zfs,
];

/**
 * Identify the start (and for RAID members the end) of `source`.
 *
 * `type` is `'unknown'` when no signature is there, `'empty'` when the first 68 KiB are all zero as well.
 *
 * @throws EngineError only what reading the source throws.
 */
export function identify(source: ByteSource): Identity {
	const probe = new Probe(source);
	for (const matches of MATCHERS) {
		const identity = matches(probe);
		if (identity) return identity;
	}
	return { type: isZero(probe.head) ? 'empty' : 'unknown', label: '', uuid: '' };
}

function isZero(bytes: Buffer): boolean {
	return bytes.equals(Buffer.alloc(bytes.byteLength));
}
