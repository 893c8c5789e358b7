/** The commands of qemu-img that Strata uses, and what their answers mean. */
import { readFileSync, statSync, statfsSync } from 'node:fs';
import { platform } from 'node:process';
import { ioError } from '../io/file.js';
import { findTool, qcow2Image, runTool, toolError, type ToolPaths } from './tools.js';

/** What `qemu-img check` found. Absent counts are 0. */
export interface CheckResult {
	readonly corruptions: number;
	readonly leaks: number;
	readonly corruptionsFixed: number;
	readonly leaksFixed: number;
	/** Clusters that could not be checked at all. */
	readonly checkErrors: number;
}

/** Who holds an image: QEMU's locks, as the host lists them. */
export type Hold =
	/** Nobody. */
	| 'free'
	/** Somebody may write to it: its current state must not be read from the file, and nothing may change it. */
	| 'writer'
	/** Somebody reads it and forbids writing. */
	| 'reader'
	/** This host does not tell. */
	| 'unknown';

/** QEMU's lock bytes (block/file-posix.c): a permission that is held, and one that is not shared with others. */
const LOCK_PERM_WRITE = 101;
const LOCK_SHARED_WRITE = 201;
const LOCK_LAST = 203;

const READ_TIMEOUT_MS = 60_000;

/**
 * File systems whose locks may be held where this kernel does not see them: on another host, or below a user's program.
 * By `f_type` of statfs(2): NFS, CIFS, SMB2, 9p, FUSE (and virtiofs), Ceph, AFS, OCFS2, GFS2.
 */
const SHARED_FILE_SYSTEMS = new Set([
	0x6969, 0xff534d42, 0xfe534d42, 0x01021997, 0x65735546, 0x00c36400, 0x5346414f, 0x7461636f, 0x01161970,
]);

/**
 * Check, and with `repair` mend, the reference counts of an image.
 *
 * @throws EngineError `ERR_BUSY` when it is in use; `ERR_TOOL` when it cannot be checked.
 */
export async function checkImage(
	tools: ToolPaths,
	image: string,
	options: { readonly repair: boolean; readonly marker?: string },
): Promise<CheckResult> {
	const args = ['check', '--output=json', ...(options.repair ? ['-r', 'all'] : []), qcow2Image(image, options.marker)];
	const result = await runTool(findTool('qemu-img', tools), args);
	// 0 clean, 2 corruptions, 3 leaks; with -r, 0 also when all was mended.
	if (result.code !== 0 && result.code !== 2 && result.code !== 3) throw toolError('qemu-img check', image, result);
	const report = parseObject(result.stdout);
	if (report === undefined) throw toolError('qemu-img check', image, result);
	const count = (name: string) => (typeof report[name] === 'number' ? report[name] : 0);
	return {
		corruptions: count('corruptions'),
		leaks: count('leaks'),
		corruptionsFixed: count('corruptions-fixed'),
		leaksFixed: count('leaks-fixed'),
		checkErrors: count('check-errors'),
	};
}

/**
 * Make the current state that of the snapshot with this id. The caller has verified the id: qemu-img takes it for a name
 * where no id is equal.
 */
export async function applySnapshot(tools: ToolPaths, image: string, id: string, marker?: string): Promise<void> {
	const result = await runTool(findTool('qemu-img', tools), ['snapshot', '-q', '-a', id, qcow2Image(image, marker)]);
	if (result.code !== 0) throw toolError('qemu-img snapshot', image, result);
}

/**
 * Put the 512 bytes of a file into the first sector of an image. Only for mending a header that was written by half: qemu-img
 * takes the lock of the image, and writes nothing else.
 */
export async function writeFirstSector(tools: ToolPaths, from: string, image: string): Promise<void> {
	const source = JSON.stringify({ driver: 'raw', file: { driver: 'file', filename: from } });
	// Only --target-image-opts says that the target exists; a comma is doubled there.
	const target = `driver=raw,offset=0,size=512,file.driver=file,file.filename=${image.replaceAll(',', ',,')}`;
	const args = ['convert', '-n', '--target-image-opts', `json:${source}`, target];
	const result = await runTool(findTool('qemu-img', tools), args);
	if (result.code !== 0) throw toolError('qemu-img convert', image, result);
}

