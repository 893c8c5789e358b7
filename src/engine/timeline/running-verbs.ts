/**
 * The verbs on a machine that runs: as in verbs.ts, begun and ended in the journal under the machine's lock, but carried out
 * by the QEMU that holds the disks. When that is gone in the middle, the images are settled as after any other cut.
 */
import { existsSync } from 'node:fs';
import type { ActionResult } from '../../shared/engine-api.js';
import type { Qcow2Image } from '../image/qcow2/image.js';
import { inUseHint } from '../machine/qemu-img.js';
import { connectPatiently, disksOfImages, type RunningMachine } from '../machine/running/machine-connection.js';
import { rollBackRunning } from '../machine/running/rollback.js';
import { describeDisk } from '../machine/running/running-disks.js';
import { deleteRunning, takeRunning, type TakenSnapshot } from '../machine/running/snapshot.js';
import { EngineError } from '../util/errors.js';
import { bytesFromRaw, rawFromBytes, textFromRaw } from '../util/names.js';
import { requireWhole, requireWritable, type Outcome } from './act.js';
import { append, beginAction, endDone, endOf, factsOfMade, madeMoment, type Context } from './action.js';
import type { Host } from './home.js';
import { readJournal, type BeginRecord, type JournalState } from './journal.js';
import { checkLabel, labelText, safetyName } from './labels.js';
import { lineageOf } from './lineage.js';
import { MachineLock } from './locking.js';
import { Machine, type Moment } from './machine.js';
import { nameOf } from './moment-names.js';
import { requireOnAllDisks, requireSnapshots, requireSpace, requireUniqueName } from './refusals.js';
import { settleRunning } from './settle-running.js';
import { snapshotRecords } from './snapshots.js';
import type { Source } from './source.js';
import { checkDisks, describeAction } from './status.js';
import { surplusSafetySnapshots } from './surplus.js';
import type { VerbWork } from './verb-work.js';

/** A restart of the machine, or another window that asks it something. */
const CONNECT_PATIENCE_MS = 5_000;
/** Of the state of all devices, with the memory of a screen. */
const DEVICE_BYTES = 32 * 1024 * 1024;

export interface RunningTake {
	readonly label: string;
	readonly note: string;
	readonly memory: boolean;
	readonly validated: boolean;
}

/**
 * The machine, when it runs and somebody said how it is reached. The caller disposes it.
 *
 * @returns `undefined` when it does not run, or cannot be reached.
 * @throws EngineError `ERR_BUSY` when another program holds its QMP; `ERR_CHANGED` when another machine answers.
 */
export async function reachRunning(source: Source): Promise<RunningMachine | undefined> {
	const { connection } = source;
	if (connection?.qmp === undefined && connection?.libvirt === undefined) return undefined;
	if (source.disks.every(disk => !existsSync(disk.path) || inUseHint(disk.path) === 'free')) return undefined;
	let machine: RunningMachine;
	try {
		// A TCP address is there only because a person named it.
		machine = await connectPatiently({ ...connection, allowTcp: true }, CONNECT_PATIENCE_MS);
	} catch (error) {
		if (EngineError.is(error, 'ERR_NOT_FOUND')) return undefined;
		throw error;
	}
	try {
		await requireItsDisks(machine, source);
		return machine;
	} catch (error) {
		machine[Symbol.dispose]();
		throw error;
	}
}

/** @throws EngineError as `takeRunning`; `ERR_EXISTS` and `ERR_USAGE` for the label. */
export async function takeWhileRunning(
	host: Host,
	source: Source,
	machine: RunningMachine,
	options: RunningTake,
	work: VerbWork,
): Promise<ActionResult> {
	return actRunning(host, source, machine, 'take', work, async context => {
		const { label, note, memory } = options;
		const memoryBytes = memory ? await bytesOfMemory(machine) : 0;
		const begin = prepare(context, (disks, images, journal) => {
			requireSpace(images, { snapshots: 1, memoryBytes });
			const lineage = lineageOf(disks, journal);
			checkLabel(label, snapshotRecords(disks, journal, lineage));
			const { position, positionInferred } = lineage;
			return { verb: 'take', target: null, targetParent: null, making: label, note, position, positionInferred };
		});
		work.report({ step: 'Taking the snapshot', done: 0, unit: 'steps' });
		const validated = options.validated ? { validated: freezeOptions(source, work) } : {};
		const taken = await takeRunning(machine, { name: label, memory, ...validated });
		context.warnings.push(...taken.warnings, ...meaningOf(taken, options));
		using disks = Machine.open(source);
		const made = madeMoment(disks, begin);
		const facts = { ...factsOfMade(begin, made), consistency: taken.consistency };
		append(context, { ...endOf(begin, 'done'), made: [facts], position: made.key });
		return { ...named(made, labelText(label)), safetySnapshot: null, ...pausesOf(taken) };
	});
}

