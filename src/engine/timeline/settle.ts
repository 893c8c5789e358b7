/**
 * Settling: after an action was cut off, at whatever instruction, the machine is brought to its old state or to its new one.
 *
 * A kill inside `qemu-img snapshot -a` leaves flags that would let the next guest overwrite a snapshot, and one inside the
 * write of the active L1 table a state that is neither old nor new and passes every check. So: repair the reference
 * counts and flags, hold the active L1 table against the recorded ones, repeat what was cut off, sweep what is half-made.
 * Every step may itself be cut off and done again.
 */
import { applySnapshot, checkImage } from '../machine/qemu-img.js';
import { EngineError } from '../util/errors.js';
import { textFromRaw } from '../util/names.js';
import {
	append,
	applyTarget,
	deleteOn,
	endDone,
	endOf,
	endUndone,
	factsOfMade,
	madeBy,
	madeMoment,
	qcow2Of,
	standing,
	withDaemon,
	type Context,
} from './action.js';
import type { BeginRecord, JournalState } from './journal.js';
import { Machine } from './machine.js';
import { mendTornHeaders } from './torn-header.js';

type Open = NonNullable<JournalState['open']>;

/**
 * Finish or take back the action that the journal says is open.
 *
 * @returns sentences that say what was done.
 * @throws EngineError `ERR_BUSY` when another program holds a disk; `ERR_UNSETTLED` when it cannot be settled: then the
 * message says why, and nothing was lost.
 */
export async function settleOpen(context: Context, open: Open): Promise<string[]> {
	const { begin } = open;
	if (begin.disks.length !== context.source.disks.length) {
		const message = `the action that was cut off was on ${begin.disks.map(disk => disk.path).join(', ')}; settle the machine that has all these disks`;
		throw new EngineError('ERR_UNSETTLED', message);
	}
	const mended = await mendTornHeaders(context, begin);
	await repair(context);
	const done = await conclude(context, open);
	await requireClean(context);
	return [...mended, ...done];
}

async function conclude(context: Context, open: Open): Promise<string[]> {
	const { begin } = open;
	switch (begin.verb) {
		case 'take':
			return concludeTake(context, begin);
		case 'delete':
			return concludeDelete(context, begin);
		case 'rollback':
		case 'undo':
			return concludeRollback(context, open);
	}
}

async function concludeTake(context: Context, begin: BeginRecord): Promise<string[]> {
	const name = `"${begin.making}"`;
	{
		using machine = Machine.open(context.source);
		if (madeBy(machine, begin).every(snapshot => snapshot !== undefined)) {
			endDone(context, begin, madeMoment(machine, begin));
			return [`The snapshot ${name} was finished.`];
		}
	}
	await sweep(context, begin);
	endUndone(context, begin);
	return [`The snapshot ${name} was not made; what was begun of it is gone.`];
}

async function concludeDelete(context: Context, begin: BeginRecord): Promise<string[]> {
	const name = `"${textFromRaw(begin.disks.find(disk => disk.target)?.target?.name ?? '')}"`;
	const remaining = () => {
		using machine = Machine.open(context.source);
		return begin.disks.map(
			({ target }, index) =>
				machine.images[index]!.snapshots.find(
					snapshot => target !== null && snapshot.id === target.id && snapshot.rawName === target.name,
				), // OK: settleOpen() made sure of the number.
		);
	};
	const left = remaining();
	const wanted = begin.disks.filter(disk => disk.target !== null).length;
	if (left.filter(snapshot => snapshot !== undefined).length === wanted) {
		endUndone(context, begin);
		return [`The snapshot ${name} was not deleted.`];
	}
	if (left.some(snapshot => snapshot !== undefined)) {
		await withDaemon(context, async daemon => {
			for (const [index, snapshot] of left.entries()) {
				if (snapshot) await deleteOn(daemon, context.source.disks[index]!.path, snapshot); // OK: as above.
			}
		});
	}
	endDone(context, begin, undefined);
	return [`The snapshot ${name} was deleted, as was begun.`];
}

