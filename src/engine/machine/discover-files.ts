/** Disk images below a folder, told by what they hold and never by what they are called. */
import { readdirSync, realpathSync, statSync, type Dirent } from 'node:fs';
import { dirname, join, sep } from 'node:path';
import { probeImage } from '../image/probe.js';
import { resolveReference } from '../image/reference.js';
import { FileSource } from '../io/file.js';
import { EngineError } from '../util/errors.js';
import { rawFromText } from '../util/names.js';
import type { Work } from '../util/work.js';
import { identify } from '../volume/identify.js';
import { listVolumes } from '../volume/list-volumes.js';

export interface FoundImage {
	/** Real path. */
	readonly path: string;
	readonly format: string;
	/** Bytes of the disk. */
	readonly size: number;
	readonly snapshots: number;
	/** Real path of the backing file, or what the header says when it leads nowhere. */
	readonly backing: string | undefined;
	/** Real path of the external data file: a part of this image. */
	readonly dataFile: string | undefined;
}

/** Never machines, and often huge. */
const SKIPPED_NAMES = new Set(['node_modules', '.git', '.hg', '.svn', '.strata']);
/** File systems that the kernel makes up, and devices. */
const SKIPPED_FOLDERS = new Set(['/proc', '/sys', '/dev', '/run']);
const MAX_DEPTH = 40;
const MAX_FILES = 5_000_000;
/** The smallest qcow2 has four clusters of 512 bytes. */
const MIN_IMAGE = 2048;
const MIN_RAW = 1024 * 1024;
/** Raw files that are something else than a machine's disk: packages, discs, swap files. */
const NO_DISKS = new Set(['squashfs', 'squashfs3', 'erofs', 'iso9660', 'udf', 'swap', 'swsuspend', 'unknown', 'empty']);

/** Real paths of regular files below `folder`, in no order. What may not be read is passed over. */
export function* filesBelow(folder: string, work: Work): Generator<string> {
	const pending: { path: string; depth: number }[] = [];
	const start = realPathOf(folder);
	if (start === undefined) return;
	pending.push({ path: start, depth: 0 });
	let count = 0;
	for (let next = pending.pop(); next; next = pending.pop()) {
		work.throwIfCancelled();
		work.report({ step: 'Looking for disk images', done: count, unit: 'files' });
		for (const entry of childrenOf(next.path)) {
			if (MAX_FILES < ++count) return;
			const path = join(next.path, entry.name);
			if (entry.isDirectory()) {
				if (SKIPPED_NAMES.has(entry.name) || SKIPPED_FOLDERS.has(path) || MAX_DEPTH <= next.depth) continue;
				pending.push({ path, depth: next.depth + 1 });
			} else if (entry.isFile()) yield path;
			else if (entry.isSymbolicLink()) {
				// A link to a file leads to it; links to folders are not followed, so there is no loop.
				const real = realPathOf(path);
				if (real !== undefined && statOf(real)?.isFile()) yield real;
			}
		}
	}
}

/** What a file is; `undefined` when it is no disk image, or may not be read. */
export function lookAt(path: string): FoundImage | undefined {
	const stat = statOf(path);
	if (!stat?.isFile() || stat.size < MIN_IMAGE) return undefined;
	try {
		const probe = probeImage(path);
		if (probe.format === 'raw' && !isRawDisk(path)) return undefined;
		return {
			path,
			format: probe.format,
			size: probe.virtualSize ?? probe.fileSize,
			snapshots: probe.snapshots,
			backing: probe.backing && follow(probe.backing.name, path, 'backing file'),
			dataFile: probe.dataFile === undefined ? undefined : follow(probe.dataFile, path, 'data file'),
		};
	} catch (error) {
		if (EngineError.is(error) && error.code !== 'ERR_CANCELLED') return undefined;
		throw error;
	}
}

/** Any file is a raw disk to QEMU; to us, one that holds partitions or a filesystem. */
function isRawDisk(path: string): boolean {
	using file = FileSource.open(path);
	if (file.size < MIN_RAW || file.size % 512 !== 0) return false;
	const whole = identify(file).type;
	// An ISO image may carry a partition table too, so that it starts from a USB stick.
	if (whole === 'iso9660' || whole === 'udf') return false;
	const table = listVolumes(file);
	if (table.scheme === 'gpt') return true;
	if (table.scheme === 'none') return table.volumes.some(({ type }) => !NO_DISKS.has(type));
	return table.volumes.length > 0 && table.volumes.every(({ problem }) => problem === undefined);
}

function follow(name: string, path: string, what: string): string {
	try {
		const { path: found } = resolveReference(rawFromText(name), dirname(path), what);
		return realPathOf(found) ?? found;
	} catch (error) {
		// A reference that is refused is told when the machine is opened; here it is shown as it is.
		if (EngineError.is(error)) return name;
		throw error;
	}
}

export function realPathOf(path: string): string | undefined {
	try {
		return realpathSync.native(path);
	} catch (error) {
		return expected(error);
	}
}

export function statOf(path: string): { isFile(): boolean; size: number } | undefined {
	try {
		return statSync(path, { throwIfNoEntry: false });
	} catch (error) {
		return expected(error);
	}
}

function childrenOf(path: string): Dirent[] {
	try {
		return readdirSync(path + (path.endsWith(sep) ? '' : sep), { withFileTypes: true });
	} catch (error) {
		return expected(error) ?? [];
	}
}

/** What is gone or forbidden is no image of ours; anything else is a bug. */
function expected(error: unknown): undefined {
	if (error instanceof Error && 'syscall' in error) return undefined;
	throw error;
}
