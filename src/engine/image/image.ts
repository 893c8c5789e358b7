/** What every disk image format offers. A format's own folder implements it; `open-image.ts` tells formats apart. */
import type { MappedSource } from '../io/source.js';

/** Formats that can be named. Those that cannot be read yet are recognised, so that the error can say what they are. */
export type ImageFormat = 'raw' | 'qcow2';

/** An internal snapshot, as the image's own table records it. */
export interface ImageSnapshot {
	/** Unique within one table at one time; used again after a deletion. */
	readonly id: string;
	/** As stored: bytes, one character each. May be empty, may occur twice. */
	readonly rawName: string;
	readonly dateSec: number;
	readonly dateNsec: number;
	/** Guest clock, nanoseconds; `'0'` when the machine was not running. Decimal, because it may pass 2^53. */
	readonly vmClockNsec: string;
	/** Bytes of RAM and device state; 0 for a disk-only snapshot. */
	readonly vmStateSize: number;
	/** Bytes of the disk at that moment. */
	readonly diskSize: number;
}

/** One file of a chain, for info and for the rules about which files may be opened. */
export interface ImageFile {
	readonly path: string;
	readonly format: string;
	/** `top`: the image itself; `backing`: what shows through it; `data`: its external data file. */
	readonly role: 'top' | 'backing' | 'data';
	/** Bytes of the host file. */
	readonly fileSize: number;
}

/** A disk at one moment, read only. */
export interface DiskView extends MappedSource {
	/** What the view shows: an internal snapshot, or the current state. */
	readonly snapshot: ImageSnapshot | undefined;
}

/** An opened image: its current state, its internal snapshots, and the files it is made of. */
export interface DiskImage extends Disposable {
	readonly format: ImageFormat;
	readonly path: string;
	/** Top first. */
	readonly files: readonly ImageFile[];
	/** In the order of the table. */
	readonly snapshots: readonly ImageSnapshot[];
	/** Legal features that are set and not read, by their names; and what is damaged or dirty. For `info`. */
	readonly notes: readonly ImageNote[];
	/** Why Strata cannot make snapshots inside this image; `undefined` when it can. */
	readonly noSnapshotsReason: string | undefined;
	/** The current state. The view is owned by the image. @throws EngineError as opening the format does. */
	current(): DiskView;
	/** The state at an internal snapshot, by `id`. The view is owned by the image. @throws EngineError `ERR_NOT_FOUND`. */
	atSnapshot(id: string): DiskView;
	/**
	 * Whether the files still are what was opened: size, times and header. When they are not, every view is stale and the
	 * image must be opened again.
	 */
	isUnchanged(): boolean;
	/**
	 * Whether an internal snapshot is still the one that was opened, by the table as it is in the file now. A hypervisor
	 * that holds the image changes its size and times all the time, and leaves its snapshots alone: ask this after
	 * reading a snapshot of such an image. False when it was deleted, and always for formats without snapshots.
	 */
	isSnapshotUnchanged(id: string): boolean;
}

export interface ImageNote {
	readonly kind: 'unsupported' | 'damage' | 'info';
	readonly field: string;
	readonly message: string;
}