async function concludeRollback(context: Context, { begin, safe }: Open): Promise<string[]> {
	const verb = begin.verb === 'undo' ? 'undo' : 'rollback';
	// Nothing touches the current state before the safety snapshot stands on every disk and that is written down.
	if (safe === undefined) {
		await sweep(context, begin);
		endUndone(context, begin);
		return [`The ${verb} had not begun to change the disk; its safety snapshot is gone.`];
	}
	const standings = () => {
		using machine = Machine.open(context.source);
		return begin.disks.map((before, index) => standing(qcow2Of(machine.images[index]!), before)); // OK: settleOpen() made sure of the number.
	};
	const found = standings();
	if (found.includes('other')) return leave(context, begin);
	if (found.every(each => each === 'old')) {
		await sweep(context, begin);
		endUndone(context, begin);
		return [`The ${verb} had not changed the disk; its safety snapshot is gone.`];
	}
	if (found.some(each => each !== 'new')) {
		try {
			await applyTarget(context, begin);
		} catch (error) {
			// A machine that runs may stop later. Anything else will fail again: then the other disks go back as well.
			if (!EngineError.is(error) || error.code === 'ERR_BUSY') throw error;
			await takeBack(context, begin);
			const why = `The ${verb} could not be finished (${error.message}), so all disks were put back to what they were.`;
			if (standings().some(each => each !== 'old')) throw unsettled(verb, begin);
			using machine = Machine.open(context.source);
			append(context, { ...endOf(begin, 'undone'), made: [factsOfMade(begin, madeMoment(machine, begin))] });
			return [why];
		}
		await repair(context);
		if (standings().some(each => each !== 'new')) throw unsettled(verb, begin);
	}
	using machine = Machine.open(context.source);
	endDone(context, begin, madeMoment(machine, begin));
	return [`The ${verb} was finished; "${begin.making}" keeps what was there before.`];
}

/** Make the current state of every disk that of the safety snapshot. */
async function takeBack(context: Context, begin: BeginRecord): Promise<void> {
	for (const { path, id } of safetySnapshots(context, begin)) {
		await applySnapshot(context.host.tools, path, id, context.lock.marker);
	}
	await repair(context);
}

function safetySnapshots(context: Context, begin: BeginRecord): { path: string; id: string }[] {
	using machine = Machine.open(context.source);
	const { onDisk } = madeMoment(machine, begin);
	return onDisk.flatMap((snapshot, index) =>
		snapshot ? [{ path: context.source.disks[index]!.path, id: snapshot.id }] : [],
	); // OK: one for each disk.
}

function unsettled(verb: string, begin: BeginRecord): EngineError {
	const message = `the ${verb} could neither be finished nor taken back. The safety snapshot "${begin.making}" has what was there before`;
	return new EngineError('ERR_UNSETTLED', message);
}

/** Somebody wrote to the disk after the action was cut off: that work is not thrown away, whatever it is based on. */
function leave(context: Context, begin: BeginRecord): string[] {
	using machine = Machine.open(context.source);
	const made = machine.moments.filter(moment =>
		moment.onDisk.some((snapshot, index) => snapshot !== undefined && snapshot === madeBy(machine, begin)[index]),
	);
	append(context, {
		...endOf(begin, 'left'),
		made: made.map(moment => factsOfMade(begin, moment)),
		position: null,
	});
	return [
		`The disk was written to after the action was cut off, so its current state was left as it is. "${begin.making}" keeps what was there before.`,
	];
}

/** Delete what the action made, on the disks where it exists. */
async function sweep(context: Context, begin: BeginRecord): Promise<void> {
	using machine = Machine.open(context.source);
	const made = madeBy(machine, begin);
	if (made.every(snapshot => snapshot === undefined)) return;
	await withDaemon(context, async daemon => {
		for (const [index, snapshot] of made.entries()) {
			if (snapshot) await deleteOn(daemon, context.source.disks[index]!.path, snapshot); // OK: one for each disk.
		}
	});
}

async function repair(context: Context): Promise<void> {
	const { disks } = context.source;
	for (const [index, { path }] of disks.entries()) {
		context.work.report({ step: 'Checking the image', done: index, total: disks.length, unit: 'steps' });
		await checkImage(context.host.tools, path, { repair: true, marker: context.lock.marker });
	}
}

async function requireClean(context: Context): Promise<void> {
	for (const { path } of context.source.disks) {
		const { corruptions, checkErrors, leaks } = await checkImage(context.host.tools, path, { repair: false });
		if (corruptions + checkErrors === 0) continue;
		const message = `${path}: "qemu-img check" finds ${corruptions + checkErrors} errors that it cannot mend (and ${leaks} leaks). Do not start this machine; its snapshots can be read, copy what you need`;
		throw new EngineError('ERR_UNSETTLED', message, { file: path });
	}
}
