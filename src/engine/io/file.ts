import { closeSync, constants, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { EngineError } from '../util/errors.js';
import { checkRange } from './memory.js';
import type { HostFile } from './host-files.js';

/** A regular file of the host. Every read is positional: nothing keeps a place in the file. */
export class FileSource implements HostFile {
	#fd: number;

	private constructor(
		readonly path: string,
		fd: number,
		private length: number,
	) {
		this.#fd = fd;
	}

	/**
	 * Open a regular file for reading. Follows symbolic links; never a device, a pipe or a socket, which could
	 * block for ever or change what is read.
	 *
	 * @throws EngineError `ERR_NOT_FOUND`, `ERR_REFUSED` when it is no regular file, `ERR_IO`.
	 */
	static open(path: string): FileSource {
		let fd: number;
		try {
			// Non-blocking, so that a FIFO is refused below instead of waited for. Absent on Windows.
			fd = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
		} catch (cause) {
			throw ioError(path, cause);
		}
		try {
			const stat = fstatSync(fd);
			if (!stat.isFile()) throw new EngineError('ERR_REFUSED', `${path} is not a regular file`, { file: path });
			return new FileSource(path, fd, stat.size);
		} catch (error) {
			closeSync(fd);
			throw error;
		}
	}

	get size(): number {
		return this.length;
	}

	/** What the host says of the open file now; `size` follows it, so that a grown image can be read to its end. */
	stat(): { size: number; mtimeMs: number; ino: number; dev: number } {
		const { size, mtimeMs, ino, dev } = fstatSync(this.#fd);
		this.length = size;
		return { size, mtimeMs, ino, dev };
	}

	stamp(): string {
		try {
			const { dev, ino, size, mtimeNs, ctimeNs } = statSync(this.path, { bigint: true });
			return `${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`;
		} catch {
			// OK: whatever keeps the path from being looked at, the file is no longer what was opened.
			return 'gone';
		}
	}

	read(offset: number, into: Uint8Array): void {
		checkRange(this.length, offset, into.byteLength);
		let done = 0;
		while (done < into.byteLength) {
			let count: number;
			try {
				count = readSync(this.#fd, into, done, into.byteLength - done, offset + done);
			} catch (cause) {
				throw ioError(this.path, cause, offset + done);
			}
			if (count === 0) {
				throw new EngineError('ERR_IO', `${this.path} ended at ${offset + done}: it was cut while open`, {
					file: this.path,
					offset: offset + done,
				});
			}
			done += count;
		}
	}

	[Symbol.dispose](): void {
		if (this.#fd < 0) return;
		closeSync(this.#fd);
		this.#fd = -1;
	}
}

/** The engine's error for what the host's file system said of `path`. */
export function ioError(path: string, cause: unknown, offset?: number): EngineError {
	const code = (cause as NodeJS.ErrnoException | undefined)?.code;
	const details = { file: path, ...(offset === undefined ? {} : { offset }) };
	if (code === 'ENOENT') return new EngineError('ERR_NOT_FOUND', `no file ${path}`, details, { cause });
	if (code === 'ENOSPC' || code === 'EDQUOT') {
		return new EngineError('ERR_NO_SPACE', `no space left for ${path}`, details, { cause });
	}
	const reason =
		code === 'EACCES' || code === 'EPERM'
			? 'permission denied'
			: cause instanceof Error
				? cause.message
				: String(cause);
	return new EngineError('ERR_IO', `${path}: ${reason}`, details, { cause });
}
