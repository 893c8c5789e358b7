/** Which filesystems Strata reads: the one place that knows them all. */
import { Ext4 } from '../filesystem/ext4/ext4.js';
import type { Filesystem } from '../filesystem/filesystem.js';
import type { ByteSource } from '../io/source.js';
import { EngineError } from '../util/errors.js';
import type { Volume } from '../volume/volume.js';

/** How to open one family of filesystems. */
export interface FilesystemDriver {
	/** As `identify()` names them. */
	readonly types: readonly string[];
	/** Does not take ownership of the volume. @throws EngineError as the filesystem's own `open` does. */
	open(volume: ByteSource): Filesystem;
}

export const DRIVERS: readonly FilesystemDriver[] = [
	{ types: ['ext2', 'ext3', 'ext4'], open: volume => Ext4.open(volume) },
];

/** What a person calls a type, where blkid's name is not it. */
const PLAIN_NAMES: Readonly<Record<string, string>> = {
	swap: 'swap space',
	swsuspend: 'swap space of a hibernated system',
	LVM2_member: 'an LVM physical volume',
	linux_raid_member: 'a member of a Linux RAID',
	zfs_member: 'a member of a ZFS pool',
	bcache: 'a bcache device',
	stratis: 'a member of a Stratis pool',
	jbd: 'the journal of another ext4 filesystem',
	ntfs: 'NTFS',
	vfat: 'FAT',
	exfat: 'exFAT',
	xfs: 'XFS',
	btrfs: 'Btrfs',
	hfsplus: 'HFS+',
	hfs: 'HFS',
	apfs: 'APFS',
	f2fs: 'F2FS',
	jfs: 'JFS',
	reiserfs: 'ReiserFS',
	iso9660: 'ISO 9660',
	udf: 'UDF',
	erofs: 'EROFS',
	squashfs: 'SquashFS',
};
const ENCRYPTED: Readonly<Record<string, string>> = { crypto_LUKS: 'LUKS', BitLocker: 'BitLocker' };

export function isReadable(type: string, drivers: readonly FilesystemDriver[] = DRIVERS): boolean {
	return drivers.some(driver => driver.types.includes(type));
}

/**
 * Open the filesystem on a volume. Does not take ownership of `source`.
 *
 * @throws EngineError `ERR_UNSUPPORTED` for what is recognised but not read, `ERR_ENCRYPTED`, `ERR_CORRUPT` for a volume
 * that leaves its disk, and what the filesystem's reader throws.
 */
export function openFilesystem(
	volume: Volume,
	source: ByteSource,
	drivers: readonly FilesystemDriver[] = DRIVERS,
): Filesystem {
	const { type } = volume;
	const driver = drivers.find(({ types }) => types.includes(type));
	if (driver && volume.readable) return driver.open(source);
	const details = { format: type, field: 'type', offset: volume.offset };
	if (volume.problem !== undefined && (type === 'unknown' || driver)) {
		throw new EngineError('ERR_CORRUPT', `${volume.name} cannot be read: ${volume.problem}`, details);
	}
	const secret = ENCRYPTED[type];
	if (secret !== undefined) {
		throw new EngineError(
			'ERR_ENCRYPTED',
			`${volume.name} is encrypted (${secret}) and cannot be read without its key`,
			details,
		);
	}
	throw new EngineError('ERR_UNSUPPORTED', `${volume.name}: ${whyNot(type)}`, details);
}

function whyNot(type: string): string {
	if (type === 'unknown') return 'nothing that Strata recognises';
	if (type === 'empty') return 'it is empty: nothing but zeros where a filesystem would begin';
	if (type === 'extended') return 'an extended partition holds the logical partitions beside it, and no files';
	return `${PLAIN_NAMES[type] ?? type} cannot be read yet`;
}
