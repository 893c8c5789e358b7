/**
 * Filesystems of other systems: those of Windows, of Apple, and of optical discs.
 *
 * Sources: Microsoft's FAT and exFAT specifications; the linux-ntfs documentation; "Apple File System Reference";
 * Apple TN1150; ECMA-119. Oracle: blkid.
 */
import { createHash } from 'node:crypto';
import { isPowerOfTwoBetween, labelOf, uuidOf, wideLabelOf, type Matcher, type Probe } from './probe.js';

/** Directory entries looked at for a volume label; it is among the first. */
const MAX_LABEL_ENTRIES = 4096;

export const ntfs: Matcher = probe => {
	const boot = probe.at(0, 512);
	if (!boot || !probe.has(3, 'NTFS    ')) return undefined;
	const sectorSize = boot.readUInt16LE(11);
	if (!isPowerOfTwoBetween(sectorSize, 256, 4096)) return undefined;
	const uuid = boot.readBigUInt64LE(72).toString(16).toUpperCase().padStart(16, '0');
	return { type: 'ntfs', label: ntfsLabel(probe, boot, sectorSize), uuid };
};

/** From the $VOLUME_NAME attribute (0x60) of MFT record 3. */
function ntfsLabel(probe: Probe, boot: Buffer, sectorSize: number): string {
	// Above 128 it is the negative of a power of two (clusters above 64 KiB).
	const perCluster = boot[13]! > 128 ? 2 ** (256 - boot[13]!) : boot[13]!; // OK: the sector has 512 bytes.
	const clusterSize = perCluster * sectorSize;
	const sizeCode = boot.readInt8(64);
	const recordSize = sizeCode < 0 ? 2 ** -sizeCode : sizeCode * clusterSize;
	if (!isPowerOfTwoBetween(recordSize, 512, 65536)) return '';
	const record = probe.at(Number(boot.readBigUInt64LE(48)) * clusterSize + 3 * recordSize, recordSize);
	if (record?.toString('latin1', 0, 4) !== 'FILE') return '';
	for (let at = record.readUInt16LE(20); at + 24 <= record.byteLength;) {
		const type = record.readUInt32LE(at);
		const length = record.readUInt32LE(at + 4);
		if (type === 0xffffffff || length < 24) return '';
		if (type === 0x60) {
			const from = at + record.readUInt16LE(at + 20);
			return wideLabelOf(record.subarray(from, Math.min(from + record.readUInt32LE(at + 16), record.byteLength)));
		}
		at += length;
	}
	return '';
}

export const exfat: Matcher = probe => {
	const boot = probe.at(0, 512);
	if (!boot || !probe.has(3, 'EXFAT   ')) return undefined;
	const sectorShift = boot[108]!; // OK: the sector has 512 bytes.
	const clusterShift = boot[109]!;
	if (!(9 <= sectorShift && sectorShift <= 12) || clusterShift > 25 - sectorShift) return undefined;
	return {
		type: 'exfat',
		label: exfatLabel(probe, boot, sectorShift, clusterShift),
		uuid: serial(boot.readUInt32LE(100)),
	};
};

/** The 0x83 entry of the root directory, in its first cluster. */
function exfatLabel(probe: Probe, boot: Buffer, sectorShift: number, clusterShift: number): string {
	const clusterSize = 2 ** (sectorShift + clusterShift);
	const heap = boot.readUInt32LE(88) * 2 ** sectorShift;
	const root = probe.at(heap + (boot.readUInt32LE(96) - 2) * clusterSize, Math.min(clusterSize, 65536));
	for (let at = 0; root && at + 32 <= root.byteLength; at += 32) {
		if (root[at] === 0) return '';
		if (root[at] === 0x83) return wideLabelOf(root.subarray(at + 2, at + 2 + Math.min(11, root[at + 1]!) * 2)); // OK: in the entry.
	}
	return '';
}

const BITLOCKER_GUID = '\x3b\xd6\x67\x49\x29\x2e\xd8\x4a\x83\x99\xf6\xa3\x39\xe3\xd0\x01';

