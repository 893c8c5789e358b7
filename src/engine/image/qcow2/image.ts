/**
 * A qcow2 image: header, snapshot table, and a view of each state.
 *
 * Supported: see header.ts, snapshot-table.ts, mapping.ts, decompress.ts; backing files and external data files, which
 * whoever opens the image provides.
 * Not supported: encrypted images (`ERR_ENCRYPTED`).
 *
 * Source: QEMU, docs/interop/qcow2.rst. Oracle in the tests: qemu-img convert, map, check.
 */
import type { HostFile } from '../../io/host-files.js';
import { nextFileNumber } from '../../io/identity.js';
import { readBytes, type ByteSource } from '../../io/source.js';
import { EngineError, corrupt } from '../../util/errors.js';
import { textFromRaw, type RawName } from '../../util/names.js';
import { divCeil } from '../../util/numbers.js';
import { blame } from '../blame.js';
import type { DiskImage, ImageFile, ImageNote } from '../image.js';
import { readBitmapNames } from './bitmaps.js';
import { FORMAT, MAX_HEADER_BYTES, decodeHeader, refcountTableProblem, type Qcow2Header } from './header.js';
import { geometryOf, type Geometry } from './mapping.js';
import { readSnapshotTable, type Qcow2Snapshot } from './snapshot-table.js';
import { Tables, type Words } from './tables.js';
import { ClusterStore, Qcow2View } from './view.js';

/** Opens the files that an image refers to, by the rules of whoever opens the image. */
export interface Qcow2Surroundings {
	/** @param reference As stored in the header. */
	openBacking(reference: RawName, format: RawName | undefined): DiskImage;
	openData(reference: RawName): HostFile;
}

/** L1 tables kept for the views of an image. The largest legal table is 32 MiB; two are needed to compare. */
const MAX_LOADED_L1_BYTES = 64 * 1024 * 1024;
/** All fields of the header: what QEMU changes when it replaces a table. Extensions are left out. */
const RECHECKED_BYTES = 112;
const MAX_READ_ATTEMPTS = 3;

export class Qcow2Image implements DiskImage {
	readonly format = FORMAT;
	readonly geometry: Geometry;
	readonly tables: Tables;
	readonly files: readonly ImageFile[];
	readonly notes: readonly ImageNote[];
	readonly #store: ClusterStore;
	readonly #views = new Map<string, Qcow2View>();
	readonly #byId = new Map<string, Qcow2Snapshot>();
	#current: Qcow2View | undefined;
	/** Views with their L1 table in memory, longest loaded first. */
	readonly #loaded = new Set<Qcow2View>();

	private constructor(
		readonly file: HostFile,
		readonly header: Qcow2Header,
		private readonly start: Uint8Array,
		private readonly stamp: string,
		readonly snapshots: readonly Qcow2Snapshot[],
		private readonly data: HostFile | undefined,
		private readonly dataStamp: string | undefined,
		readonly backing: DiskImage | undefined,
		/** Why the snapshots are not known: the current state is readable all the same. */
		readonly tableProblem: EngineError | undefined,
	) {
		this.geometry = geometryOf(header, (data ?? file).size);
		this.tables = new Tables(file, header);
		this.#store = new ClusterStore(
			this.geometry,
			this.tables,
			data ?? file,
			nextFileNumber(),
			header.compression,
			backing?.current(),
		);
		for (const snapshot of snapshots) {
			if (!this.#byId.has(snapshot.id)) this.#byId.set(snapshot.id, snapshot);
		}
		this.files = [
			{ path: file.path, format: FORMAT, role: 'top', fileSize: file.size },
			...(data ? [{ path: data.path, format: 'raw', role: 'data', fileSize: data.size } as const] : []),
			...(backing?.files.map(below => (below.role === 'top' ? { ...below, role: 'backing' as const } : below)) ?? []),
		];
		this.notes = notesOf(this);
	}

	/**
	 * Read and check the header and the snapshot table. Takes ownership of `file`, which is closed when this fails.
	 *
	 * @throws EngineError `ERR_CORRUPT`, `ERR_UNSUPPORTED`, `ERR_ENCRYPTED`, `ERR_LIMIT`, `ERR_IO`, `ERR_CHANGED`; and
	 * what `surroundings` throws.
	 */
	static open(file: HostFile, surroundings: Qcow2Surroundings): Qcow2Image {
		let data: HostFile | undefined;
		let backing: DiskImage | undefined;
		try {
			const stamp = file.stamp();
			const { start, header, snapshots, tableProblem } = readStable(file);
			if (header.encryption !== 'none') {
				throw new EngineError(
					'ERR_ENCRYPTED',
					`the image is encrypted (${header.encryption}) and cannot be opened yet`,
					{
						format: FORMAT,
						field: 'crypt_method',
						offset: 32,
						actual: header.encryption,
					},
				);
			}
			if (header.externalData) {
				if (header.dataFileName === undefined) {
					corrupt(FORMAT, 'external data file name', 72, 'a header extension', 'missing');
				}
				data = surroundings.openData(header.dataFileName);
			}
			if (header.backingName !== undefined) {
				backing = surroundings.openBacking(header.backingName, header.backingFormat);
			}
			return new Qcow2Image(file, header, start, stamp, snapshots, data, data?.stamp(), backing, tableProblem);
		} catch (error) {
			backing?.[Symbol.dispose]();
			data?.[Symbol.dispose]();
			file[Symbol.dispose]();
			throw blame(error, FORMAT, file.path);
		}
	}

