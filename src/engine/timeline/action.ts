/** The parts that every action is made of: its begin in the journal, QEMU's programs, and its end. */
import { setTimeout as sleep } from 'node:timers/promises';
import { asQcow2 } from '../image/open-image.js';
import type { Qcow2Image } from '../image/qcow2/image.js';
import { readBytes } from '../io/source.js';
import { applySnapshot } from '../machine/qemu-img.js';
import { StorageDaemon } from '../machine/storage-daemon.js';
import { EngineError } from '../util/errors.js';
import { bytesFromRaw, rawFromBytes, textFromRaw } from '../util/names.js';
import type { Host } from './home.js';
import {
	appendJournal,
	readJournal,
	type BeginRecord,
	type DiskBefore,
	type EndRecord,
	type NewRecord,
	type SnapshotFacts,
} from './journal.js';
import { newToken } from './key.js';
import { decodeL1, encodeL1, standingOf, type Standing } from './l1-record.js';
import type { MachineLock } from './locking.js';
import { Machine, type Moment } from './machine.js';
import type { Source } from './source.js';
import type { VerbWork } from './verb-work.js';

/** What an action has in hand: the locked machine. Images are opened anew after each step, for each step changes them. */
export interface Context {
	readonly host: Host;
	readonly source: Source;
	readonly lock: MachineLock;
	readonly work: VerbWork;
	/** Sentences for the person. */
	readonly warnings: string[];
}

const HEADER_BYTES = 112;
const BUSY_ATTEMPTS = 10;
const BUSY_PAUSE_MS = 50;

export type Intent = Pick<
	BeginRecord,
	'verb' | 'target' | 'targetParent' | 'making' | 'note' | 'position' | 'positionInferred'
> &
	Partial<Pick<BeginRecord, 'consistency'>>;

/** Write down what is begun, with everything that finishing it or taking it back will need. */
export function beginAction(context: Context, machine: Machine, intent: Intent): BeginRecord {
	const moment = intent.target === null ? undefined : machine.moment(intent.target);
	const disks: DiskBefore[] = machine.images.map((image, index) => {
		const qcow2 = qcow2Of(image);
		const snapshot = moment?.onDisk[index];
		return {
			path: image.path,
			ids: image.snapshots.map(({ id }) => id),
			activeL1: encodeL1(qcow2.l1Table()),
			target: snapshot
				? {
						id: snapshot.id,
						name: snapshot.rawName,
						l1: encodeL1(qcow2.l1Table(snapshot.id)),
						diskSize: snapshot.diskSize,
					}
				: null,
			header: Buffer.from(readBytes(qcow2.file, 0, Math.min(HEADER_BYTES, qcow2.file.size))).toString('base64'),
		};
	});
	const begin = { type: 'begin' as const, action: newToken(), marker: context.lock.marker, ...intent, disks };
	context.work.committed();
	append(context, begin);
	return { ...begin, v: 1, time: new Date().toISOString() };
}

export function append(context: Context, ...records: readonly NewRecord[]): void {
	appendJournal(context.lock.journal, ...records);
}

/** Open all disks for writing, so that nobody else can change them while `body` runs. */
export async function withDaemon<T>(context: Context, body: (daemon: StorageDaemon) => Promise<T>): Promise<T> {
	const paths = context.source.disks.map(disk => disk.path);
	const daemon = await patiently(() => StorageDaemon.open(context.host.tools, paths, context.lock.marker));
	let result: T;
	try {
		result = await body(daemon);
	} catch (error) {
		// What went wrong first says more than how the program ended after it.
		await daemon.close().catch(() => undefined);
		throw error;
	}
	await daemon.close();
	return result;
}

/** Make the current state of every disk that of the target. The ids are looked up once more right before. */
export async function applyTarget(context: Context, begin: BeginRecord): Promise<void> {
	for (const [index, before] of begin.disks.entries()) {
		const { target } = before;
		if (target === null) continue;
		const path = context.source.disks[index]!.path; // OK: a journal's action has the disks of its source; settle checks that.
		context.work.report({ step: 'Rolling back', done: index, total: begin.disks.length, unit: 'steps' });
		await patiently(() => {
			checkBeforeApplying(context.source, index, before);
			return applySnapshot(context.host.tools, path, target.id, context.lock.marker);
		});
	}
}

/**
 * @throws EngineError `ERR_CHANGED` when the snapshot is not the one that the action was begun with, or when somebody
 * wrote to the current state since: that would be lost, for the safety snapshot does not have it.
 */
function checkBeforeApplying(source: Source, index: number, before: DiskBefore): void {
	using machine = Machine.open(source);
	const image = qcow2Of(machine.images[index]!); // OK: one for each disk.
	if (before.target !== null && findTarget(image, before.target) === undefined) {
		const message = `${image.path}: the snapshot "${textFromRaw(before.target.name)}" is not the one that it was; another program changed the image`;
		throw new EngineError('ERR_CHANGED', message, { file: image.path });
	}
	if (standing(image, before) !== 'other') return;
	throw new EngineError('ERR_CHANGED', `${image.path}: another program wrote to the disk meanwhile`, {
		file: image.path,
	});
}

