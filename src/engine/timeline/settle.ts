/**
 * Settling: after an action was cut off, at whatever instruction, the machine is brought to its old state or to its new one.
 *
 * A kill inside `qemu-img snapshot -a` leaves flags that would let the next guest overwrite a snapshot, and one inside the
 * write of the active L1 table a state that is neither old nor new and passes every check. So: repair the reference
 * counts and flags, hold the active L1 table against the recorded ones, repeat what was cut off, sweep what is half-made.
 * Every step may itself be cut off and done again.
 */
import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { asQcow2 } from '../image/open-image.js';
import { FileSource } from '../io/file.js';
import { readBytes } from '../io/source.js';
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
	findTarget,
	madeBy,
	madeMoment,
	qcow2Of,
	standing,
	withDaemon,
	type Context,
} from './action.js';
import type { BeginRecord, JournalState } from './journal.js';
import { Machine } from './machine.js';
import { realImage } from './source.js';
import { mendTornHeaders } from './torn-header.js';

/** Of a header: up to and with cluster_bits. */
const MAKE_BYTES = 24;

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
	requireSameDisks(context, begin);
	const replaced = replacedDisk(context, begin);
	if (replaced !== undefined) {
		append(context, { ...endOf(begin, 'left'), position: null });
		return [`${replaced} is another image now than the one that was cut off, so it was left as it is.`];
	}
	const mended = await mendTornHeaders(context, begin);
	await repair(context);
	const done = await conclude(context, open);
	await requireClean(context);
	return [...mended, ...done];
}

/** The path of a disk that is no image of the same make any more. An image of the same make is told by its tables. */
function replacedDisk(context: Context, begin: BeginRecord): string | undefined {
	return context.source.disks.find(({ path }, index) => {
		using file = FileSource.open(path);
		const before = Buffer.from(begin.disks[index]!.header, 'base64').subarray(0, MAKE_BYTES); // OK: settleOpen() made sure of the number.
		const now = readBytes(file, 0, Math.min(MAKE_BYTES, file.size));
		// The signature; and cluster_bits, which nothing changes.
		return ![0, 20].every(at => before.subarray(at, at + 4).equals(now.subarray(at, at + 4)));
	})?.path;
}

/**
 * Two machines that share their first disk share a journal. A disk that was renamed since is known by its tables.
 *
 * @throws EngineError `ERR_UNSETTLED`.
 */
function requireSameDisks(context: Context, begin: BeginRecord): void {
	const isKnown = (path: string, index: number) => {
		const before = begin.disks[index]!; // OK: settleOpen() made sure of the number.
		if (index === 0 || basename(path) === basename(before.path)) return true;
		// Tables alone do not tell: disks that were made in one way have equal ones.
		if (existsSync(before.path)) return realImage(before.path) === realImage(path);
		using machine = Machine.open(context.source);
		const image = asQcow2(machine.images[index]!); // OK: as above.
		return image !== undefined && standing(image, before) !== 'other';
	};
	for (const [index, { path }] of context.source.disks.entries()) {
		if (isKnown(path, index)) continue;
		const message = `the action that was cut off was on ${begin.disks[index]!.path}, and not on ${path}; settle the machine that has these disks`; // OK: as above.
		throw new EngineError('ERR_UNSETTLED', message, { file: path });
	}
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
		return begin.disks.map(({ target }, index) => {
			const image = qcow2Of(machine.images[index]!); // OK: settleOpen() made sure of the number.
			return target === null ? undefined : findTarget(image, target);
		});
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
			if (standings().includes('other')) return leave(context, begin);
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

/**
 * Delete what the action made, on the disks where it exists. Where somebody wrote since, or put another image, a snapshot
 * of that name may be theirs: it stays.
 */
async function sweep(context: Context, begin: BeginRecord): Promise<void> {
	using machine = Machine.open(context.source);
	const made = madeBy(machine, begin).map(
		(snapshot, index) =>
			standing(qcow2Of(machine.images[index]!), begin.disks[index]!) === 'other' ? undefined : snapshot, // OK: settleOpen() made sure of the number.
	);
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
