/** What a person does to a timeline. Each verb is one action: begun and ended in the journal, under the machine's lock. */
import { statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ActionResult } from '../../shared/engine-api.js';
import { managedSaveOf } from '../machine/managed-save.js';
import { EngineError } from '../util/errors.js';
import { textFromRaw } from '../util/names.js';
import { act, perform, type Prepared } from './act.js';
import { append, applyTarget, deleteOn, endDone, madeMoment, qcow2Of, standing, type Context } from './action.js';
import type { Host } from './home.js';
import { readJournal, type JournalState } from './journal.js';
import { checkLabel, labelText, safetyName } from './labels.js';
import { lineageOf } from './lineage.js';
import { MachineLock } from './locking.js';
import { Machine, type Moment } from './machine.js';
import { nameOf } from './moment-names.js';
import { requireOnAllDisks, requireRollback, requireSpace, requireUniqueName } from './refusals.js';
import { settleOpen } from './settle.js';
import { lastRollback, snapshotRecords } from './snapshots.js';
import {
	deleteWhileRunning,
	moveWhileRunning,
	reachRunning,
	settleWhileRunning,
	takeWhileRunning,
} from './running-verbs.js';
import type { Source } from './source.js';
import { surplusSafetySnapshots } from './surplus.js';
import { UNWATCHED_VERB, type VerbWork } from './verb-work.js';

const MAX_NOTE_BYTES = 16 * 1024;
/** A label is a line in the journal: it waits for a verb that is about to end, and not for long ones. */
const RENAME_PATIENCE_MS = 5_000;
const RENAME_POLL_MS = 100;

/**
 * Keep the current state of all disks under a label.
 *
 * @throws EngineError `ERR_USAGE`, `ERR_EXISTS` for the label; `ERR_REFUSED`, `ERR_BUSY`, `ERR_NO_SPACE`, `ERR_TOOL`.
 */
export async function takeSnapshot(
	host: Host,
	source: Source,
	options: { readonly label: string; readonly note?: string; readonly memory?: boolean; readonly validated?: boolean },
	work: VerbWork = UNWATCHED_VERB,
): Promise<ActionResult> {
	const { memory = false, validated = false } = options;
	using running = await reachRunning(source);
	if (running) {
		checkNote(options.note ?? '');
		const { label, note = '' } = options;
		return await takeWhileRunning(host, source, running, { label, note, memory, validated }, work);
	}
	if (memory || validated) {
		const message = `${source.name} does not run, or cannot be reached: a snapshot ${memory ? 'with memory' : 'that its guest is frozen for'} needs a running machine`;
		throw new EngineError('ERR_REFUSED', message);
	}
	return await act(host, source, 'take', work, async context => {
		const { label, note = '' } = options;
		checkNote(note);
		const prepare = ({ machine, images, journal }: Prepared) => {
			const lineage = lineageOf(machine, journal, { holdsItself: true });
			checkLabel(label, snapshotRecords(machine, journal, lineage));
			requireSpace(images, { snapshots: 1 });
			for (const image of images) {
				const save = managedSaveOf(image.path, host.libvirtFolders);
				if (save)
					context.warnings.push(
						`libvirt holds the saved memory of ${save.domain}, which is not part of this snapshot.`,
					);
			}
			const { position, positionInferred } = lineage;
			return {
				verb: 'take' as const,
				target: null,
				targetParent: null,
				making: label,
				note,
				position,
				positionInferred,
			};
		};
		const begin = await perform(context, prepare, async daemon => {
			context.work.report({ step: 'Taking the snapshot', done: 0, unit: 'steps' });
			await daemon.createSnapshots(label);
		});
		using machine = Machine.open(source);
		const made = madeMoment(machine, begin);
		endDone(context, begin, made);
		return { ...named(made, labelText(label)), safetySnapshot: null };
	});
}

/**
 * Make the current state that of a snapshot, after keeping what was there in a safety snapshot.
 *
 * @throws EngineError `ERR_NOT_FOUND`, `ERR_AMBIGUOUS`, `ERR_REFUSED`, `ERR_BUSY`, `ERR_NO_SPACE`, `ERR_TOOL`.
 */
export async function rollBack(
	host: Host,
	source: Source,
	key: string,
	work: VerbWork = UNWATCHED_VERB,
): Promise<ActionResult> {
	using running = await reachRunning(source);
	if (running) return await moveWhileRunning(host, source, running, 'rollback', () => key, work);
	return await act(host, source, 'rollback', work, context => moveTo(context, 'rollback', () => key));
}

