/** A machine as the timeline sees it: its disks, and where its journal and locks lie. */
import { accessSync, constants, existsSync, realpathSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { basename, dirname, join } from 'node:path';
import type { DiskSpec, MachineConnection } from '../../shared/engine-api.js';
import { ioError } from '../io/file.js';
import type { Fingerprint } from './fingerprint.js';
import type { Host } from './home.js';

export interface Source {
	/** Eight characters when registered; else the absolute path of its only disk. */
	readonly id: string;
	readonly name: string;
	/** At least one, with absolute paths. The first one's ids and keys stand for the machine. */
	readonly disks: readonly DiskSpec[];
	readonly registered: boolean;
	readonly example: boolean;
	/** Backing and data files outside the image's folder may be opened. */
	readonly allowOutside: boolean;
	/** How it is reached while it runs; absent when nobody said. */
	readonly connection?: MachineConnection;
	/** What each disk looked like when it was registered, in the order of `disks`; empty when it is not. */
	readonly fingerprints: readonly Fingerprint[];
}

/** The source that a bare image path stands for: nothing about it is stored but its journal. */
export function pathSource(path: string, format?: DiskSpec['format']): Source {
	return {
		id: path,
		name: basename(path),
		disks: [{ path, ...(format === undefined ? {} : { format }) }],
		registered: false,
		example: false,
		allowOutside: false,
		fingerprints: [],
	};
}

/** Beside the first disk; one journal for the machine. */
export function journalPath(host: Host, source: Source): string {
	return besidePath(host, source.disks[0]!.path, 'journal'); // OK: a machine has a disk.
}

/** Beside each disk, because one disk may be used alone, or be part of two registered machines. Sorted, so that two processes never wait for each other. */
export function lockPaths(host: Host, source: Source): string[] {
	return source.disks.map(disk => besidePath(host, disk.path, 'lock')).sort();
}

/**
 * `.strata/<file>.<suffix>` beside the file that `image` leads to, so that every host and container that shares the image
 * sees it; in Strata's home when the folder cannot be written. What lies in one of the two places stays there: a folder
 * that can be written again does not hide what was begun while it could not.
 */
function besidePath(host: Host, image: string, suffix: string): string {
	const real = realImage(image);
	const folder = join(dirname(real), '.strata');
	const beside = join(folder, `${basename(real)}.${suffix}`);
	if (existsSync(beside)) return beside;
	const name = createHash('sha256').update(real).digest('hex').slice(0, 24);
	const atHome = join(host.home, 'journals', `${name}.${suffix}`);
	if (existsSync(atHome)) return atHome;
	return isWritable(existsSync(folder) ? folder : dirname(real)) ? beside : atHome;
}

/** @throws EngineError `ERR_NOT_FOUND`. */
export function realImage(path: string): string {
	try {
		return realpathSync.native(path);
	} catch (cause) {
		throw ioError(path, cause);
	}
}

function isWritable(folder: string): boolean {
	try {
		accessSync(folder, constants.W_OK);
		return true;
	} catch {
		return false; // Forbidden, or a read-only file system: that is the answer.
	}
}
