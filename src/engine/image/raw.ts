/**
 * A raw image: the bytes of the disk, one after the other.
 *
 * Supported: regular files. Not supported: devices; telling holes of a sparse file from zeros (Node has no SEEK_HOLE).
 */
import type { HostFile } from '../io/host-files.js';
import { nextFileNumber } from '../io/identity.js';
import type { Extent } from '../io/source.js';
import { EngineError } from '../util/errors.js';
import type { DiskImage, DiskView, ImageFile, ImageNote, ImageSnapshot } from './image.js';

export class RawImage implements DiskImage {
	readonly format = 'raw';
	readonly snapshots: readonly ImageSnapshot[] = [];
	readonly notes: readonly ImageNote[] = [];
	readonly noSnapshotsReason =
		'raw images hold no snapshots; convert the image with "qemu-img convert -f raw -O qcow2 OLD NEW" and use the new one';
	readonly files: readonly ImageFile[];
	readonly #view: RawView;
	readonly #stamp: string;

	/** Takes ownership of `file`. */
	constructor(private readonly file: HostFile) {
		this.#stamp = file.stamp();
		this.#view = new RawView(file);
		this.files = [{ path: file.path, format: 'raw', role: 'top', fileSize: file.size }];
	}

	get path(): string {
		return this.file.path;
	}

	current(): DiskView {
		return this.#view;
	}

	atSnapshot(id: string): DiskView {
		throw new EngineError('ERR_NOT_FOUND', `${this.path} has no snapshot ${id}: raw images hold none`, {
			file: this.path,
		});
	}

	isUnchanged(): boolean {
		return this.file.stamp() === this.#stamp;
	}

	isSnapshotUnchanged(): boolean {
		return false;
	}

	[Symbol.dispose](): void {
		this.file[Symbol.dispose]();
	}
}

class RawView implements DiskView {
	readonly blockSize = 4096;
	readonly snapshot = undefined;
	readonly size: number;
	readonly #number = nextFileNumber();

	constructor(private readonly file: HostFile) {
		this.size = file.size;
	}

	read(offset: number, into: Uint8Array): void {
		this.file.read(offset, into);
	}

	*extents(from = 0, to = this.size): Generator<Extent> {
		const end = Math.min(to, this.size);
		if (end <= from) return;
		const identity = { file: this.#number, offset: from, variant: 0 };
		yield { offset: from, length: end - from, kind: 'data', identity };
	}

	[Symbol.dispose](): void {
		// Owned by the image.
	}
}
