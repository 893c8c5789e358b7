/** Disks with several volumes, made and changed by the usual tools, for comparisons that need more than one filesystem. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { withWritableVolume } from '../../builders/machine-edit.js';
import { listMounted, type Listing } from '../../oracles/listing.js';

const SECTOR = 512;

export interface VolumePlace {
	/** Sectors; 0 for a filesystem on the whole disk. */
	readonly start: number;
	readonly sectors: number;
}

export interface NewVolume extends VolumePlace {
	/** Arguments of mke2fs; `undefined` leaves the volume empty. */
	readonly mkfs: readonly string[] | undefined;
}

/** Make the qcow2 at `path`; without `label`, its only volume is the whole disk. */
export function makeDisk(path: string, mebibytes: number, volumes: readonly NewVolume[], label?: 'gpt' | 'dos'): void {
	const raw = `${path}.raw`;
	writeFileSync(raw, '');
	truncateSync(raw, mebibytes * 2 ** 20);
	if (label) tool('sfdisk', ['-q', '--no-tell-kernel', raw], sfdiskScript(label, volumes));
	for (const volume of volumes) if (volume.mkfs) makeFilesystem(raw, volume, volume.mkfs);
	tool('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, path]);
	rmSync(raw);
}

export function sfdiskScript(label: 'gpt' | 'dos', volumes: readonly VolumePlace[]): string {
	return `label: ${label}\n${volumes.map(({ start, sectors }) => `start=${start}, size=${sectors}\n`).join('')}`;
}

export function makeFilesystem(disk: string, { start, sectors }: VolumePlace, mkfs: readonly string[]): void {
	const size = `${Math.floor((sectors * SECTOR) / 1024)}k`;
	// OK: with -E given twice, both count.
	tool('mke2fs', ['-q', '-F', '-t', 'ext4', '-E', `offset=${start * SECTOR}`, ...mkfs, disk, size]);
}

export function snapshot(path: string, name: string): void {
	tool('qemu-img', ['snapshot', '-c', name, path]);
}

/** Change the files of the current state through the kernel. */
export async function change(path: string, volume: VolumePlace, action: (top: string) => void): Promise<void> {
	await withWritableVolume(path, disk => mounted(disk, volume, 'rw', action));
}

/** What the kernel shows of a volume at a snapshot, or now. Its journal is replayed. */
export function kernelListing(path: string, volume: VolumePlace, name?: string): Listing {
	const raw = `${path}.listing.raw`;
	tool('qemu-img', ['convert', '-f', 'qcow2', ...(name === undefined ? [] : ['-l', name]), '-O', 'raw', path, raw]);
	try {
		mounted(raw, volume, 'rw,noatime', () => undefined);
		return mounted(raw, volume, 'ro,noload', listMounted);
	} finally {
		rmSync(raw);
	}
}

export function tool(program: string, args: readonly string[], input = ''): string {
	return execFileSync(program, args, { input, encoding: 'utf8', stdio: ['pipe', 'pipe', 'pipe'] });
}

function mounted<T>(disk: string, { start, sectors }: VolumePlace, options: string, use: (top: string) => T): T {
	const top = mkdtempSync(join(tmpdir(), 'strata-volume-'));
	const place = `offset=${start * SECTOR},sizelimit=${sectors * SECTOR}`;
	try {
		tool('mount', ['-t', 'ext4', '-o', `loop,${options},${place}`, disk, top]);
		try {
			return use(top);
		} finally {
			tool('umount', [top]);
		}
	} finally {
		rmSync(top, { recursive: true, force: true });
	}
}
