/**
 * The one tear that no program of QEMU's mends: the twelve bytes of a qcow2 header that say how many snapshots there are and where
 * their table lies, written by half. The count is then new and the place is old, and a snapshot that never was appears, or
 * the last one vanishes.
 *
 * It shows: QEMU writes every new table to a new place, so an equal place with another count is a tear, and the old table is
 * still whole, because its clusters are freed only afterwards. The recorded bytes are put back by qemu-img, which
 * takes the image's lock; Strata itself writes to no image.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FileSource } from '../io/file.js';
import { readBytes } from '../io/source.js';
import { writeFirstSector } from '../machine/qemu-img.js';
import { Struct, u32be, u64be } from '../util/struct.js';
import type { Context } from './action.js';
import type { BeginRecord } from './journal.js';

const FIELDS = new Struct('qcow2 header', 72, {
	snapshotCount: u32be(60), // nb_snapshots
	snapshotsOffset: u64be(64), // snapshots_offset
});
const FIELDS_OFFSET = 60;
const FIELDS_BYTES = 12;
const SECTOR = 512;

/** @returns sentences that say what was mended. @throws EngineError `ERR_BUSY`, `ERR_TOOL`. */
export async function mendTornHeaders(context: Context, begin: BeginRecord): Promise<string[]> {
	const done: string[] = [];
	for (const [index, disk] of begin.disks.entries()) {
		const { path } = context.source.disks[index]!; // OK: the caller made sure of the number.
		const before = Buffer.from(disk.header, 'base64');
		const sector = firstSector(path);
		const [was, is] = [FIELDS.decode(before), FIELDS.decode(sector)];
		if (was.snapshotsOffset !== is.snapshotsOffset || was.snapshotCount === is.snapshotCount) continue;
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

function firstSector(path: string): Buffer {
	using file = FileSource.open(path);
	return readBytes(file, 0, SECTOR);
}
