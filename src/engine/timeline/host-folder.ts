/**
 * A folder of the host that things are written into, held so that nobody can put another in its place.
 *
 * On Linux a folder is an open descriptor: its children are reached as `/proc/self/fd/N/NAME`, which the kernel
 * resolves from the folder itself and not from its path, and are opened without following a symbolic link. So a folder
 * that is swapped for a link while we work changes nothing. Elsewhere Node has no such way: the folder is checked
 * (same inode, no link, same real path) before each use, which leaves a moment between check and use.
 */
import {
	closeSync,
	constants,
	existsSync,
	fchmodSync,
	fchownSync,
	fstatSync,
	futimesSync,
	lstatSync,
	openSync,
	realpathSync,
} from 'node:fs';
import { join } from 'node:path';
import { platform } from 'node:process';
import { ioError } from '../io/file.js';
import { EngineError } from '../util/errors.js';
import { bytesFromRaw, type RawName } from '../util/names.js';

const HAS_DESCRIPTOR_PATHS = platform === 'linux' && existsSync('/proc/self/fd');

export class HostFolder implements Disposable {
	private constructor(
		/** As it was reached: for messages. */
		readonly path: string,
		/** -1 where folders are not held by descriptor. */
		private fd: number,
		private readonly device: bigint,
		private readonly inode: bigint,
	) {}

	/** Hold the folder at `path`, following links: the person named it. @throws EngineError. */
	static open(path: string): HostFolder {
		try {
			return HostFolder.#hold(path, realpathSync.native(path));
		} catch (cause) {
			throw EngineError.is(cause) ? cause : ioError(path, cause);
		}
	}

	/** Hold a child. @throws the host's error when it is no directory: a symbolic link to one is none. */
	child(name: RawName): HostFolder {
		return HostFolder.#hold(join(this.path, Buffer.from(bytesFromRaw(name)).toString('utf8')), this.at(name));
	}

	/** What to call the child in `node:fs`. The name was checked: it is one component. */
	at(name: RawName): Buffer {
		if (this.fd >= 0) return Buffer.concat([Buffer.from(`/proc/self/fd/${this.fd}/`), bytesFromRaw(name)]);
		this.#check();
		return Buffer.from(join(this.path, Buffer.from(bytesFromRaw(name)).toString('utf8')));
	}

	/** Permissions, times and owner of the folder itself. */
	setFacts(facts: {
		mode: number;
		atime: string;
		mtime: string;
		owner: { uid: number; gid: number } | undefined;
	}): void {
		const fd = this.fd >= 0 ? this.fd : openSync(this.path, constants.O_RDONLY);
		try {
			const { dev, ino } = fstatSync(fd, { bigint: true });
			if (dev !== this.device || ino !== this.inode) throw this.#swapped();
			if (facts.owner) fchownSync(fd, facts.owner.uid, facts.owner.gid);
			fchmodSync(fd, facts.mode);
			futimesSync(fd, facts.atime, facts.mtime);
		} finally {
			if (fd !== this.fd) closeSync(fd);
		}
	}

	[Symbol.dispose](): void {
		if (this.fd >= 0) closeSync(this.fd);
		this.fd = -1;
	}

	static #hold(path: string, where: string | Buffer): HostFolder {
		if (!HAS_DESCRIPTOR_PATHS) {
			const stat = lstatSync(where, { bigint: true });
			if (!stat.isDirectory()) throw notADirectory(path);
			return new HostFolder(path, -1, stat.dev, stat.ino);
		}
		const fd = openSync(where, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
		const stat = fstatSync(fd, { bigint: true });
		return new HostFolder(path, fd, stat.dev, stat.ino);
	}

	#check(): void {
		const stat = lstatSync(this.path, { bigint: true });
		const isSame = stat.isDirectory() && stat.dev === this.device && stat.ino === this.inode;
		if (!isSame || realpathSync.native(this.path) !== this.path) throw this.#swapped();
	}

	#swapped(): EngineError {
		return new EngineError('ERR_REFUSED', `${this.path} was replaced while files were restored into it`, {
			file: this.path,
		});
	}
}

function notADirectory(path: string): NodeJS.ErrnoException {
	return Object.assign(new Error(`${path} is not a directory`), { code: 'ENOTDIR' });
}
