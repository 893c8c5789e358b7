import { realpathSync } from 'node:fs';
import { FileSource, ioError } from './file.js';
import type { ByteSource } from './source.js';

/** A file of the host that an image is made of. */
export interface HostFile extends ByteSource {
	readonly path: string;
	/**
	 * A text that differs from an earlier one when the path leads to another file now, or when the file was written:
	 * device, inode, size and times, to the nanosecond. Never throws: a file that is gone has a stamp of its own.
	 */
	stamp(): string;
}

/** Where images, their backing files and their data files come from: the host, or a test's memory. */
export interface HostFiles {
	/** Open a regular file for reading. @throws EngineError `ERR_NOT_FOUND`, `ERR_REFUSED` when it is no regular file, `ERR_IO`. */
	open(path: string): HostFile;
	/** The path with all symbolic links resolved. @throws EngineError `ERR_NOT_FOUND`, `ERR_IO`. */
	realPath(path: string): string;
}

/** The files of this host. */
export const LOCAL_FILES: HostFiles = {
	open: path => FileSource.open(path),
	realPath: path => {
		try {
			return realpathSync.native(path);
		} catch (cause) {
			throw ioError(path, cause);
		}
	},
};