	get path(): string {
		return this.file.path;
	}

	get noSnapshotsReason(): string | undefined {
		if (this.header.externalData) {
			return 'images with an external data file hold no snapshots; convert the image with "qemu-img convert -O qcow2 OLD NEW" and use the new one';
		}
		if (this.header.corrupt) {
			return 'the image is marked as corrupt; repair it with "qemu-img check -r all" first, on a copy';
		}
		if (this.tableProblem) return 'the snapshot table is damaged: copy what you need out of the image first';
		return undefined;
	}

	current(): Qcow2View {
		const { l1Size, l1Offset, size } = this.header;
		this.#current ??= this.#view(size, undefined, () => {
			this.tables.checkL1(l1Offset, l1Size, 'l1_table_offset', 40);
			const needed = divCeil(size, this.geometry.l2Coverage);
			if (l1Size < needed) corrupt(FORMAT, 'l1_size', 36, `at least ${needed}`, l1Size);
			return this.tables.l1(l1Offset, l1Size);
		});
		return this.#opened(this.#current);
	}

	atSnapshot(id: string): Qcow2View {
		const snapshot = this.snapshot(id);
		let view = this.#views.get(id);
		if (!view) {
			view = this.#view(snapshot.diskSize, snapshot, () => this.#snapshotL1(snapshot));
			this.#views.set(id, view);
		}
		return this.#opened(view);
	}

	/** RAM and device state of a snapshot, as QEMU's migration stream. `undefined` when it has none. */
	vmState(id: string): ByteSource | undefined {
		const snapshot = this.snapshot(id);
		if (snapshot.vmStateSize === 0) return undefined;
		const { l2Coverage } = this.geometry;
		// It lies behind the disk, from the first byte that an L1 entry of the disk does not map.
		const base = divCeil(snapshot.diskSize, l2Coverage) * l2Coverage;
		if (Number.MAX_SAFE_INTEGER < base + snapshot.vmStateSize) {
			corrupt(FORMAT, 'vm_state_size', snapshot.entryOffset, 'a sum below 2^53', base + snapshot.vmStateSize);
		}
		return this.#opened(this.#view(snapshot.vmStateSize, snapshot, () => this.#snapshotL1(snapshot), base));
	}

	/** @throws EngineError `ERR_NOT_FOUND`. */
	snapshot(id: string): Qcow2Snapshot {
		const snapshot = this.#byId.get(id);
		if (snapshot) return snapshot;
		throw new EngineError('ERR_NOT_FOUND', `${this.path} has no snapshot with the id ${textFromRaw(id)}`, {
			format: FORMAT,
			file: this.path,
		});
	}

	/**
	 * The bytes of an L1 table as they are in the file now: of the current state, or of a snapshot.
	 *
	 * @throws EngineError `ERR_NOT_FOUND`, `ERR_CORRUPT`.
	 */
	l1Table(id?: string): Uint8Array {
		const at = id === undefined ? this.header : this.snapshot(id);
		this.#guard(() => this.tables.checkL1(at.l1Offset, at.l1Size, 'l1_table_offset', 40));
		return readBytes(this.file, at.l1Offset, at.l1Size * 8);
	}

	/**
	 * Names of the persistent bitmaps. QEMU refuses to revert to a snapshot while there are any.
	 *
	 * @throws EngineError `ERR_CORRUPT`.
	 */
	bitmapNames(): readonly RawName[] {
		return this.#guard(() => readBitmapNames(this.file, this.header.bitmaps));
	}

	isUnchanged(): boolean {
		return (
			this.file.stamp() === this.stamp &&
			this.data?.stamp() === this.dataStamp &&
			(this.backing?.isUnchanged() ?? true) &&
			// Times have the grain of a clock tick: a table that was replaced within one shows in the header.
			sameBytes(readStart(this.file), this.start)
		);
	}

	isSnapshotUnchanged(id: string): boolean {
		const before = this.snapshot(id);
		if (this.backing && !this.backing.isUnchanged()) return false;
		try {
			const after = readStable(this.file).snapshots.find(snapshot => snapshot.id === id);
			return (
				after !== undefined &&
				after.rawName === before.rawName &&
				after.l1Offset === before.l1Offset &&
				after.l1Size === before.l1Size &&
				after.diskSize === before.diskSize &&
				after.dateSec === before.dateSec &&
				after.dateNsec === before.dateNsec
			);
		} catch (error) {
			// OK: a table that cannot be read any more is not the one that was opened.
			if (EngineError.is(error)) return false;
			throw error;
		}
	}

	[Symbol.dispose](): void {
		this.#store.clear();
		this.#views.clear();
		this.backing?.[Symbol.dispose]();
		this.data?.[Symbol.dispose]();
		this.file[Symbol.dispose]();
	}

	#snapshotL1(snapshot: Qcow2Snapshot): Words {
		this.tables.checkL1(snapshot.l1Offset, snapshot.l1Size, 'l1_table_offset', snapshot.entryOffset);
		return this.tables.l1(snapshot.l1Offset, snapshot.l1Size);
	}

	#view(size: number, snapshot: Qcow2Snapshot | undefined, loadL1: () => Words, base = 0): Qcow2View {
		return new Qcow2View(this.#store, this.path, size, snapshot, loadL1, view => this.#keep(view), base);
	}

	/** Damage of the L1 table shows when the view is asked for, not at its first read. */
	#opened(view: Qcow2View): Qcow2View {
		this.#guard(() => view.mapping);
		return view;
	}

	#guard<T>(body: () => T): T {
		try {
			return body();
		} catch (error) {
			throw blame(error, FORMAT, this.path);
		}
	}

	/** A view has loaded its L1 table: the oldest ones go when there are too many. */
	#keep(view: Qcow2View): void {
		this.#loaded.add(view);
		let total = 0;
		for (const each of this.#loaded) total += each.l1Bytes;
		for (const each of this.#loaded) {
			if (total <= MAX_LOADED_L1_BYTES) break;
			if (each === view) continue;
			total -= each.l1Bytes;
			each.forget();
			this.#loaded.delete(each);
		}
	}
}