/**
 * Take back the last rollback that was not taken back yet. What is there now is kept in a safety snapshot as well.
 *
 * @throws as `rollBack`; `ERR_NOT_FOUND` when there is nothing to undo.
 */
export async function undo(host: Host, source: Source, work: VerbWork = UNWATCHED_VERB): Promise<ActionResult> {
	const target = (machine: Machine, journal: JournalState) => {
		const last = lastRollback(machine, journal);
		if (last) return last.safety;
		throw new EngineError(
			'ERR_NOT_FOUND',
			`there is no rollback of ${source.name} to undo: none was made since the last snapshot, or its safety snapshot was deleted`,
		);
	};
	using running = await reachRunning(source);
	if (running) return await moveWhileRunning(host, source, running, 'undo', target, work);
	return await act(host, source, 'undo', work, context => moveTo(context, 'undo', target));
}

/** Delete a snapshot from all disks that have it. Cannot be undone. @throws as `rollBack`. */
export async function deleteSnapshot(
	host: Host,
	source: Source,
	key: string,
	work: VerbWork = UNWATCHED_VERB,
): Promise<ActionResult> {
	using running = await reachRunning(source);
	if (running) return await deleteWhileRunning(host, source, running, key, work);
	return await act(host, source, 'delete', work, context => deleteMoment(context, key));
}

/**
 * Change Strata's label of a snapshot. The image is not touched, and may be in use; the image's own name still resolves.
 *
 * @throws EngineError `ERR_NOT_FOUND`, `ERR_USAGE`, `ERR_EXISTS`, `ERR_BUSY`.
 */
export async function renameSnapshot(host: Host, source: Source, key: string, label: string): Promise<void> {
	await write(host, source, 'renaming a snapshot', context => {
		using machine = Machine.open(source);
		machine.moment(key);
		const journal = readJournal(context.lock.journal);
		const records = snapshotRecords(machine, journal, lineageOf(machine, journal, { holdsItself: true }));
		checkLabel(
			label,
			records.filter(record => record.key !== key),
		);
		append(context, { type: 'label', key, label });
	});
}

/** @throws as `renameSnapshot`. */
export async function setNote(host: Host, source: Source, key: string, note: string): Promise<void> {
	await write(host, source, 'writing a note', context => {
		checkNote(note);
		using machine = Machine.open(source);
		machine.moment(key);
		append(context, { type: 'note', key, note });
	});
}

/** Finish or take back an action that was cut off; nothing when there is none. @throws EngineError `ERR_BUSY`, `ERR_UNSETTLED`. */
export async function settle(
	host: Host,
	source: Source,
	work: VerbWork = UNWATCHED_VERB,
): Promise<{ readonly done: readonly string[] }> {
	using running = await reachRunning(source);
	if (running) return { done: await settleWhileRunning(host, source, running, work) };
	// Every verb settles first; this one does nothing else.
	const done: string[] = [];
	await act(host, source, 'settle', work, context => {
		done.push(...context.warnings);
		return Promise.resolve({ key: '', id: '', name: '', safetySnapshot: null });
	});
	return { done };
}

async function moveTo(
	context: Context,
	verb: 'rollback' | 'undo',
	target: (machine: Machine, journal: JournalState) => string,
): Promise<Omit<ActionResult, 'milliseconds' | 'warnings'>> {
	const { host, source } = context;
	let name = '';
	const prepare = ({ machine, images, journal }: Prepared) => {
		const lineage = lineageOf(machine, journal, { holdsItself: true });
		const moment = machine.moment(target(machine, journal));
		requireOnAllDisks(machine, moment);
		requireRollback(host, machine, images);
		requireSpace(images, { snapshots: 1 });
		name = nameOf(moment, journal);
		if (moment.onDisk.some(snapshot => snapshot !== undefined && snapshot.vmStateSize > 0)) {
			context.warnings.push(
				`"${name}" was taken with the machine's memory, which is not restored: the machine will start as after a power cut at that moment.`,
			);
		}
		const making = safetyName(verb, new Date(), snapshotRecords(machine, journal, lineage));
		const { position, positionInferred } = lineage;
		return { verb, target: moment.key, targetParent: null, making, note: '', position, positionInferred };
	};
	const begin = await perform(context, prepare, async (daemon, { making }) => {
		context.work.report({ step: 'Keeping the current state', done: 0, unit: 'steps' });
		await daemon.createSnapshots(making);
	});
	let safety: Moment;
	{
		using machine = Machine.open(source);
		safety = madeMoment(machine, begin);
	}
	append(context, { type: 'safe', action: begin.action, key: safety.key });
	await applyTarget(context, begin);
	using machine = Machine.open(source);
	for (const [index, before] of begin.disks.entries()) {
		const image = qcow2Of(machine.images[index]!); // OK: beginAction() wrote one for each disk.
		if (standing(image, before) !== 'new')
			throw new EngineError('ERR_TOOL', `qemu-img reported success, but ${image.path} is not at the snapshot`);
	}
	endDone(context, begin, safety);
	await tidySafetySnapshots(context);
	const moment = machine.moment(begin.target!); // OK: prepare() set it.
	return { ...named(moment, name), safetySnapshot: named(safety, labelText(begin.making)) };
}

