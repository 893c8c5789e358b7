/**
 * What a disk is divided into: GPT, else MBR, else one filesystem on the whole disk. Where tables contradict each
 * other, what Linux would do is done, and a note says so.
 */
import type { ByteSource } from '../io/source.js';
import { SliceSource } from '../io/slice.js';
import { EngineError, type ErrorRecord } from '../util/errors.js';
import { readGpt, type Gpt } from './gpt.js';
import { identify, type Identity } from './identify.js';
import { GPT_PROTECTIVE, isProtective, listMbr, readMbr, type Mbr } from './mbr.js';
import type { Damage, Partition } from './partition.js';
import type { Volume, VolumeTable } from './volume.js';

const NOTHING: Identity = { type: 'unknown', label: '', uuid: '' };

/**
 * List the volumes of a disk. Damage of a table is told in `notes` and `problem`, never thrown: what could be read is
 * listed.
 *
 * @param isReadable whether Strata has a reader for a type that `identify()` names.
 * @throws EngineError `ERR_IO` or `ERR_CORRUPT` when the first sectors of the disk itself cannot be read.
 */
export function listVolumes(disk: ByteSource, isReadable: (type: string) => boolean = () => false): VolumeTable {
	const mbr = readMbr(disk);
	const gpt = mayHaveGpt(disk, mbr) ? readGpt(disk) : undefined;
	if (gpt?.partitions) return fromGpt(disk, gpt, mbr, isReadable);
	if (gpt) return damagedGpt(gpt.damage);
	if (mbr) {
		const table = fromMbr(disk, mbr, isReadable);
		if (table.volumes.length > 0 || identify(disk).type === 'unknown') return table;
	}
	return wholeDisk(disk, isReadable);
}

/**
 * Linux looks for a GPT only behind a protective MBR. Where no MBR is left at all, and no filesystem in its place,
 * a table that is found is shown nevertheless: it is what the person is looking for.
 */
function mayHaveGpt(disk: ByteSource, mbr: Mbr | undefined): boolean {
	if (mbr) return isProtective(mbr);
	return ['unknown', 'empty'].includes(identify(disk).type);
}

function fromGpt(disk: ByteSource, gpt: Gpt, mbr: Mbr | undefined, isReadable: (type: string) => boolean): VolumeTable {
	const notes = gpt.damage.map(({ message }) => message);
	if (gpt.fromBackup) notes.push('the backup GPT was used');
	if (!mbr) notes.push('the protective MBR is missing: Linux would not see these partitions');
	if (mbr?.entries.some(entry => entry.sectorCount !== 0 && entry.type !== GPT_PROTECTIVE)) {
		notes.push('a hybrid MBR: its own entries are not used, as Linux does not use them');
	}
	return {
		scheme: 'gpt',
		sectorSize: gpt.sectorSize,
		uuid: gpt.uuid,
		volumes: toVolumes(disk, gpt.partitions, isReadable),
		notes,
		problem: undefined,
	};
}

function damagedGpt(damage: readonly Damage[]): VolumeTable {
	const notes = damage.map(({ message }) => message);
	const first = damage[0]!; // OK: readGpt() gives no empty list.
	const problem: ErrorRecord = {
		code: 'ERR_CORRUPT',
		message: `gpt: no copy of the partition table can be used: ${notes.join('; ')}`,
		details: { format: 'gpt', field: first.field, offset: first.offset },
	};
	return { scheme: 'gpt', sectorSize: 512, uuid: '', volumes: [], notes, problem };
}

function fromMbr(disk: ByteSource, mbr: Mbr, isReadable: (type: string) => boolean): VolumeTable {
	// The table does not say how large a sector is. 4096 only when that alone makes sense.
	let sectorSize = 512;
	let { partitions, damage } = listMbr(disk, mbr, sectorSize);
	let volumes = toVolumes(disk, partitions, isReadable);
	if (volumes.length > 0 && !volumes.some(isRecognised)) {
		const wide = listMbr(disk, mbr, 4096);
		const wideVolumes = toVolumes(disk, wide.partitions, isReadable);
		if (wideVolumes.some(isRecognised)) {
			sectorSize = 4096;
			({ partitions, damage } = wide);
			volumes = wideVolumes;
		}
	}
	const notes = damage.map(({ message }) => message);
	if (volumes.length > 0 && hasStrayGpt(disk)) {
		notes.push('a GPT without a protective MBR: it is not used, as Linux does not use it');
	}
	return { scheme: 'mbr', sectorSize, uuid: mbr.diskSignature, volumes, notes, problem: undefined };
}

function hasStrayGpt(disk: ByteSource): boolean {
	const signature = Buffer.alloc(8);
	if (disk.size < 520) return false;
	disk.read(512, signature);
	return signature.toString('latin1') === 'EFI PART';
}

function wholeDisk(disk: ByteSource, isReadable: (type: string) => boolean): VolumeTable {
	const identity = identify(disk);
	const volumes: Volume[] = [];
	if (identity.type !== 'unknown' && identity.type !== 'empty') {
		volumes.push({
			name: 'disk',
			offset: 0,
			size: disk.size,
			...identity,
			readable: isReadable(identity.type),
			partitionType: '',
			partitionName: '',
			problem: undefined,
		});
	}
	const notes =
		volumes.length > 0
			? []
			: [`the disk ${identity.type === 'empty' ? 'is empty' : 'holds nothing that is recognised'}`];
	return { scheme: 'none', sectorSize: 512, uuid: '', volumes, notes, problem: undefined };
}

function toVolumes(
	disk: ByteSource,
	partitions: readonly Partition[],
	isReadable: (type: string) => boolean,
): Volume[] {
	return partitions.map(partition => {
		const outside = whyOutside(disk, partition);
		const { identity, problem } =
			outside === undefined ? look(disk, partition) : { identity: NOTHING, problem: outside };
		return {
			name: `p${partition.number}`,
			offset: partition.offset,
			size: partition.size,
			...identity,
			readable: problem === undefined && isReadable(identity.type),
			partitionType: partition.type,
			partitionName: partition.name,
			problem: problem ?? whyOverlapping(partition, partitions),
		};
	});
}

function look(disk: ByteSource, partition: Partition): { identity: Identity; problem: string | undefined } {
	if (partition.extended) return { identity: { ...NOTHING, type: 'extended' }, problem: undefined };
	try {
		return { identity: identify(new SliceSource(disk, partition.offset, partition.size)), problem: undefined };
	} catch (error) {
		// The image is damaged under this partition; the others may be whole.
		if (!EngineError.is(error)) throw error;
		return { identity: NOTHING, problem: error.message };
	}
}

function whyOutside(disk: ByteSource, { offset, size }: Partition): string | undefined {
	const over = offset + size - disk.size;
	if (over <= 0) return undefined;
	if (disk.size <= offset) return 'it begins behind the end of the disk';
	return `it ends ${over} bytes behind the end of the disk`;
}

/** Linux uses partitions that overlap, and so do we; but a person should know. */
function whyOverlapping(partition: Partition, partitions: readonly Partition[]): string | undefined {
	const others = partitions.filter(
		other =>
			other !== partition &&
			!other.extended &&
			!partition.extended &&
			other.offset < partition.offset + partition.size &&
			partition.offset < other.offset + other.size,
	);
	if (others.length === 0) return undefined;
	const shown = others.slice(0, 4).map(other => `p${other.number}`);
	return `it overlaps ${shown.join(', ')}${others.length > shown.length ? ' and others' : ''}`;
}

function isRecognised(volume: Volume): boolean {
	return !['unknown', 'empty', 'extended'].includes(volume.type);
}