/**
 * Header and snapshot table that belong together: a table that was replaced while it was read is read again. A damaged
 * table is told, and hides the snapshots alone.
 */
function readStable(file: HostFile) {
	let head = readHead(file);
	for (let attempt = 0; attempt < MAX_READ_ATTEMPTS; attempt++) {
		const header = decodeHeader(head);
		let snapshots: Qcow2Snapshot[] | undefined;
		let tableProblem: EngineError | undefined;
		try {
			snapshots = readSnapshotTable(file, header);
		} catch (error) {
			if (!EngineError.is(error)) throw error;
			tableProblem = error;
		}
		// OK: decodeHeader() found more than these bytes, or threw.
		const start = head.subarray(0, RECHECKED_BYTES);
		if (sameBytes(start, readStart(file))) {
			return { start: new Uint8Array(start), header, snapshots: snapshots ?? [], tableProblem };
		}
		head = readHead(file);
	}
	throw new EngineError('ERR_CHANGED', 'the snapshot table changes while it is read', { format: FORMAT });
}

function readHead(file: HostFile): Uint8Array {
	return readBytes(file, 0, Math.min(MAX_HEADER_BYTES, file.size));
}

function readStart(file: HostFile): Uint8Array {
	return readBytes(file, 0, Math.min(RECHECKED_BYTES, file.size));
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
	return Buffer.compare(a, b) === 0;
}

function notesOf({ header, file, snapshots, tableProblem }: Qcow2Image): ImageNote[] {
	const notes: ImageNote[] = [];
	const add = (kind: ImageNote['kind'], field: string, message: string) => notes.push({ kind, field, message });
	if (header.dirty) {
		add('damage', 'incompatible_features', 'the image was not closed properly (dirty bit); its data can be read');
	}
	if (header.corrupt) {
		add('damage', 'incompatible_features', 'QEMU marked the image as corrupt (corrupt bit); what is read may be wrong');
	}
	if (tableProblem) {
		const field = tableProblem.details.field ?? 'snapshot table';
		add('damage', field, `the snapshots cannot be read (${tableProblem.message}); the current state can`);
	}
	const problem = refcountTableProblem(header, file.size);
	if (problem !== undefined) add('damage', 'refcount_table_offset', `${problem}; its data can be read`);
	if (header.unknownFeatures.length > 0) {
		add(
			'info',
			'compatible_features',
			`features that are not known and may be ignored: ${header.unknownFeatures.join(', ')}`,
		);
	}
	if (header.bitmaps) {
		const state = header.bitmaps.consistent ? '' : ', out of date';
		add('info', 'bitmaps', `the image holds ${header.bitmaps.count} persistent bitmaps${state}`);
	}
	const ids = new Set(snapshots.map(snapshot => snapshot.id));
	if (ids.size < snapshots.length) add('damage', 'snapshot table', 'two snapshots have the same id');
	return notes;
}
