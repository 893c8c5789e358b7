/**
 * Plain records that leave the engine: what `strata --json` prints and what crosses the worker's boundary.
 * Scripts rely on these names: fields may be added, none is renamed.
 *
 * Paths and names are text: UTF-8 with invalid bytes, controls and backslash as `\xHH` (see engine/util/names.ts).
 * Times are ISO 8601 in UTC with nine digits of a second. Sizes are bytes.
 */

export interface ErrorRecord {
	readonly code: string;
	readonly message: string;
	readonly details: Readonly<Record<string, string | number>>;
}

export type FileKind = 'file' | 'directory' | 'symlink' | 'fifo' | 'socket' | 'chardev' | 'blockdev';

/** One path of a listing (`strata ls`). */
export interface ListRecord {
	readonly path: string;
	readonly type: FileKind;
	readonly size: number;
	/** Four octal digits: "0644". */
	readonly mode: string;
	readonly uid: number;
	readonly gid: number;
	readonly mtime: string;
	/** Of a symbolic link. */
	readonly target?: string;
	/** Of a device node: "8:1". */
	readonly device?: string;
	readonly links?: number;
	readonly inode?: number;
	/** Code of what is wrong with this entry. The rest of the record is then what could be read. */
	readonly error?: string;
	/** Set on a volume's top. */
	readonly volume?: VolumeRecord;
}

export type ChangeStatus = 'A' | 'D' | 'M' | 'T' | 'R' | 'm' | 'E';
export type ChangeField = 'content' | 'type' | 'mode' | 'owner' | 'mtime' | 'xattr' | 'target' | 'device' | 'links';

/** One path that differs between two file trees (`strata diff`). */
export interface ChangeRecord {
	/** A added, D deleted, M content, T type, R moved, m metadata alone, E unreadable. */
	readonly status: ChangeStatus;
	readonly path: string;
	/** Of R: where it was. */
	readonly from?: string;
	/** What differs; empty for A, D and E. */
	readonly fields: readonly ChangeField[];
	/** Before and after; null where the path does not exist. Directories have 0. */
	readonly size: readonly [number | null, number | null];
	readonly type: readonly [FileKind | null, FileKind | null];
	readonly mode?: readonly [string | null, string | null];
	/** Of E: the side that could not be read, and why. */
	readonly side?: 'a' | 'b';
	readonly error?: ErrorRecord;
}

export interface SnapshotRecord {
	/** Ten characters, lower case base32. Stands for this snapshot of this image for ever. */
	readonly key: string;
	/** The image's own id (of the first disk). */
	readonly id: string;
	/** Label: what the person called it, else the image's own name. */
	readonly name: string;
	/** The image's own name, when a label hides it. */
	readonly tag: string;
	readonly note: string;
	readonly parent: string | null;
	/** The parent was guessed from the disk's contents, not recorded. */
	readonly inferred: boolean;
	/** Of an ambiguous guess: the keys it may be. */
	readonly candidates: readonly string[];
	readonly time: string;
	readonly kind: 'disk' | 'memory';
	readonly consistency: 'offline' | 'validated' | 'crash' | 'unknown';
	/** Bytes that deleting it would free; null when that is not known (in use, damaged, not asked for). */
	readonly exclusiveBytes: number | null;
	/** The current state grew from this snapshot. */
	readonly current: boolean;
	/** Strata took it before a rollback; it goes by the retention setting. */
	readonly safety: boolean;
	/** Bytes of RAM and device state. */
	readonly vmStateSize: number;
	/** Disks of the machine that do not have it. */
	readonly missingOn: readonly string[];
}

export interface VolumeRecord {
	/** "/p1"; "/disk2/p1" when the machine has several disks. */
	readonly path: string;
	readonly offset: number;
	readonly size: number;
	readonly type: string;
	readonly label: string;
	readonly uuid: string;
	readonly readable: boolean;
	readonly partitionType: string;
	readonly partitionName: string;
	readonly problem?: string;
}

export interface InfoRecord {
	readonly format: string;
	/** Virtual size of the disk; of the first one when there are several. */
	readonly size: number;
	readonly volumes: readonly VolumeRecord[];
	/** Features and damage, each in one sentence. */
	readonly unsupported: readonly string[];
	readonly disks: readonly DiskRecord[];
	readonly snapshots: number;
	/** A hypervisor or another program holds it. */
	readonly inUse: boolean;
	readonly notes: readonly string[];
}

export interface DiskRecord {
	readonly path: string;
	readonly format: string;
	readonly size: number;
	readonly fileSize: number;
	readonly scheme: string;
	/** Top first: the image, its backing files, its data files. */
	readonly files: readonly {
		readonly path: string;
		readonly format: string;
		readonly role: string;
		readonly fileSize: number;
	}[];
}

export interface HistoryRecord {
	/** Keys, and "current": a run of states along one branch with equal content. */
	readonly snapshots: readonly string[];
	readonly names: readonly string[];
	readonly state: 'present' | 'absent';
	readonly time: string;
	readonly type: FileKind | null;
	readonly size: number;
	readonly sha256: string;
	readonly error?: ErrorRecord;
}
