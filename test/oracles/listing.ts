/**
 * A whole file tree as plain records, to hold one reader against another: what the kernel's mount shows, and what
 * a `Filesystem` of the engine shows. Keys are raw paths, one character a byte.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, lstatSync, openSync, readdirSync, readlinkSync, readSync } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import type { Filesystem, Inode } from '../../src/engine/filesystem/filesystem.js';
import type { RawPath } from '../../src/engine/util/names.js';
import { joinRaw, rawFromBytes } from '../../src/engine/util/names.js';

export interface ListedFile {
	readonly inode: number;
	readonly kind: string;
	/** Of regular files and links; of directories it depends on their blocks, and is left out. */
	readonly size: number | undefined;
	/** Octal, 12 bits. */
	readonly mode: string;
	readonly owner: string;
	readonly links: number;
	/** Seconds and nanoseconds: "1700000000.000000001". */
	readonly mtime: string;
	/** Of device nodes: "8:1". */
	readonly device: string | undefined;
	readonly target: string | undefined;
	readonly sha256: string | undefined;
	/** "user.name=hex", sorted, one a line. */
	readonly xattrs: string;
}

export type Listing = Map<RawPath, ListedFile>;

/** What the kernel shows below a mounted directory. Needs `getfattr` (package attr). Does not cross into other mounts. */
export function listMounted(top: string): Listing {
	const xattrs = readXattrs(top);
	const listing: Listing = new Map();
	const walk = (path: Buffer, raw: RawPath): void => {
		const stat = lstatSync(path, { bigint: true });
		listing.set(raw, fromStat(path, stat, xattrs.get(raw) ?? ''));
		if (!stat.isDirectory()) return;
		for (const name of readdirSync(path, { encoding: 'buffer' })) {
			walk(Buffer.concat([path, Buffer.from('/'), name]), joinRaw(raw, rawFromBytes(name)));
		}
	};
	walk(Buffer.from(top), '/');
	return listing;
}

/** What a reader of the engine shows, from a directory on. */
export function listFilesystem(filesystem: Filesystem, from = filesystem.rootInode): Listing {
	const listing: Listing = new Map();
	const walk = (number: number, raw: RawPath, depth: number): void => {
		if (depth > 200) throw new Error(`${raw} is too deep`);
		const inode = filesystem.inode(number);
		listing.set(raw, fromInode(filesystem, inode));
		if (inode.kind !== 'directory') return;
		for (const entry of filesystem.entries(inode)) walk(entry.inode, joinRaw(raw, entry.name), depth + 1);
	};
	walk(from, '/', 0);
	return listing;
}

/** The differences, each one line, at most `limit`; empty when the two are equal. `ignore` names fields to leave out. */
export function compareListings(
	expected: Listing,
	actual: Listing,
	options: { readonly ignore?: readonly (keyof ListedFile)[]; readonly limit?: number } = {},
): string[] {
	const lines: string[] = [];
	for (const [path, file] of expected) {
		const other = actual.get(path);
		if (!other) {
			lines.push(`${path}: missing`);
			continue;
		}
		for (const field of Object.keys(file) as (keyof ListedFile)[]) {
			if (options.ignore?.includes(field) || file[field] === other[field]) continue;
			lines.push(`${path}: ${field} is ${String(other[field])}, expected ${String(file[field])}`);
		}
	}
	for (const path of actual.keys()) if (!expected.has(path)) lines.push(`${path}: should not be there`);
	return lines.slice(0, options.limit ?? 20);
}

/**
 * `expected` with what `actual` says of directories themselves. For fast commits: their records hold nothing of a directory
 * but names, so a change of its mode, owner or time is not on the disk before a full commit, and nobody can show it.
 */
export function withDirectoriesOf(actual: Listing, expected: Listing): Listing {
	const adapted: Listing = new Map();
	for (const [path, file] of expected) {
		const mine = actual.get(path);
		adapted.set(path, file.kind === 'directory' && mine?.kind === 'directory' ? mine : file);
	}
	return adapted;
}

