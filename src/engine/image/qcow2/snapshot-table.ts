/**
 * The snapshot table of a qcow2 image.
 *
 * Supported: entries with and without extra data (version 2 has none: the disk then is as large as the header says).
 *
 * ```
 *  0  8  l1_table_offset        24  8  vm_clock_nsec
 *  8  4  l1_size                32  4  vm_state_size
 * 12  2  id_str_size            36  4  extra_data_size
 * 14  2  name_size              40  …  extra data: 8 vm_state_size, 8 disk_size, 8 icount
 * 16  4  date_sec                …     id, name, padding to a multiple of 8
 * 20  4  date_nsec
 * ```
 *
 * Source: QEMU, docs/interop/qcow2.rst, "Snapshots". Limits are those of QEMU's block/qcow2-snapshot.c. Oracle: qemu-img.
 */
import type { ByteSource } from '../../io/source.js';
import { EngineError, corrupt } from '../../util/errors.js';
import { rawFromBytes } from '../../util/names.js';
import { alignUp } from '../../util/numbers.js';
import { Struct, size64be, u16be, u32be, u64be } from '../../util/struct.js';
import type { ImageSnapshot } from '../image.js';
import { FORMAT, MAX_SNAPSHOTS, type Qcow2Header } from './header.js';

/** 64 MiB, QEMU's QCOW_MAX_SNAPSHOTS_SIZE. */
const MAX_TABLE_BYTES = 64 * 1024 * 1024;
/** QEMU writes 24 bytes and accepts 1,024. */
const MAX_EXTRA_BYTES = 1024;
const WINDOW = 64 * 1024;

const ENTRY = new Struct('qcow2 snapshot entry', 40, {
	l1Offset: size64be(0), // l1_table_offset
	l1Size: u32be(8), // l1_size
	idSize: u16be(12), // id_str_size
	nameSize: u16be(14), // name_size
	dateSec: u32be(16),
	dateNsec: u32be(20),
	vmClockNsec: u64be(24),
	vmStateSize: u32be(32),
	extraSize: u32be(36), // extra_data_size
});
const EXTRA_VM_STATE = new Struct('qcow2 snapshot extra data', 8, { vmStateSize: size64be(0) });
const EXTRA_DISK = new Struct('qcow2 snapshot extra data', 16, { diskSize: size64be(8) });

/** An internal snapshot and where its L1 table is. */
export interface Qcow2Snapshot extends ImageSnapshot {
	readonly l1Offset: number;
	/** Entries. */
	readonly l1Size: number;
	/** Bytes, from the start of the file: of the table's entry. */
	readonly entryOffset: number;
}

/** @throws EngineError `ERR_CORRUPT`, `ERR_LIMIT`. */
export function readSnapshotTable(
	file: ByteSource,
	header: Pick<Qcow2Header, 'snapshotCount' | 'snapshotsOffset' | 'clusterSize' | 'size'>,
): Qcow2Snapshot[] {
	const { snapshotCount: count, snapshotsOffset, clusterSize } = header;
	if (count === 0) return [];
	if (MAX_SNAPSHOTS < count) limit('nb_snapshots', 60, MAX_SNAPSHOTS, count);
	if (snapshotsOffset < clusterSize || snapshotsOffset % clusterSize !== 0) {
		corrupt(FORMAT, 'snapshots_offset', 64, 'the start of a cluster behind the header', snapshotsOffset);
	}
	if (file.size < snapshotsOffset + count * ENTRY.size) {
		corrupt(FORMAT, 'snapshots_offset', 64, `${count} entries inside ${file.size} bytes`, snapshotsOffset);
	}
	const reader = new WindowReader(file);
	const snapshots: Qcow2Snapshot[] = [];
	let at = snapshotsOffset;
	for (let index = 0; index < count; index++) {
		const entry = ENTRY.decode(reader.bytes(at, ENTRY.size));
		const { extraSize, idSize, nameSize } = entry;
		if (MAX_EXTRA_BYTES < extraSize) limit('extra_data_size', at + 36, MAX_EXTRA_BYTES, extraSize);
		const rest = reader.bytes(at + ENTRY.size, extraSize + idSize + nameSize);
		const text = extraSize + idSize;
		snapshots.push({
			id: rawFromBytes(rest.subarray(extraSize, text)),
			rawName: rawFromBytes(rest.subarray(text, text + nameSize)),
			dateSec: entry.dateSec,
			dateNsec: entry.dateNsec,
			vmClockNsec: entry.vmClockNsec.toString(),
			vmStateSize: EXTRA_VM_STATE.size <= extraSize ? EXTRA_VM_STATE.decode(rest).vmStateSize : entry.vmStateSize,
			diskSize: EXTRA_DISK.size <= extraSize ? EXTRA_DISK.decode(rest).diskSize : header.size,
			l1Offset: entry.l1Offset,
			l1Size: entry.l1Size,
			entryOffset: at,
		});
		at = alignUp(at + ENTRY.size + extraSize + idSize + nameSize, 8);
		if (MAX_TABLE_BYTES < at - snapshotsOffset) limit('snapshot table', at, MAX_TABLE_BYTES, at - snapshotsOffset);
	}
	return snapshots;
}

/** Reads small pieces of a table of unknown length without a read for each. */
class WindowReader {
	#start = 0;
	#window: Uint8Array = new Uint8Array(0);

	constructor(private readonly file: ByteSource) {}

	/** Valid until the next call. */
	bytes(offset: number, length: number): Uint8Array {
		if (this.file.size < offset + length) {
			corrupt(FORMAT, 'snapshot table', offset, `an entry inside ${this.file.size} bytes`, offset + length);
		}
		if (offset < this.#start || this.#start + this.#window.byteLength < offset + length) {
			const size = Math.min(Math.max(WINDOW, length), this.file.size - offset);
			if (this.#window.byteLength !== size) this.#window = new Uint8Array(size);
			this.#start = offset;
			this.file.read(offset, this.#window);
		}
		return this.#window.subarray(offset - this.#start, offset - this.#start + length);
	}
}

function limit(field: string, offset: number, maximum: number, actual: number): never {
	throw new EngineError('ERR_LIMIT', `qcow2: ${field} is ${actual}, above ${maximum}`, {
		format: FORMAT,
		field,
		offset,
		expected: maximum,
		actual,
	});
}
