/**
 * The one tear that no program of QEMU's mends: the twelve bytes of a qcow2 header that say how many snapshots there are and where
 * their table lies, written by half. The count is then new and the place is old, and a snapshot that never was appears, or
 * the last one vanishes.
 *
 * It shows: QEMU writes every new table to a new place, so an equal place with another count is a tear, and the old table is
 * still whole, because its clusters are freed only afterwards. The recorded bytes are put back by qemu-img, which
 * takes the image's lock; Strata itself writes to no image.
 *
 * An image that was restored from a backup may have another count at an equal place as well, for QEMU uses places again.
 * So the rest must be what was recorded: the active L1 table where it was and as it was, and the snapshots in the table.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MAX_L1_ENTRIES } from '../image/qcow2/header.js';
import { readSnapshotTable } from '../image/qcow2/snapshot-table.js';
import { FileSource } from '../io/file.js';
import { readBytes } from '../io/source.js';
import { writeFirstSector } from '../machine/qemu-img.js';
import { EngineError } from '../util/errors.js';
import { Struct, size64be, u32be } from '../util/struct.js';
import type { Context } from './action.js';
import type { BeginRecord, DiskBefore } from './journal.js';
import { decodeL1, standingOf } from './l1-record.js';

const FIELDS = new Struct('qcow2 header', 72, {
	clusterBits: u32be(20), // cluster_bits
	l1Size: u32be(36), // l1_size
	l1Offset: size64be(40), // l1_table_offset
	snapshotCount: u32be(60), // nb_snapshots
	snapshotsOffset: size64be(64), // snapshots_offset
});
const FIELDS_OFFSET = 60;
const FIELDS_BYTES = 12;
const SECTOR = 512;
const L1_ENTRY = 8;

/** @returns sentences that say what was mended. @throws EngineError `ERR_BUSY`, `ERR_TOOL`. */
export async function mendTornHeaders(context: Context, begin: BeginRecord): Promise<string[]> {
	const done: string[] = [];
	for (const [index, disk] of begin.disks.entries()) {
		const { path } = context.source.disks[index]!; // OK: the caller made sure of the number.
		const before = Buffer.from(disk.header, 'base64');
		const sector = firstSector(path);
		if (!isTorn(path, disk, before, sector)) continue;
		before.copy(sector, FIELDS_OFFSET, FIELDS_OFFSET, FIELDS_OFFSET + FIELDS_BYTES);
		const folder = mkdtempSync(join(tmpdir(), 'strata-header-'));
		try {
			const file = join(folder, 'sector');
			writeFileSync(file, sector);
			await writeFirstSector(context.host.tools, file, path);
		} finally {
			rmSync(folder, { recursive: true, force: true });
		}
		done.push(`The header of ${path} had been written by half, and was put back.`);
	}
	return done;
}

function isTorn(path: string, disk: DiskBefore, before: Buffer, sector: Buffer): boolean {
	const [was, is] = [FIELDS.decode(before), FIELDS.decode(sector)];
	if (was.snapshotsOffset !== is.snapshotsOffset || was.snapshotCount === is.snapshotCount) return false;
	if (was.clusterBits !== is.clusterBits || was.l1Size !== is.l1Size || was.l1Offset !== is.l1Offset) return false;
	using file = FileSource.open(path);
	const bytes = is.l1Size * L1_ENTRY;
	if (MAX_L1_ENTRIES < is.l1Size || file.size < is.l1Offset + bytes) return false;
	const old = decodeL1(disk.activeL1);
	const target = disk.target === null ? old : decodeL1(disk.target.l1);
	if (standingOf(readBytes(file, is.l1Offset, bytes), old, target) === 'other') return false;
	try {
		const snapshots = readSnapshotTable(file, { ...was, clusterSize: 2 ** was.clusterBits, size: 0 });
		return snapshots.length === disk.ids.length && snapshots.every(({ id }, index) => id === disk.ids[index]);
	} catch (error) {
		if (!EngineError.is(error)) throw error;
		return false; // Another table lies there.
	}
}

function firstSector(path: string): Buffer {
	using file = FileSource.open(path);
	return readBytes(file, 0, SECTOR);
}