/** @throws EngineError as `rollBackRunning`. */
export async function moveWhileRunning(
	host: Host,
	source: Source,
	machine: RunningMachine,
	verb: 'rollback' | 'undo',
	target: (disks: Machine, journal: JournalState) => string,
	work: VerbWork,
): Promise<ActionResult> {
	return actRunning(host, source, machine, verb, work, async context => {
		let name = '';
		let to = '';
		const memoryBytes = await bytesOfMemory(machine);
		const begin = prepare(context, (disks, images, journal) => {
			requireSpace(images, { snapshots: 1, memoryBytes });
			const lineage = lineageOf(disks, journal);
			const moment = disks.moment(target(disks, journal));
			requireOnAllDisks(disks, moment);
			name = nameOf(moment, journal);
			to = tagOf(moment);
			if (moment.onDisk.every(snapshot => snapshot?.vmStateSize === 0)) {
				throw new EngineError(
					'ERR_REFUSED',
					`"${name}" was taken without memory, so a running machine cannot be rolled back to it: shut the machine down first`,
				);
			}
			const making = safetyName(verb, new Date(), snapshotRecords(disks, journal, lineage));
			const { position, positionInferred } = lineage;
			return { verb, target: moment.key, targetParent: null, making, note: '', position, positionInferred };
		});
		work.report({ step: 'Keeping the current state', done: 0, unit: 'steps' });
		let safety: Moment | undefined;
		const onSafe = () => {
			using disks = Machine.open(source);
			safety = madeMoment(disks, begin);
			append(context, { type: 'safe', action: begin.action, key: safety.key });
			work.report({ step: 'Rolling back', done: 0, unit: 'steps' });
		};
		const { warnings, pausedMs } = await rollBackRunning(machine, { to, safetyName: begin.making, onSafe });
		context.warnings.push(...warnings);
		endDone(context, begin, safety);
		await tidySafetySnapshots(context, machine);
		using disks = Machine.open(source);
		const moment = disks.moment(begin.target!); // OK: it was set above.
		return {
			...named(moment, name),
			safetySnapshot: named(safety!, labelText(begin.making)), // OK: rollBackRunning() called onSafe().
			pausedMilliseconds: round(pausedMs),
		};
	});
}

/** @throws EngineError as `deleteRunning`. */
export async function deleteWhileRunning(
	host: Host,
	source: Source,
	machine: RunningMachine,
	key: string,
	work: VerbWork,
): Promise<ActionResult> {
	return actRunning(host, source, machine, 'delete', work, context => deleteOne(context, machine, key));
}

async function deleteOne(context: Context, machine: RunningMachine, key: string): Promise<Outcome> {
	let moment: Moment | undefined;
	let name = '';
	const begin = prepare(context, (disks, _images, journal) => {
		moment = disks.moment(key);
		requireUniqueName(disks, moment);
		name = nameOf(moment, journal);
		const { parents, position, positionInferred } = lineageOf(disks, journal);
		const targetParent = parents.get(key)?.parent ?? null;
		return { verb: 'delete', target: key, targetParent, making: '', note: '', position, positionInferred };
	});
	context.work.report({ step: 'Deleting the snapshot', done: 0, unit: 'steps' });
	await deleteRunning(machine, tagOf(moment!)); // OK: prepare() ran.
	endDone(context, begin, undefined);
	return { ...named(moment!, name), safetySnapshot: null }; // OK: as above.
}

/** Saved memory is large: the oldest safety snapshots beyond those that are kept go. What cannot be deleted stays, and is said. */
async function tidySafetySnapshots(context: Context, machine: RunningMachine): Promise<void> {
	for (const key of surplusSafetySnapshots(context)) {
		try {
			await deleteOne(context, machine, key);
		} catch (error) {
			if (!EngineError.is(error)) throw error;
			const { open } = readJournal(context.lock.journal);
			const done = open ? await settleRunning(context, open, machine) : [];
			context.warnings.push([`An old safety snapshot could not be deleted: ${error.message}.`, ...done].join(' '));
			return;
		}
	}
}

/** Finish or take back what was cut off, on a machine that runs. */
export async function settleWhileRunning(
	host: Host,
	source: Source,
	machine: RunningMachine,
	work: VerbWork,
): Promise<readonly string[]> {
	const { warnings } = await actRunning(host, source, machine, 'settle', work, () =>
		Promise.resolve({ key: '', id: '', name: '', safetySnapshot: null }),
	);
	return warnings;
}

async function actRunning(
	host: Host,
	source: Source,
	machine: RunningMachine,
	verb: BeginRecord['verb'] | 'settle',
	work: VerbWork,
	body: (context: Context) => Promise<Outcome>,
): Promise<ActionResult> {
	const started = performance.now();
	requireWhole(host, source);
	const action = verb === 'settle' ? 'settling' : describeAction({ verb });
	using lock = await MachineLock.acquire(host, source, action, work);
	requireWritable(lock.journal);
	const context: Context = { host, source, lock, work, warnings: [] };
	const { open } = readJournal(lock.journal);
	if (open) context.warnings.push(...(await settleRunning(context, open, machine)));
	const trouble = checkDisks(source);
	if (trouble) throw new EngineError('ERR_REFUSED', trouble.statusText);
	const { status } = await machine.facts();
	if (verb !== 'settle' && status !== 'running' && status !== 'paused') {
		throw new EngineError(
			'ERR_REFUSED',
			`QEMU says that the machine is in the state "${status}": nothing is done to it`,
		);
	}
	work.throwIfCancelled();
	try {
		const outcome = await body(context);
		return { ...outcome, milliseconds: Math.round(performance.now() - started), warnings: context.warnings };
	} catch (error) {
		throw await bringToRest(context, machine, error);
	}
}

