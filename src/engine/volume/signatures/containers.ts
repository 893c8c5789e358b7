/**
 * What holds other volumes: RAID members, physical volumes, encrypted volumes, caches, pools.
 * They come before filesystems: a mirror's member shows the filesystem's own signature too.
 *
 * Sources: "RAID superblock formats" (raid.wiki.kernel.org), LVM2's label format, the LUKS1 and LUKS2 on-disk format
 * specifications, bcache's header bcache_ondisk.h, "ZFS On-Disk Specification" chapters 1 and 3. Oracle: blkid.
 */
import { alignDown } from '../../util/numbers.js';
import { labelOf, uuidOf, type Identity, type Matcher, type Probe } from './probe.js';

const MD_MAGIC = 0xa92b4efc;

export const linuxRaid: Matcher = probe => {
	// 0.90: in the last whole 64 KiB but one of the device. It is in the byte order of the machine that made it.
	const old = probe.at(alignDown(probe.size, 65536) - 65536, 64);
	if (old?.readUInt32LE(0) === MD_MAGIC && old.readUInt32LE(4) === 0) {
		const words = [5, 13, 14, 15].map(word => old.readUInt32LE(word * 4)); // set_uuid0 … set_uuid3
		return { type: 'linux_raid_member', label: '', uuid: uuidOf(wordsAsBytes(words)) };
	}
	if (old?.readUInt32BE(0) === MD_MAGIC && old.readUInt32BE(4) === 0) {
		const words = [5, 13, 14, 15].map(word => old.readUInt32BE(word * 4));
		return { type: 'linux_raid_member', label: '', uuid: uuidOf(wordsAsBytes(words)) };
	}
	// 1.0 at the end, 1.1 at the start, 1.2 at 4 KiB. Each says where it is, in sectors.
	for (const offset of [alignDown(probe.size - 8192, 4096), 0, 4096]) {
		const superblock = probe.at(offset, 256);
		if (superblock?.readUInt32LE(0) !== MD_MAGIC || superblock.readUInt32LE(4) !== 1) continue;
		if (superblock.readBigUInt64LE(144) * 512n !== BigInt(offset)) continue; // super_offset
		return {
			type: 'linux_raid_member',
			label: labelOf(superblock.subarray(32, 64)),
			uuid: uuidOf(superblock.subarray(16, 32)),
		};
	}
	return undefined;
};

export const lvm: Matcher = probe => {
	for (const sector of [0, 1, 2, 3]) {
		const label = probe.at(sector * 512, 512);
		if (!label) return undefined;
		if (label.toString('latin1', 0, 8) !== 'LABELONE' || label.toString('latin1', 24, 32) !== 'LVM2 001') continue;
		if (label.readBigUInt64LE(8) !== BigInt(sector)) continue;
		const at = label.readUInt32LE(20);
		const id = at <= 512 - 32 ? label.toString('latin1', at, at + 32) : '';
		const uuid = /^[!#0-9A-Za-z]{32}$/.test(id)
			? id.replace(/^(.{6})(.{4})(.{4})(.{4})(.{4})(.{4})(.{6})$/, '$1-$2-$3-$4-$5-$6-$7')
			: '';
		return { type: 'LVM2_member', label: '', uuid };
	}
	return undefined;
};

export const luks: Matcher = probe => {
	const header = probe.at(0, 512);
	if (!header || !probe.has(0, 'LUKS\xba\xbe')) return undefined;
	const version = header.readUInt16BE(6);
	if (version !== 1 && version !== 2) return undefined;
	const label = version === 2 ? labelOf(header.subarray(24, 72)) : '';
	return { type: 'crypto_LUKS', label, uuid: labelOf(header.subarray(168, 208)) };
};

const BCACHE_MAGIC = '\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81';
const BCACHEFS_MAGIC = '\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef';

export const bcache: Matcher = probe => {
	const superblock = probe.at(4096, 104);
	if (!superblock) return undefined;
	if (probe.has(4096 + 24, BCACHE_MAGIC) && superblock.readBigUInt64LE(8) === 8n) {
		return { type: 'bcache', label: labelOf(superblock.subarray(72, 104)), uuid: uuidOf(superblock.subarray(40, 56)) };
	}
	if (probe.has(4096 + 24, BCACHE_MAGIC) || probe.has(4096 + 24, BCACHEFS_MAGIC)) {
		return {
			type: 'bcachefs',
			label: labelOf(superblock.subarray(72, 104)),
			uuid: uuidOf(superblock.subarray(56, 72)),
		};
	}
	return undefined;
};

export const stratis: Matcher = probe =>
	probe.has(512 + 4, '!Stra0tis\x86\xff\x02^\x41rh') ? { type: 'stratis', label: '', uuid: '' } : undefined;

const ZFS_UBERBLOCK_MAGIC = 0x00bab10c;
const ZFS_LABEL_SIZE = 256 * 1024;
/** A pool that was ever written has more; fewer may be chance. */
const ZFS_ENOUGH_UBERBLOCKS = 4;

/** The first label: name and value pairs at 16 KiB, a ring of uberblocks at 128 KiB. */
export const zfs: Matcher = probe => {
	// OK: `head` holds the start of the pairs. Looking there first saves 128 KiB of reading on everything else.
	const pairs = probe.at(16 * 1024, 4);
	if (!pairs || probe.size < ZFS_LABEL_SIZE || !(pairs[0] === 1 && pairs[1]! <= 1)) return undefined;
	const ring = probe.at(128 * 1024, 128 * 1024);
	if (!ring) return undefined;
	let count = 0;
	for (let at = 0; at < ring.byteLength; at += 1024) {
		if (ring.readUInt32LE(at) === ZFS_UBERBLOCK_MAGIC || ring.readUInt32BE(at + 4) === ZFS_UBERBLOCK_MAGIC) count++;
	}
	return count < ZFS_ENOUGH_UBERBLOCKS ? undefined : zfsNames(probe);
};

const NVLIST_NAME_AND_GUID = 40;

/** Name and GUID of the pool, from the pairs in XDR: sizes, a name, a type, a count, a value, all big-endian. */
function zfsNames(probe: Probe): Identity {
	const list = probe.at(16 * 1024, 16 * 1024);
	let label = '';
	let uuid = '';
	for (let at = 12, n = 0; list && n < NVLIST_NAME_AND_GUID && at + 12 <= list.byteLength; n++) {
		const size = list.readUInt32BE(at);
		if (size < 20 || list.byteLength < at + size) break;
		const pair = list.subarray(at, at + size);
		at += size;
		const nameLength = pair.readUInt32BE(8);
		const typeAt = 12 + Math.ceil(nameLength / 4) * 4;
		if (pair.byteLength < typeAt + 16) continue;
		const name = pair.toString('latin1', 12, 12 + nameLength);
		const type = pair.readUInt32BE(typeAt);
		if (name === 'name' && type === 9) {
			const length = pair.readUInt32BE(typeAt + 8);
			if (typeAt + 12 + length <= pair.byteLength) label = labelOf(pair.subarray(typeAt + 12, typeAt + 12 + length));
		}
		if (name === 'pool_guid' && type === 8) uuid = pair.readBigUInt64BE(typeAt + 8).toString();
	}
	return { type: 'zfs_member', label, uuid };
}

function wordsAsBytes(words: readonly number[]): Uint8Array {
	const bytes = Buffer.alloc(16);
	for (const [index, word] of words.entries()) bytes.writeUInt32BE(word, index * 4);
	return bytes;
}