export const bitlocker: Matcher = probe => {
	const onDisk = probe.has(3, '-FVE-FS-');
	// "To Go" looks like FAT, so that an older Windows shows a reader program.
	const toGo = probe.has(3, 'MSWIN4.1') && probe.has(424, BITLOCKER_GUID);
	return onDisk || toGo ? { type: 'BitLocker', label: '', uuid: '' } : undefined;
};

export const refs: Matcher = probe =>
	probe.has(3, 'ReFS\0\0\0\0') ? { type: 'ReFS', label: '', uuid: '' } : undefined;

export const vfat: Matcher = probe => {
	const boot = probe.at(0, 512);
	if (!boot) return undefined;
	const named = probe.has(54, 'FAT12   ') || probe.has(54, 'FAT16   ') || probe.has(82, 'FAT32   ');
	const jumps = boot[0] === 0xe9 || boot[0] === 0xeb;
	if (!named && !(jumps && probe.has(510, '\x55\xaa'))) return undefined;
	const sectorSize = boot.readUInt16LE(11);
	const perCluster = boot[13]!; // OK: the sector has 512 bytes, here and below.
	const reserved = boot.readUInt16LE(14);
	const fats = boot[16]!;
	const media = boot[21]!;
	if (!isPowerOfTwoBetween(sectorSize, 512, 4096) || !isPowerOfTwoBetween(perCluster, 1, 128)) return undefined;
	if (reserved === 0 || fats === 0 || fats > 4 || !(media === 0xf0 || media >= 0xf8)) return undefined;

	const rootEntries = boot.readUInt16LE(17);
	const fatSectors = boot.readUInt16LE(22) || boot.readUInt32LE(36);
	const sectors = boot.readUInt16LE(19) || boot.readUInt32LE(32);
	const rootSectors = Math.ceil((rootEntries * 32) / sectorSize);
	const dataSector = reserved + fats * fatSectors + rootSectors;
	if (fatSectors === 0 || sectors < dataSector) return undefined;
	const wide = boot.readUInt16LE(22) === 0; // FAT32
	const extended = wide ? 64 : 36;
	// Without this mark the boot sector holds neither serial number nor label.
	const hasNames = boot[extended + 2] === 0x29 || boot[extended + 2] === 0x28;
	const bootLabel = hasNames ? labelOf(boot.subarray(extended + 7, extended + 18)) : '';

	const clusterSize = perCluster * sectorSize;
	const root = wide
		? rootOfFat32(probe, reserved * sectorSize, dataSector * sectorSize, boot.readUInt32LE(44), clusterSize)
		: probe.at((dataSector - rootSectors) * sectorSize, Math.min(rootEntries, MAX_LABEL_ENTRIES) * 32);
	const label = (root && labelEntry(root)) ?? (bootLabel === 'NO NAME' ? '' : bootLabel);
	return { type: 'vfat', label, uuid: hasNames ? serial(boot.readUInt32LE(extended + 3)) : '' };
};

/** The clusters of a FAT32 root directory, as many as a label may be in. */
function rootOfFat32(
	probe: Probe,
	fatOffset: number,
	dataOffset: number,
	firstCluster: number,
	clusterSize: number,
): Buffer | undefined {
	const clusters: Buffer[] = [];
	for (let cluster = firstCluster, total = 0; 2 <= cluster && cluster < 0x0ffffff0;) {
		const bytes = probe.at(dataOffset + (cluster - 2) * clusterSize, clusterSize);
		if (!bytes) break;
		clusters.push(bytes);
		total += clusterSize;
		if (total >= MAX_LABEL_ENTRIES * 32) break; // A loop ends here too.
		const next = probe.at(fatOffset + cluster * 4, 4);
		if (!next) break;
		cluster = next.readUInt32LE(0) & 0x0fffffff;
	}
	return clusters.length === 0 ? undefined : Buffer.concat(clusters);
}