/** The snapshot that an action was begun with: by id, name and table; `undefined` when it is not there any more. */
export function findTarget(
	image: Qcow2Image,
	target: NonNullable<DiskBefore['target']>,
): Qcow2Image['snapshots'][number] | undefined {
	const found = image.snapshots.find(({ id, rawName }) => id === target.id && rawName === target.name);
	if (found === undefined) return undefined;
	const table = decodeL1(target.l1);
	return standingOf(image.l1Table(target.id), table, table) === 'new' ? found : undefined;
}

/** Another window that asks "qemu-img info" holds an image for a few milliseconds; a machine holds it for good. */
async function patiently<T>(open: () => Promise<T>): Promise<T> {
	for (let attempt = 1; ; attempt++) {
		try {
			return await open();
		} catch (error) {
			if (!EngineError.is(error, 'ERR_BUSY') || BUSY_ATTEMPTS <= attempt) throw error;
			await sleep(BUSY_PAUSE_MS);
		}
	}
}

/** Of an action with a target: where the disk's current state is between what it was and the target. */
export function standing(image: Qcow2Image, before: DiskBefore): Standing {
	return standingOf(image.l1Table(), decodeL1(before.activeL1), decodeL1(before.target?.l1 ?? before.activeL1));
}

/** Snapshots that the action made, by disk: those of its name that were not there before. */
export function madeBy(machine: Machine, begin: BeginRecord): (Moment['first'] | undefined)[] {
	const rawName = rawFromBytes(Buffer.from(begin.making, 'utf8'));
	return machine.images.map((image, index) => {
		const before = new Set(begin.disks[index]?.ids);
		return image.snapshots.find(snapshot => snapshot.rawName === rawName && !before.has(snapshot.id));
	});
}

/** The moment that the action made, on all disks. @throws EngineError `ERR_TOOL` when it is not there. */
export function madeMoment(machine: Machine, begin: BeginRecord): Moment {
	const made = madeBy(machine, begin);
	const moment = machine.moments.find(candidate =>
		candidate.onDisk.every((snapshot, index) => snapshot !== undefined && snapshot === made[index]),
	);
	if (moment) return moment;
	throw new EngineError('ERR_TOOL', `QEMU reported success, but the snapshot "${begin.making}" is not there`);
}

/** What the journal keeps of the snapshot that an action made. */
export function factsOfMade(begin: BeginRecord, moment: Moment): SnapshotFacts {
	return {
		key: moment.key,
		note: begin.note,
		parent: begin.position,
		inferred: begin.positionInferred,
		safety: begin.verb !== 'take',
		consistency: begin.consistency ?? 'offline',
	};
}

/** End an action that reached its new state, and write down what that changed. */
export function endDone(context: Context, begin: BeginRecord, made: Moment | undefined): void {
	const journal = readJournal(context.lock.journal);
	const base = endOf(begin, 'done');
	const facts = made === undefined ? [] : [factsOfMade(begin, made)];
	switch (begin.verb) {
		case 'take':
			append(context, { ...base, made: facts, position: made!.key }); // OK: taking makes one.
			break;
		case 'rollback':
		case 'undo': {
			const to = begin.target!; // OK: a rollback has a target.
			append(context, { ...base, made: facts, position: to, undo: { to, safety: made!.key } }); // OK: it makes a safety snapshot first.
			break;
		}
		case 'delete': {
			const key = begin.target!; // OK: a deletion has a target.
			const parent = journal.facts.get(key)?.parent ?? begin.targetParent;
			const moves = begin.position === key ? { position: parent } : {};
			append(context, { ...base, deleted: [{ key, parent }], ...moves });
			break;
		}
	}
}

/** End an action whose disks are as they were. */
export function endUndone(context: Context, begin: BeginRecord): void {
	append(context, endOf(begin, 'undone'));
}

export function endOf(begin: BeginRecord, outcome: EndRecord['outcome']) {
	return { type: 'end' as const, action: begin.action, verb: begin.verb, outcome };
}

/** Delete a snapshot of one disk, by id and, when it is text, by name. */
export async function deleteOn(
	daemon: StorageDaemon,
	path: string,
	snapshot: { readonly id: string; readonly rawName: string },
): Promise<void> {
	const name = Buffer.from(bytesFromRaw(snapshot.rawName)).toString('utf8');
	const isText = rawFromBytes(Buffer.from(name, 'utf8')) === snapshot.rawName && name !== '';
	await daemon.deleteSnapshot(path, snapshot.id, isText ? name : undefined);
}

/** @throws EngineError `ERR_REFUSED` for other formats, which have no snapshots. */
export function qcow2Of(image: Machine['images'][number]): Qcow2Image {
	const qcow2 = asQcow2(image);
	if (qcow2) return qcow2;
	throw new EngineError('ERR_REFUSED', `${image.path} is ${image.format}, which holds no snapshots`, {
		file: image.path,
	});
}