/**
 * Whether QEMU's own tool refuses to open the image because another program writes to it. This is the answer that
 * counts; it costs a process, so it is kept while the file does not change, for `maxAgeMs`.
 */
export async function isInUse(
	tools: ToolPaths,
	image: string,
	options: { readonly maxAgeMs?: number } = {},
): Promise<boolean> {
	const hint = inUseHint(image);
	if (hint === 'writer') return true;
	const { mtimeNs, size, ino } = statImage(image);
	const state = `${ino} ${size} ${mtimeNs}`;
	const known = answers.get(image);
	if (known?.state === state && Date.now() - known.at < (options.maxAgeMs ?? 0)) return known.inUse;
	const args = ['info', '--output=json', qcow2Image(image)];
	const result = await runTool(findTool('qemu-img', tools), args, { timeoutMs: READ_TIMEOUT_MS });
	let inUse = false;
	if (result.code !== 0) {
		const error = toolError('qemu-img info', image, result);
		if (error.code !== 'ERR_BUSY') throw error;
		inUse = true;
	}
	answers.set(image, { state, at: Date.now(), inUse });
	return inUse;
}

const answers = new Map<string, { state: string; at: number; inUse: boolean }>();

/**
 * Who holds the image, from /proc/locks: cheap enough for every poll. A hint only: some file systems list another device
 * number there than `stat` gives, so a lock on an equal inode number of another device counts as `unknown`; and so does
 * a file that other hosts may hold.
 */
export function inUseHint(image: string): Hold {
	if (platform !== 'linux') return 'unknown';
	let locks: string;
	try {
		locks = readFileSync('/proc/locks', 'latin1');
	} catch {
		return 'unknown'; // Not mounted, or forbidden.
	}
	const { dev, ino } = statImage(image);
	const place = `${hex(major(dev))}:${hex(minor(dev))}`;
	let hold: Hold = isShared(image) ? 'unknown' : 'free';
	for (const line of locks.split('\n')) {
		// "5: OFDLCK ADVISORY  READ -1 fe:00:1234 100 101"; a blocked one has "->" after the number.
		const match = /(?:OFDLCK|POSIX) +\S+ +\S+ +\S+ +([0-9a-f]+:[0-9a-f]+):(\d+) +(\d+) +(\d+|EOF)/.exec(line);
		if (!match || match[2] !== String(ino)) continue;
		const first = Number(match[3]);
		const last = match[4] === 'EOF' ? Infinity : Number(match[4]);
		if (LOCK_LAST < first) continue;
		const covers = (byte: number) => first <= byte && byte <= last;
		if (!covers(LOCK_PERM_WRITE) && !covers(LOCK_SHARED_WRITE)) continue;
		if (match[1] !== place) hold = hold === 'free' ? 'unknown' : hold;
		else if (covers(LOCK_PERM_WRITE)) return 'writer';
		else hold = 'reader';
	}
	return hold;
}

function isShared(image: string): boolean {
	// Negative where a 32-bit number was taken for a signed one.
	return SHARED_FILE_SYSTEMS.has(statfsSync(image).type >>> 0);
}

/** @throws EngineError `ERR_NOT_FOUND` when the image was moved away meanwhile; `ERR_IO`. */
function statImage(image: string) {
	try {
		return statSync(image, { bigint: true });
	} catch (cause) {
		throw ioError(image, cause);
	}
}

/** Linux packs a device number so (include/linux/kdev_t.h, new_encode_dev). */
function major(dev: bigint): bigint {
	return ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & 0xfffff000n);
}

function minor(dev: bigint): bigint {
	return (dev & 0xffn) | ((dev >> 12n) & 0xffffff00n);
}

function hex(value: bigint): string {
	return value.toString(16).padStart(2, '0');
}

function parseObject(text: string): Record<string, unknown> | undefined {
	try {
		const value: unknown = JSON.parse(text);
		return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined; // OK: an object, whose fields are checked where used.
	} catch {
		return undefined; // Not JSON: the caller reports what the program said.
	}
}