/** The label that a root directory holds: an entry with the volume attribute that is no part of a long name. */
function labelEntry(root: Buffer): string | undefined {
	for (let at = 0; at + 32 <= root.byteLength; at += 32) {
		const attributes = root[at + 11]!; // OK: at + 32 <= byteLength.
		if (root[at] === 0) return undefined;
		if (root[at] === 0xe5 || (attributes & 0x3f) === 0x0f || (attributes & 0x18) !== 0x08) continue;
		if (root.readUInt16LE(at + 20) !== 0 || root.readUInt16LE(at + 26) !== 0) continue;
		const name = Buffer.from(root.subarray(at, at + 11));
		if (name[0] === 0x05) name[0] = 0xe5;
		return labelOf(name);
	}
	return undefined;
}

export const apfs: Matcher = probe => {
	const superblock = probe.at(0, 128);
	if (!superblock || !probe.has(32, 'NXSB')) return undefined;
	if (superblock.readUInt16LE(24) !== 1 || !isPowerOfTwoBetween(superblock.readUInt32LE(36), 4096, 65536)) {
		return undefined;
	}
	return { type: 'apfs', label: '', uuid: uuidOf(superblock.subarray(72, 88)) };
};

/** Namespace in which an HFS+ volume's eight bytes become a UUID (version 3). */
const HFS_NAMESPACE = Buffer.from('b3e20f39f29211d697a400306543ecac', 'hex');

export const hfs: Matcher = probe => {
	const header = probe.at(1024, 512);
	if (!header) return undefined;
	const signature = header.toString('latin1', 0, 2);
	if (signature === 'H+' || signature === 'HX') {
		if (![4, 5].includes(header.readUInt16BE(2))) return undefined;
		return { type: 'hfsplus', label: '', uuid: hfsUuid(header.subarray(104, 112)) };
	}
	if (signature !== 'BD') return undefined;
	// HFS+ may be wrapped in an HFS volume that only says so.
	const embedded = header.toString('latin1', 124, 126) === 'H+';
	if (!embedded && !isPowerOfTwoBetween(header.readUInt32BE(20) / 512, 1, 2 ** 22)) return undefined; // drAlBlkSiz
	return { type: embedded ? 'hfsplus' : 'hfs', label: '', uuid: embedded ? '' : hfsUuid(header.subarray(116, 124)) };
};

function hfsUuid(id: Buffer): string {
	if (id.every(byte => byte === 0)) return '';
	const uuid = createHash('md5').update(HFS_NAMESPACE).update(id).digest();
	uuid[6] = 0x30 | (uuid[6]! & 0x0f); // OK: 16 bytes.
	uuid[8] = 0x80 | (uuid[8]! & 0x3f);
	return uuidOf(uuid);
}

export const iso9660: Matcher = probe => {
	const descriptor = probe.at(32768, 2048);
	if (!descriptor || !probe.has(32769, 'CD001') || descriptor[0] !== 1) return undefined;
	// Modified, else created.
	const uuid = isoDate(descriptor.subarray(830, 847)) || isoDate(descriptor.subarray(813, 830));
	return { type: 'iso9660', label: labelOf(descriptor.subarray(40, 72)), uuid };
};

/** `2024-01-31-12-59-00-00` from 16 digits; empty when there are none. */
function isoDate(date: Buffer): string {
	const digits = date.toString('latin1', 0, 16);
	if (!/^\d{16}$/.test(digits) || /^0*$/.test(digits)) return '';
	return digits.replace(/^(....)(..)(..)(..)(..)(..)(..)$/, '$1-$2-$3-$4-$5-$6-$7');
}

export const udf: Matcher = probe => {
	// The volume recognition sequence: descriptors of 2 KiB from 32 KiB, one of which names UDF.
	for (let at = 32768; at < 32768 + 16 * 2048; at += 2048) {
		const name = probe.at(at + 1, 5)?.toString('latin1');
		if (name === 'NSR02' || name === 'NSR03') return { type: 'udf', label: '', uuid: '' };
		if (name === undefined || !/^(BEA01|BOOT2|CD001|CDW02|TEA01)$/.test(name)) return undefined;
	}
	return undefined;
};

/** The form of a FAT serial number: `1A2B-3C4D`. */
function serial(value: number): string {
	if (value === 0) return '';
	return value
		.toString(16)
		.toUpperCase()
		.padStart(8, '0')
		.replace(/^(.{4})/, '$1-');
}
