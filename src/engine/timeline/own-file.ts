/**
 * The files that Strata keeps beside an image. The folder may have come from anywhere, with a download or an archive:
 * a name of ours can then be a link to a file of the user's, or a pipe that is never written.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { ioError } from '../io/file.js';
import { EngineError } from '../util/errors.js';

/**
 * Open a file that is Strata's own. Never follows a symbolic link at its name, and opens regular files alone.
 *
 * @param flags of `node:fs` constants, without those about links.
 * @returns a descriptor that the caller closes.
 * @throws EngineError `ERR_REFUSED` for what is no regular file; the host's error else.
 */
export function openOwnFile(path: string, flags: number): number {
	let fd: number;
	try {
		// Neither exists on Windows. Non-blocking, so that a pipe is refused below instead of waited for.
		fd = openSync(path, flags | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0), 0o666);
	} catch (cause) {
		const { code } = cause as NodeJS.ErrnoException;
		if (code === 'ELOOP' || code === 'EMLINK' || code === 'ENXIO') throw notOurs(path, cause);
		throw cause;
	}
	if (fstatSync(fd).isFile()) return fd;
	closeSync(fd);
	throw notOurs(path, undefined);
}

/** All of a file that is Strata's own, as text. @throws as `openOwnFile()`; EngineError `ERR_LIMIT`. */
export function readOwnFile(path: string, maxBytes: number): string {
	const fd = openOwnFile(path, constants.O_RDONLY);
	try {
		const { size } = fstatSync(fd);
		if (maxBytes < size) {
			throw new EngineError('ERR_LIMIT', `${path} is too large`, { file: path, expected: maxBytes, actual: size });
		}
		return readFileSync(fd, 'utf8');
	} catch (cause) {
		throw EngineError.is(cause) ? cause : ioError(path, cause);
	} finally {
		closeSync(fd);
	}
}

function notOurs(path: string, cause: unknown): EngineError {
	const message = `${path} is a link or no regular file, so Strata did not make it: delete it, or move the image to another folder`;
	return new EngineError('ERR_REFUSED', message, { file: path }, { cause });
}
