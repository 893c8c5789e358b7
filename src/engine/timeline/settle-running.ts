/**
 * Settling while the machine runs: QEMU itself finished or gave up what it was told, whatever became of Strata. So what is
 * there is looked at, what is half-made is deleted, and a machine that stands still after a failed load gets back what
 * it had. Nothing here touches an image; when QEMU is gone, settle.ts does its work.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { runJob } from '../machine/running/job.js';
import type { RunningMachine } from '../machine/running/machine-connection.js';
import { deleteRunning, participants } from '../machine/running/snapshot.js';
import { EngineError } from '../util/errors.js';
import { textFromRaw } from '../util/names.js';
import { append, endDone, endOf, endUndone, factsOfMade, madeBy, madeMoment, type Context } from './action.js';
import type { BeginRecord, JournalState } from './journal.js';
import { Machine } from './machine.js';

type Open = NonNullable<JournalState['open']>;

const JOB_PATIENCE_MS = 10 * 60_000;
const JOB_POLL_MS = 100;

/** @returns sentences that say what was done. @throws EngineError `ERR_UNSETTLED`, `ERR_TOOL`. */
export async function settleRunning(context: Context, open: Open, machine: RunningMachine): Promise<string[]> {
	const { begin } = open;
	await untilNoJobs(machine, context);
	switch (begin.verb) {
		case 'take':
			return concludeTake(context, begin, machine);
		case 'delete':
			return concludeDelete(context, begin, machine);
		case 'rollback':
		case 'undo':
			return concludeRollback(context, open, machine);
	}
}

/** Jobs that Strata began go on without it; what they came to is then seen on the disks. */
async function untilNoJobs(machine: RunningMachine, context: Context): Promise<void> {
	const end = Date.now() + JOB_PATIENCE_MS;
	for (;;) {
		const jobs = (await machine.query('query-jobs')) as { readonly id: string; readonly status: string }[];
		const ours = jobs.filter(job => job.id.startsWith('strata-'));
		for (const { id, status } of ours) {
			if (status === 'concluded') await machine.monitor.execute('job-dismiss', { id });
		}
		if (ours.every(job => job.status === 'concluded')) return;
		if (end < Date.now()) throw new EngineError('ERR_BUSY', 'QEMU still works on what was begun');
		context.work.throwIfCancelled();
		context.work.report({ step: 'Waiting for QEMU to finish what was begun', done: 0, unit: 'steps' });
		await sleep(JOB_POLL_MS);
	}
}

async function concludeTake(context: Context, begin: BeginRecord, machine: RunningMachine): Promise<string[]> {
	const name = `"${begin.making}"`;
	if (isMadeEverywhere(context, begin)) {
		using disks = Machine.open(context.source);
		endDone(context, begin, madeMoment(disks, begin));
		return [`The snapshot ${name} was finished.`];
	}
	await sweep(context, begin, machine);
	endUndone(context, begin);
	return [`The snapshot ${name} was not made; what was begun of it is gone.`];
}

async function concludeDelete(context: Context, begin: BeginRecord, machine: RunningMachine): Promise<string[]> {
	const targets = begin.disks.flatMap(({ target }) => (target === null ? [] : [target]));
	const name = `"${textFromRaw(targets[0]?.name ?? '')}"`;
	const left = countLeft(context, begin);
	if (left === targets.length) {
		endUndone(context, begin);
		return [`The snapshot ${name} was not deleted.`];
	}
	if (left > 0) await deleteRunning(machine, Buffer.from(targets[0]!.name, 'latin1').toString('utf8')); // OK: one is left, so there is one.
	endDone(context, begin, undefined);
	return [`The snapshot ${name} was deleted, as was begun.`];
}

async function concludeRollback(context: Context, { begin, safe }: Open, machine: RunningMachine): Promise<string[]> {
	const verb = begin.verb === 'undo' ? 'undo' : 'rollback';
	if (safe === undefined) {
		await sweep(context, begin, machine);
		endUndone(context, begin);
		return [`The ${verb} had not begun to change the machine; its safety snapshot is gone.`];
	}
	const { status } = await machine.facts();
	using disks = Machine.open(context.source);
	const made = [factsOfMade(begin, madeMoment(disks, begin))];
	if (status === 'restore-vm') {
		// It was running, or it would not have been rolled back as a running machine; a paused one is let go as well.
		const devices = (await participants(machine)).disks.map(disk => disk.node);
		await runJob(machine.monitor, 'snapshot-load', { tag: begin.making, vmstate: devices[0], devices });
		await machine.monitor.execute('cont');
		append(context, { ...endOf(begin, 'undone'), made });
		return [`The ${verb} could not be finished, so the machine was put back to what it was, and goes on.`];
	}
	// It goes on, from the snapshot or from before: nothing on the disks tells which.
	append(context, { ...endOf(begin, 'left'), made, position: null });
	return [
		`Strata was cut off while the machine was rolled back, and cannot tell whether it was. "${begin.making}" keeps what was there before.`,
	];
}

function isMadeEverywhere(context: Context, begin: BeginRecord): boolean {
	using disks = Machine.open(context.source);
	return madeBy(disks, begin).every(snapshot => snapshot !== undefined);
}

function countLeft(context: Context, begin: BeginRecord): number {
	using disks = Machine.open(context.source);
	return begin.disks.filter(
		({ target }, index) =>
			disks.images[index]!.snapshots.some(
				snapshot => target !== null && snapshot.id === target.id && snapshot.rawName === target.name,
			), // OK: a journal's action has the disks of its source.
	).length;
}

/** Delete what the action made. */
async function sweep(context: Context, begin: BeginRecord, machine: RunningMachine): Promise<void> {
	using disks = Machine.open(context.source);
	if (madeBy(disks, begin).every(snapshot => snapshot === undefined)) return;
	await deleteRunning(machine, begin.making);
}