async function bringToRest(context: Context, machine: RunningMachine, error: unknown): Promise<unknown> {
	const { open } = readJournal(context.lock.journal);
	// What stands still must not be touched before a person has looked.
	if (!open || !EngineError.is(error) || error.code === 'ERR_UNSETTLED') return error;
	try {
		const done = await settleRunning(context, open, machine);
		return new EngineError(error.code, `${error.message}. ${done.join(' ')}`, error.details, { cause: error });
	} catch (second) {
		if (!EngineError.is(second)) return second;
		const message = `${error.message}; and it could not be seen what became of it (${second.message}). Settle the machine before it is started again`;
		return new EngineError('ERR_UNSETTLED', message, second.details, { cause: error });
	}
}

type Intent = Parameters<typeof beginAction>[2];

/** Check, and write down what is begun. */
function prepare(
	context: Context,
	intent: (disks: Machine, images: readonly Qcow2Image[], journal: JournalState) => Intent,
): BeginRecord {
	using disks = Machine.open(context.source);
	const wanted = intent(disks, requireSnapshots(disks), readJournal(context.lock.journal));
	context.work.throwIfCancelled();
	return beginAction(context, disks, { ...wanted, consistency: 'crash' });
}

/**
 * The machine has the disks of the source, may write to all of them, and has no others that snapshots would be made in.
 *
 * @throws EngineError `ERR_CHANGED`, `ERR_REFUSED`.
 */
async function requireItsDisks(machine: RunningMachine, source: Source): Promise<void> {
	const disks = await machine.disks();
	const mine = disksOfImages(
		disks,
		source.disks.map(disk => disk.path),
	);
	for (const disk of mine) {
		const why = disk.isWritable ? disk.cannotTakePart : 'the machine only reads it';
		if (why !== undefined) throw new EngineError('ERR_REFUSED', `${describeDisk(disk)} cannot have a snapshot: ${why}`);
	}
	const others = disks.filter(disk => disk.isWritable && disk.cannotTakePart === undefined && !mine.includes(disk));
	if (others.length === 0) return;
	const named = others.map(describeDisk).join(', ');
	const message = `the machine also has ${named}, which ${source.name} was added without: remove it from Strata, and add it with all its disks`;
	throw new EngineError('ERR_REFUSED', message);
}

/** What saving all memory takes at most: pages of zeros are left out, devices are small. */
async function bytesOfMemory(machine: RunningMachine): Promise<number> {
	return (await machine.facts()).memoryBytes + DEVICE_BYTES;
}

function freezeOptions(source: Source, work: VerbWork) {
	const { agent } = source.connection ?? {};
	if (agent === undefined) {
		throw new EngineError(
			'ERR_REFUSED',
			`the guest agent of ${source.name} is not known, and only it can freeze the guest`,
		);
	}
	if (work.helper === undefined) throw new EngineError('ERR_TOOL', 'there is no program that could guard the freezing');
	return { agent, allowTcp: true, helper: work.helper };
}

/** What a rollback to it will mean, said at once. */
function meaningOf({ kind, leftOut }: TakenSnapshot, { validated }: RunningTake): string[] {
	if (kind === 'memory') {
		return leftOut.length === 0
			? []
			: ['The running machine cannot be rolled back to it while it has disks that are not part of it.'];
	}
	const crash = validated ? [] : ['It is crash-consistent: as after a power cut at that moment.'];
	return [...crash, 'It has no memory: rolling back to it means shutting the machine down.'];
}

function pausesOf({
	pausedMs,
	frozenMs,
}: TakenSnapshot): Pick<ActionResult, 'pausedMilliseconds' | 'frozenMilliseconds'> {
	return {
		...(Number.isNaN(pausedMs) ? {} : { pausedMilliseconds: round(pausedMs) }),
		...(frozenMs === 0 ? {} : { frozenMilliseconds: round(frozenMs) }),
	};
}

/** The name as QEMU is told it. @throws EngineError `ERR_REFUSED` for one that is not UTF-8. */
function tagOf(moment: Moment): string {
	const text = Buffer.from(bytesFromRaw(moment.rawName)).toString('utf8');
	if (text !== '' && rawFromBytes(Buffer.from(text, 'utf8')) === moment.rawName) return text;
	throw new EngineError('ERR_REFUSED', `"${textFromRaw(moment.rawName)}" is no name that a running QEMU can be told`);
}

function named(moment: Moment, name: string) {
	return { key: moment.key, id: textFromRaw(moment.first.id), name };
}

function round(milliseconds: number): number {
	return Math.round(milliseconds * 10) / 10;
}
