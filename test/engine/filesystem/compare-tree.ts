/** Walks a filesystem with Strata's reader and gives what walk-tree.py gives, so that the two can be compared. */
import { createHash } from 'node:crypto';
import type { Filesystem, Inode, Timestamp } from '../../../src/engine/filesystem/filesystem.js';
import { EngineError } from '../../../src/engine/util/errors.js';
import type { KernelEntry } from '../../oracles/mount.js';

const TYPES = { fifo: 1, chardev: 2, directory: 4, blockdev: 6, file: 8, symlink: 10, socket: 12 } as const;

/** By path in hexadecimal. Content is read in pieces of odd sizes. */
export function walkFilesystem(filesystem: Filesystem): Map<string, KernelEntry> {
	const found = new Map<string, KernelEntry>();
	const visit = (inode: Inode, path: string) => {
		found.set(hex(path), entryOf(filesystem, inode, path));
		if (inode.kind !== 'directory') return;
		for (const entry of filesystem.entries(inode)) {
			const child = filesystem.inode(entry.inode);
			if (entry.kind !== undefined && entry.kind !== child.kind)
				throw new Error(`${path}/${entry.name} is a ${entry.kind}`);
			visit(child, `${path === '/' ? '' : path}/${entry.name}`);
		}
	};
	visit(filesystem.inode(filesystem.rootInode), '/');
	return found;
}

function entryOf(filesystem: Filesystem, inode: Inode, path: string): KernelEntry {
	if (inode.problem) throw EngineError.from(inode.problem);
	const base = {
		path: hex(path),
		type: TYPES[inode.kind],
		mode: inode.mode,
		uid: inode.uid,
		gid: inode.gid,
		links: inode.links,
		inode: inode.number,
		size: inode.size,
		mtime: nanoseconds(inode.mtime),
		atime: nanoseconds(inode.atime),
		ctime: nanoseconds(inode.ctime),
		device: inode.device ? `${inode.device.major}:${inode.device.minor}` : '0:0',
		xattrs: Object.fromEntries(
			filesystem.xattrs(inode).map(({ name, value }) => [hex(name), Buffer.from(value).toString('hex')]),
		),
	};
	if (inode.kind === 'symlink') return { ...base, target: hex(filesystem.readLink(inode)) };
	return inode.kind === 'file' ? { ...base, ...contentOf(filesystem, inode) } : base;
}

function contentOf(filesystem: Filesystem, inode: Inode): { sha256: string } | { error: string } {
	try {
		using content = filesystem.openFile(inode);
		const hash = createHash('sha256');
		for (let at = 0; at < content.size;) {
			const piece = Buffer.alloc(Math.min(100_003, content.size - at), 0xaa);
			content.read(at, piece);
			hash.update(piece);
			at += piece.byteLength;
		}
		return { sha256: hash.digest('hex') };
	} catch (error) {
		if (EngineError.is(error, 'ERR_ENCRYPTED')) return { error: 'ENOKEY' };
		throw error;
	}
}

function nanoseconds({ sec, nsec }: Timestamp): string {
	return String(BigInt(sec) * 1_000_000_000n + BigInt(nsec));
}

function hex(raw: string): string {
	return Buffer.from(raw, 'latin1').toString('hex');
}
