/** Reads all that a filesystem has to give, however damaged it is: nothing but `EngineError` may come out. */
import type { Filesystem, Inode } from '../../../src/engine/filesystem/filesystem.js';
import { EngineError } from '../../../src/engine/util/errors.js';

/** A hostile filesystem has loops of directories and files of exabytes: enough is read to meet what is wrong. */
const MAX_DEPTH = 6;
const MAX_INODES = 100;
const MAX_READ = 4096;

export interface ReadSummary {
	inodes: number;
	errors: number;
	bytes: number;
}

export function readEverything(filesystem: Filesystem): ReadSummary {
	const summary: ReadSummary = { inodes: 0, errors: 0, bytes: 0 };
	const attempt = (action: () => void) => {
		try {
			action();
		} catch (error) {
			if (!EngineError.is(error)) throw error;
			summary.errors++;
		}
	};
	const visit = (number: number, depth: number) => {
		if (MAX_INODES <= summary.inodes++) return;
		const inode = filesystem.inode(number);
		attempt(() => filesystem.xattrs(inode));
		if (inode.kind === 'file') attempt(() => (summary.bytes += readEnds(filesystem, inode)));
		if (inode.kind === 'symlink') attempt(() => filesystem.readLink(inode));
		if (inode.kind !== 'directory' || MAX_DEPTH <= depth) return;
		attempt(() => filesystem.lookup(inode, 'file'));
		for (const entry of filesystem.entries(inode)) {
			attempt(() => visit(entry.inode, depth + 1));
			if (MAX_INODES <= summary.inodes) return;
		}
	};
	attempt(() => visit(filesystem.rootInode, 0));
	return summary;
}

/** The beginning and the end. */
function readEnds(filesystem: Filesystem, inode: Inode): number {
	using content = filesystem.openFile(inode);
	const length = Math.min(content.size, MAX_READ);
	content.read(0, Buffer.alloc(length));
	content.read(content.size - length, Buffer.alloc(length));
	return length;
}
