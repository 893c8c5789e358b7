/** Whether a source can be used, and if not, what happened and what to do next. Reads no guest data beyond the first sectors. */
import { existsSync, statSync } from 'node:fs';
import type { SourceRecord } from '../../shared/engine-api.js';
import { stateOf } from '../machine/processes.js';
import { inUseHint } from '../machine/qemu-img.js';
import { EngineError } from '../util/errors.js';
import { textFromRaw } from '../util/names.js';
import { fingerprintOf, isSameImage } from './fingerprint.js';
import type { Host } from './home.js';
import { readJournal, type BeginRecord } from './journal.js';
import { isAtWork, readLock } from './lock.js';
import { openDisk } from './machine.js';
import { journalPath, lockPaths, type Source } from './source.js';

type Status = Pick<SourceRecord, 'status' | 'statusText' | 'error'>;

/** A source as its record, with its status now. Never throws for what is wrong with the images: that is the status. */
export function sourceRecord(host: Host, source: Source): SourceRecord {
	const { id, name, disks, example, connection } = source;
	const reach = connection === undefined ? {} : { connection };
	return { id, name, kind: 'machine', disks, example, ...reach, ...sourceStatus(host, source) };
}

export function sourceStatus(host: Host, source: Source): Status {
	try {
		// What was cut off comes before what cannot be opened: it may be why.
		const trouble = checkMissing(source) ?? checkWork(host, source) ?? checkDisks(source) ?? checkUse(source);
		return trouble ?? { status: 'ready', statusText: '' };
	} catch (error) {
		if (!EngineError.is(error)) throw error;
		const { code, message, details } = error;
		return { status: 'error', statusText: message, error: { code, message, details: { ...details } } };
	}
}

/** What a person calls an action that goes on or was cut off. */
export function describeAction(begin: Pick<BeginRecord, 'verb'>): string {
	switch (begin.verb) {
		case 'take':
			return 'taking a snapshot';
		case 'rollback':
			return 'rolling back';
		case 'undo':
			return 'undoing a rollback';
		case 'delete':
			return 'deleting a snapshot';
	}
}

function checkMissing(source: Source): Status | undefined {
	for (const disk of source.disks) {
		if (!existsSync(disk.path)) {
			const text = `${shown(disk.path)} is not there any more. If it was moved, say where it is now; else remove the machine from Strata.`;
			return { status: 'missing', statusText: text };
		}
	}
	return undefined;
}

/** What is wrong with the files; `undefined` when they are the images that were registered. */
export function checkDisks(source: Source): Status | undefined {
	const missing = checkMissing(source);
	if (missing) return missing;
	for (const [index, disk] of source.disks.entries()) {
		const recorded = source.fingerprints[index];
		const isSame = recorded === undefined ? isReadable(source, index) : isStillSame(source, index);
		if (!isSame) {
			const text = `${shown(disk.path)} is another image than the one that was added as ${source.name}. If the machine was moved, say where it is now; if this is a new machine, remove the old one and add it.`;
			return { status: 'changed', statusText: text };
		}
	}
	return undefined;
}

/** An action that goes on, or that was cut off. */
function checkWork(host: Host, source: Source): Status | undefined {
	const journal = journalPath(host, source);
	const { open } = readJournal(journal);
	for (const path of lockPaths(host, source)) {
		const owner = readLock(path);
		if (owner === undefined) continue;
		if (stateOf(owner) === 'elsewhere') {
			const text = `Strata is ${owner.action} on ${owner.host}, or was cut off there. If it does not run there any more, delete ${shown(path)}.`;
			return { status: 'inUse', statusText: text };
		}
		if (isAtWork(owner)) return { status: 'inUse', statusText: `Strata is ${owner.action}.` };
		// The lock of a dead owner on behalf of another machine that shares this disk.
		if (owner.journal !== journal && readJournal(owner.journal).open) return unsettled(owner.action);
	}
	return open ? unsettled(describeAction(open.begin)) : undefined;
}

function unsettled(action: string): Status {
	const text = `Strata was cut off while ${action}. Do not start this machine: settle it first, which finishes or takes back what was begun.`;
	return { status: 'unsettled', statusText: text };
}

function checkUse(source: Source): Status | undefined {
	for (const disk of source.disks) {
		if (inUseHint(disk.path) === 'writer') {
			const { qmp, libvirt } = source.connection ?? {};
			const change =
				qmp === undefined && libvirt === undefined
					? 'and nothing can be changed. To work on it while it runs, Strata must know its QMP socket.'
					: 'and snapshots are taken, deleted and rolled back to through QEMU.';
			const text = `${shown(disk.path)} is in use by a running machine: its snapshots can be read, its current state cannot, ${change}`;
			return { status: 'inUse', statusText: text };
		}
	}
	return undefined;
}

/** Answers for files that did not change since. */
const known = new Map<string, { stamp: string; isSame: boolean }>();
const MAX_KNOWN = 1000;

function isStillSame(source: Source, index: number): boolean {
	const disk = source.disks[index]!; // OK: the caller counts the disks.
	const { ino, size, mtimeNs } = statSync(disk.path, { bigint: true });
	const stamp = `${ino} ${size} ${mtimeNs}`;
	const key = `${source.id} ${disk.path}`;
	const before = known.get(key);
	if (before?.stamp === stamp) return before.isSame;
	using image = openDisk(disk, source.allowOutside);
	const isSame = isSameImage(source.fingerprints[index]!, fingerprintOf(image)); // OK: a registered source has one for each disk.
	if (MAX_KNOWN < known.size) known.clear();
	known.set(key, { stamp, isSame });
	return isSame;
}

function isReadable(source: Source, index: number): true {
	const disk = source.disks[index]!; // OK: the caller counts the disks.
	openDisk(disk, source.allowOutside)[Symbol.dispose]();
	return true;
}

function shown(path: string): string {
	return textFromRaw(Buffer.from(path, 'utf8').toString('latin1'));
}
