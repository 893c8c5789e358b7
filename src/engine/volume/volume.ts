/** What a disk is divided into. */
import type { ErrorRecord } from '../util/errors.js';

/** One place on a disk where a filesystem (or something else) sits. */
export interface Volume {
	/**
	 * `p1`, numbered as Linux numbers partitions (logical ones from 5); `disk` for a filesystem on the whole disk.
	 * It is the first component of every path below.
	 */
	readonly name: string;
	/** Bytes, from the start of the disk. */
	readonly offset: number;
	/** Bytes. */
	readonly size: number;
	/**
	 * What is in it, by the name that blkid prints: 'ext4', 'swap', 'LVM2_member', 'crypto_LUKS', 'ntfs', 'xfs', 'btrfs',
	 * 'vfat', …; 'unknown'; 'empty' (nothing but zeros where signatures are); 'extended' (it holds logical partitions).
	 */
	readonly type: string;
	/** Of the filesystem, as bytes; empty when there is none. */
	readonly label: string;
	/** Of the filesystem, in its usual form; empty when there is none. */
	readonly uuid: string;
	/** Whether Strata can list its files. */
	readonly readable: boolean;
	/** From the partition table: its type in words ("Linux filesystem", "EFI System"), and the name GPT gives. */
	readonly partitionType: string;
	readonly partitionName: string;
	/** What is wrong with it although it is listed: it leaves the disk (then it is not readable), it overlaps another. */
	readonly problem: string | undefined;
}

export interface VolumeTable {
	readonly scheme: 'gpt' | 'mbr' | 'none';
	/** Bytes: 512 or 4096. */
	readonly sectorSize: number;
	/** Of the partition table; empty when there is none. */
	readonly uuid: string;
	readonly volumes: readonly Volume[];
	/** What was wrong and what was done about it: "the primary GPT is damaged (CRC); the backup was used". */
	readonly notes: readonly string[];
	/** No volume could be listed, because no copy of the table can be used. */
	readonly problem?: ErrorRecord | undefined;
}