async function deleteMoment(context: Context, key: string): Promise<Omit<ActionResult, 'milliseconds' | 'warnings'>> {
	const { source } = context;
	let moment: Moment | undefined;
	let name = '';
	const before = hostBytes(source);
	const prepare = ({ machine, images, journal }: Prepared) => {
		moment = machine.moment(key);
		requireUniqueName(machine, moment);
		requireSpace(images, { snapshots: 0 });
		name = nameOf(moment, journal);
		const { parents, position, positionInferred } = lineageOf(machine, journal, { holdsItself: true });
		return {
			verb: 'delete' as const,
			target: key,
			targetParent: parents.get(key)?.parent ?? null,
			making: '',
			note: '',
			position,
			positionInferred,
		};
	};
	const begin = await perform(context, prepare, async daemon => {
		context.work.report({ step: 'Deleting the snapshot', done: 0, unit: 'steps' });
		for (const [index, disk] of source.disks.entries()) {
			const snapshot = moment!.onDisk[index]; // OK: prepare() ran.
			if (snapshot) await deleteOn(daemon, disk.path, snapshot);
		}
	});
	endDone(context, begin, undefined);
	return { ...named(moment!, name), safetySnapshot: null, freedBytes: Math.max(0, before - hostBytes(source)) }; // OK: as above.
}

/** Delete the oldest safety snapshots beyond those that are kept. What cannot be deleted stays, and is said. */
async function tidySafetySnapshots(context: Context): Promise<void> {
	for (const key of surplusSafetySnapshots(context)) {
		try {
			await deleteMoment(context, key);
		} catch (error) {
			if (!EngineError.is(error)) throw error;
			// The rollback itself is done: this must not make it look failed.
			const { open } = readJournal(context.lock.journal);
			const done = open ? await settleOpen(context, open) : [];
			context.warnings.push([`An old safety snapshot could not be deleted: ${error.message}.`, ...done].join(' '));
			return;
		}
	}
}

/** One line in the journal, under the lock. An action that was cut off stays as it is: the line has nothing to do with it. */
async function write(host: Host, source: Source, action: string, body: (context: Context) => void): Promise<void> {
	const end = Date.now() + RENAME_PATIENCE_MS;
	for (;;) {
		try {
			return await writeOnce(host, source, action, body);
		} catch (error) {
			if (!EngineError.is(error, 'ERR_BUSY') || end < Date.now()) throw error;
			await sleep(RENAME_POLL_MS);
		}
	}
}

async function writeOnce(host: Host, source: Source, action: string, body: (context: Context) => void): Promise<void> {
	using lock = await MachineLock.acquire(host, source, action, UNWATCHED_VERB);
	body({ host, source, lock, work: UNWATCHED_VERB, warnings: [] });
}

function checkNote(note: string): void {
	const bytes = Buffer.byteLength(note, 'utf8');
	if (bytes <= MAX_NOTE_BYTES) return;
	throw new EngineError('ERR_USAGE', `the note has ${bytes} bytes, and ${MAX_NOTE_BYTES} are allowed`);
}

function named(moment: Moment, name: string) {
	return { key: moment.key, id: textFromRaw(moment.first.id), name };
}

/** Bytes that the disks take on the host. */
function hostBytes(source: Source): number {
	return source.disks.reduce((sum, disk) => sum + statSync(disk.path).blocks * 512, 0);
}