function fromStat(path: Buffer, stat: BigIntStats, xattrs: string): ListedFile {
	const kind = stat.isFile()
		? 'file'
		: stat.isDirectory()
			? 'directory'
			: stat.isSymbolicLink()
				? 'symlink'
				: stat.isFIFO()
					? 'fifo'
					: stat.isSocket()
						? 'socket'
						: stat.isCharacterDevice()
							? 'chardev'
							: 'blockdev';
	const target = kind === 'symlink' ? rawFromBytes(readlinkSync(path, { encoding: 'buffer' })) : undefined;
	const { rdev } = stat;
	return {
		inode: Number(stat.ino),
		kind,
		size: kind === 'file' || kind === 'symlink' ? Number(stat.size) : undefined,
		mode: octal(Number(stat.mode)),
		owner: `${stat.uid}:${stat.gid}`,
		links: Number(stat.nlink),
		mtime: timeText(Number(stat.mtimeNs / 10n ** 9n), Number(stat.mtimeNs % 10n ** 9n)),
		device:
			kind === 'chardev' || kind === 'blockdev'
				? `${((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & ~0xfffn)}:${(rdev & 0xffn) | ((rdev >> 12n) & ~0xffn & 0xffffffffn)}`
				: undefined,
		target,
		sha256: kind === 'file' ? hashHostFile(path) : undefined,
		xattrs,
	};
}

function fromInode(filesystem: Filesystem, inode: Inode): ListedFile {
	const { kind, mtime, device } = inode;
	return {
		inode: inode.number,
		kind,
		size: kind === 'file' || kind === 'symlink' ? inode.size : undefined,
		mode: octal(inode.mode),
		owner: `${inode.uid}:${inode.gid}`,
		links: inode.links,
		mtime: timeText(mtime.sec, mtime.nsec),
		device: device && `${device.major}:${device.minor}`,
		target: kind === 'symlink' ? filesystem.readLink(inode) : undefined,
		sha256: kind === 'file' ? hashFile(filesystem, inode) : undefined,
		xattrs: filesystem
			.xattrs(inode)
			.map(xattr => `${xattr.name}=${Buffer.from(xattr.value).toString('hex')}`)
			.sort()
			.join('\n'),
	};
}

function octal(mode: number): string {
	return (mode & 0o7777).toString(8).padStart(4, '0');
}

/** Times before 1970 have a negative second and nanoseconds that count forwards, in the engine as in the kernel. */
function timeText(sec: number, nsec: number): string {
	if (nsec < 0) return timeText(sec - 1, nsec + 10 ** 9);
	return `${sec}.${String(nsec).padStart(9, '0')}`;
}

function hashHostFile(path: Buffer): string {
	const hash = createHash('sha256');
	const buffer = Buffer.allocUnsafe(1 << 16);
	const fd = openSync(path, 'r');
	try {
		for (let length; (length = readSync(fd, buffer)) > 0;) hash.update(buffer.subarray(0, length));
	} finally {
		closeSync(fd);
	}
	return hash.digest('hex');
}

function hashFile(filesystem: Filesystem, inode: Inode): string {
	const hash = createHash('sha256');
	using source = filesystem.openFile(inode);
	const buffer = Buffer.allocUnsafe(1 << 16);
	for (let at = 0; at < source.size; at += buffer.length) {
		const part = buffer.subarray(0, Math.min(buffer.length, source.size - at));
		source.read(at, part);
		hash.update(part);
	}
	return hash.digest('hex');
}

/** Extended attributes of everything below, by raw path from the top, in one call of `getfattr`. */
function readXattrs(top: string): Map<RawPath, string> {
	const args = ['-R', '-P', '-h', '-d', '-m', '-', '-e', 'hex', '--absolute-names', top];
	const text = execFileSync('getfattr', args, { encoding: 'latin1', maxBuffer: 1 << 28 });
	const found = new Map<RawPath, string>();
	for (const part of text.split('\n\n')) {
		const [first, ...lines] = part.split('\n').filter(line => line !== '');
		if (!first?.startsWith('# file: ')) continue;
		const path = first
			.slice(8)
			.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 8)));
		const values = lines.map(line => line.replace('=0x', '=').replace(/=0s$/, '='));
		found.set(path.slice(top.length) || '/', values.sort().join('\n'));
	}
	return found;
}
