/** The locks of a machine's disks, for one action; and what a dead owner left running. */
import { kill } from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { processesWith, stateOf } from '../machine/processes.js';
import { EngineError } from '../util/errors.js';
import type { Host } from './home.js';
import { readJournal } from './journal.js';
import { newToken } from './key.js';
import { Lock, readLock } from './lock.js';
import { journalPath, lockPaths, type Source } from './source.js';
import type { VerbWork } from './verb-work.js';

const POLL_MS = 50;
/** Longer than any of QEMU's tools needs for a snapshot table; repairing a large image can take minutes. */
const ORPHAN_PATIENCE_MS = 15 * 60_000;

/** Held until disposed. */
export class MachineLock implements Disposable {
	private constructor(
		/** Goes onto the command line of every program of the action. A legal QEMU node name. */
		readonly marker: string,
		readonly journal: string,
		private readonly locks: readonly Lock[],
	) {}

	/**
	 * Lock all disks. Waits for programs that a dead owner left at work on them, and for nothing else.
	 *
	 * @throws EngineError `ERR_BUSY` when another Strata works on one of the disks; `ERR_UNSETTLED` when one was being
	 * changed on behalf of another machine; `ERR_CANCELLED`.
	 */
	static async acquire(host: Host, source: Source, action: string, work: VerbWork): Promise<MachineLock> {
		const journal = journalPath(host, source);
		const marker = `strata-${newToken()}`;
		const locks: Lock[] = [];
		try {
			for (const path of lockPaths(host, source)) {
				await clearOrphans(path, journal, work);
				locks.push(Lock.acquire(path, { action, marker, journal }));
			}
			return new MachineLock(marker, journal, locks);
		} catch (error) {
			for (const lock of locks) lock.release();
			throw error;
		}
	}

	[Symbol.dispose](): void {
		for (const lock of this.locks) lock.release();
	}
}

/** If the lock's owner is dead, wait until nothing that it started runs any more. */
async function clearOrphans(path: string, journal: string, work: VerbWork): Promise<void> {
	const owner = readLock(path);
	if (owner === undefined || stateOf(owner) !== 'dead') return;
	if (owner.journal !== journal && readJournal(owner.journal).open) {
		const message = `another machine that shares this disk was cut off while ${owner.action}; settle that machine first (its journal is ${owner.journal})`;
		throw new EngineError('ERR_UNSETTLED', message, { file: path });
	}
	const end = Date.now() + ORPHAN_PATIENCE_MS;
	const asked = new Set<number>();
	for (let running = processesWith(owner.marker); running.length > 0; running = processesWith(owner.marker)) {
		work.throwIfCancelled();
		work.report({ step: 'Waiting for QEMU to finish what was begun', done: 0, unit: 'steps' });
		for (const { pid, command } of running) {
			// qemu-img ends by itself. The storage daemon waits for a command that nobody will give: on SIGTERM it
			// finishes the one at hand, flushes and ends. Killing would cut it off.
			if (!command.includes('qemu-storage-daemon') || asked.has(pid)) continue;
			asked.add(pid);
			askToEnd(pid);
		}
		if (end < Date.now()) {
			throw new EngineError(
				'ERR_BUSY',
				`process ${running[0]!.pid}, left by a Strata that was cut off, still works on the image`,
				{ file: path },
			); // OK: not empty.
		}
		await sleep(POLL_MS);
	}
}

function askToEnd(pid: number): void {
	try {
		kill(pid, 'SIGTERM');
	} catch {
		// It ended meanwhile; or it is another user's, and is waited for.
	}
}
