/**
 * The lock of one disk: a file beside its journal that names who holds it. Who reads never waits for it.
 *
 * It is made by linking a finished file into place, so it is never seen half-written. A lock whose owner is dead is
 * replaced by an atomic rename, by one process only: whoever holds the lock on that replacement, which carries the dead
 * lock's own token in its name, so it can be won only while exactly that dead lock stands.
 */
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import * as v from 'valibot';
import { processesWith, stateOf, thisProcess } from '../machine/processes.js';
import { ioError } from '../io/file.js';
import { EngineError } from '../util/errors.js';
import { newToken } from './key.js';
import { readOwnFile } from './own-file.js';

const OWNER = v.object({
	version: v.number(),
	/** Of this lock alone. */
	token: v.pipe(v.string(), v.regex(/^\w{1,64}$/)),
	host: v.string(),
	machineId: v.optional(v.string()),
	bootId: v.string(),
	pidSpace: v.string(),
	pid: v.number(),
	startTime: v.string(),
	/** For a person: "taking a snapshot". */
	action: v.string(),
	/**
	 * On the command line of every program that is started under this lock; empty when there is none. Anything shorter
	 * could name programs that have nothing to do with it, and those are waited for, or asked to end.
	 */
	marker: v.pipe(v.string(), v.regex(/^(?:strata-[\w-]{8,64})?$/)),
	/** Of the action: a disk may be locked on behalf of a machine whose journal lies beside another disk. */
	journal: v.string(),
	since: v.string(),
});

export type LockOwner = v.InferOutput<typeof OWNER>;

export interface LockPurpose {
	readonly action: string;
	readonly marker: string;
	readonly journal: string;
}

/** A lock names one process. */
const MAX_LOCK = 64 * 1024;
/** A dead owner's replacement may be cut off too, and the replacement of that; deeper than this nobody gets by accident. */
const MAX_TAKEOVER_DEPTH = 4;

export class Lock implements Disposable {
	private constructor(
		readonly path: string,
		private readonly token: string,
		/** The dead owner that this lock was taken over from. */
		readonly replaced: LockOwner | undefined,
	) {}

	/**
	 * Take the lock, or say who has it. Never waits.
	 *
	 * @throws EngineError `ERR_BUSY` when the owner lives, when it cannot be told whether it does, or when a program
	 * that it started still runs; `ERR_IO`.
	 */
	static acquire(path: string, purpose: LockPurpose, depth = 0): Lock {
		try {
			mkdirSync(dirname(path), { recursive: true });
		} catch (cause) {
			throw ioError(path, cause);
		}
		const token = newToken();
		const owner: LockOwner = { version: 1, token, ...thisProcess(), ...purpose, since: new Date().toISOString() };
		const temporary = `${path}.${token}.new`;
		try {
			writeFileSync(temporary, `${JSON.stringify(owner)}\n`, { flag: 'wx' });
			// Twice, for the case that the holder lets go between the attempt and the reading.
			for (let attempt = 0; attempt < 3; attempt++) {
				if (linkExclusive(temporary, path)) return new Lock(path, token, undefined);
				const holder = readLock(path);
				if (holder === undefined) continue;
				const busy = whyBusy(path, holder);
				if (busy !== undefined) throw busy;
				if (depth >= MAX_TAKEOVER_DEPTH) break;
				if (replaceDead(path, holder, purpose, depth, temporary)) return new Lock(path, token, holder);
			}
			throw new EngineError('ERR_BUSY', `another Strata is taking the lock ${path}; try again`, { file: path });
		} catch (error) {
			throw EngineError.is(error) ? error : ioError(path, error);
		} finally {
			rmSync(temporary, { force: true });
		}
	}

	/** Whether the file still says that this lock holds. */
	isHeld(): boolean {
		return readLock(this.path)?.token === this.token;
	}

	release(): void {
		if (this.isHeld()) rmSync(this.path, { force: true });
	}

	[Symbol.dispose](): void {
		this.release();
	}
}

/** Who the file names; `undefined` when there is no lock. A lock that cannot be understood has an owner that nobody can judge. */
export function readLock(path: string): LockOwner | undefined {
	let text: string;
	try {
		text = readOwnFile(path, MAX_LOCK);
	} catch (cause) {
		if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
		throw EngineError.is(cause) ? cause : ioError(path, cause);
	}
	try {
		return v.parse(OWNER, JSON.parse(text));
	} catch (cause) {
		const hint = `${path} is not a lock that this Strata understands; delete it if no other Strata works on this image`;
		throw new EngineError('ERR_BUSY', hint, { file: path }, { cause });
	}
}

/** Whether the lock stands for work that goes on, here or in a program that a dead owner started. */
export function isAtWork(owner: LockOwner): boolean {
	return stateOf(owner) !== 'dead' || (owner.marker !== '' && processesWith(owner.marker).length > 0);
}

function whyBusy(path: string, owner: LockOwner): EngineError | undefined {
	const details = { file: path, actual: owner.pid };
	switch (stateOf(owner)) {
		case 'alive':
			return new EngineError(
				'ERR_BUSY',
				`another Strata (process ${owner.pid}) is ${owner.action}; try again when it is done`,
				details,
			);
		case 'elsewhere': {
			const where = `on ${owner.host}, since ${owner.since}`;
			const message = `another Strata is ${owner.action} ${where}. Whether it still runs cannot be told from here: if it does not, delete ${path}`;
			return new EngineError('ERR_BUSY', message, details);
		}
		case 'dead':
			break;
	}
	const running = owner.marker === '' ? [] : processesWith(owner.marker);
	if (running.length === 0) return undefined;
	const message = `a Strata that was cut off while ${owner.action} left process ${running[0]!.pid} at work; try again when it is done`; // OK: not empty.
	return new EngineError('ERR_BUSY', message, { file: path, actual: running[0]!.pid });
}

/** Puts `temporary` in the place of a dead owner's lock; false when somebody else was quicker. */
function replaceDead(path: string, holder: LockOwner, purpose: LockPurpose, depth: number, temporary: string): boolean {
	// Only one process at a time may replace this lock; somebody may have done so just before.
	using _replacing = Lock.acquire(`${path}.${holder.token}`, purpose, depth + 1);
	if (readLock(path)?.token !== holder.token) return false;
	renameSync(temporary, path);
	return true;
}

/** Give the finished file its name, unless the name is taken. */
function linkExclusive(from: string, to: string): boolean {
	try {
		linkSync(from, to);
		return true;
	} catch (cause) {
		const { code } = cause as NodeJS.ErrnoException;
		if (code === 'EEXIST') return false;
		if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'EOPNOTSUPP' && code !== 'ENOSYS') throw cause;
	}
	// A file system without hard links (FAT, some network ones): the name is taken first and filled at once.
	try {
		writeFileSync(to, readFileSync(from), { flag: 'wx' });
		return true;
	} catch (cause) {
		if ((cause as NodeJS.ErrnoException).code === 'EEXIST') return false;
		rmSync(to, { force: true });
		throw cause;
	}
}
