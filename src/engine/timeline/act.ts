/** The frame around every verb: lock, settle what was cut off, check, do, and bring the machine to rest when that fails. */
import type { ActionResult } from '../../shared/engine-api.js';
import type { Qcow2Image } from '../image/qcow2/image.js';
import type { StorageDaemon } from '../machine/storage-daemon.js';
import { findTool } from '../machine/tools.js';
import { EngineError } from '../util/errors.js';
import { beginAction, withDaemon, type Context, type Intent } from './action.js';
import type { Host } from './home.js';
import { JOURNAL_VERSION, readJournal, type BeginRecord, type JournalState } from './journal.js';
import { MachineLock } from './locking.js';
import { Machine } from './machine.js';
import { requireNotInUse, requireSnapshots } from './refusals.js';
import { settleOpen } from './settle.js';
import { realImage, type Source } from './source.js';
import { listSources } from './sources.js';
import { checkDisks, describeAction } from './status.js';
import type { VerbWork } from './verb-work.js';

export type Outcome = Omit<ActionResult, 'milliseconds' | 'warnings'>;

/** What a verb looks at before it begins. */
export interface Prepared {
	readonly machine: Machine;
	readonly images: readonly Qcow2Image[];
	readonly journal: JournalState;
}

/** @throws EngineError what `body` throws, after the machine was brought to rest; `ERR_UNSETTLED` when that failed. */
export async function act(
	host: Host,
	source: Source,
	verb: BeginRecord['verb'] | 'settle',
	work: VerbWork,
	body: (context: Context) => Promise<Outcome>,
): Promise<ActionResult> {
	const started = performance.now();
	// Before anything is begun, both programs must be there.
	findTool('qemu-img', host.tools);
	findTool('qemu-storage-daemon', host.tools);
	requireWhole(host, source);
	const action = verb === 'settle' ? 'settling' : describeAction({ verb });
	using lock = await MachineLock.acquire(host, source, action, work);
	requireWritable(lock.journal);
	const context: Context = { host, source, lock, work, warnings: [] };
	const { open } = readJournal(lock.journal);
	if (open) context.warnings.push(...(await settleOpen(context, open)));
	const trouble = checkDisks(source);
	if (trouble) throw new EngineError('ERR_REFUSED', trouble.statusText);
	work.throwIfCancelled();
	try {
		const outcome = await body(context);
		return { ...outcome, milliseconds: Math.round(performance.now() - started), warnings: context.warnings };
	} catch (error) {
		throw await bringToRest(context, error);
	}
}

/**
 * Check, begin, and let `run` work on the disks while nobody else can.
 *
 * `prepare` refuses what must not be done and says what is meant. It may be asked twice: before the disks are opened for
 * writing, and when they are, with what they hold then.
 */
export async function perform(
	context: Context,
	prepare: (prepared: Prepared) => Intent,
	run: (daemon: StorageDaemon, begin: BeginRecord) => Promise<void>,
): Promise<BeginRecord> {
	const { host, source, lock, work, warnings } = context;
	const known = warnings.length;
	{
		using machine = Machine.open(source);
		const images = requireSnapshots(machine);
		await requireNotInUse(host, machine);
		prepare({ machine, images, journal: readJournal(lock.journal) });
	}
	// They come again when it is asked again.
	warnings.length = known;
	return withDaemon(context, async daemon => {
		using machine = Machine.open(source);
		const images = requireSnapshots(machine);
		const intent = prepare({ machine, images, journal: readJournal(lock.journal) });
		work.throwIfCancelled();
		const begin = beginAction(context, machine, intent);
		await run(daemon, begin);
		return begin;
	});
}

/**
 * After a failure: finish or take back what was begun, as settling after a kill would.
 *
 * @returns the failure, with what became of the action.
 */
async function bringToRest(context: Context, error: unknown): Promise<unknown> {
	const { open } = readJournal(context.lock.journal);
	if (!open) return error;
	const because = error instanceof Error ? error.message : String(error);
	try {
		const done = await settleOpen(context, open);
		if (!EngineError.is(error)) return error;
		return new EngineError(error.code, `${because}. ${done.join(' ')}`, error.details, { cause: error });
	} catch (second) {
		if (!EngineError.is(second)) return second;
		const message = `${because}; and the machine could not be brought to rest: ${second.message}. Do not start it; settle it first`;
		return new EngineError('ERR_UNSETTLED', message, second.details, { cause: error });
	}
}

/** One disk of a registered machine of several must not go back in time alone. */
export function requireWhole(host: Host, source: Source): void {
	if (source.registered) return;
	const reals = new Set(source.disks.map(disk => realImage(disk.path)));
	for (const other of listSources(host)) {
		if (other.disks.length <= source.disks.length || !other.disks.some(disk => reals.has(tryReal(disk.path)))) continue;
		throw new EngineError(
			'ERR_REFUSED',
			`${source.disks[0]!.path} is one of the ${other.disks.length} disks of ${other.name}; change that machine as a whole: use its name`,
		); // OK: a machine has a disk.
	}
}

function tryReal(path: string): string {
	try {
		return realImage(path);
	} catch {
		return path; // It is gone: then it is not this disk.
	}
}

/** A journal of a newer Strata is not written to. @throws EngineError `ERR_UNSUPPORTED`. */
export function requireWritable(journal: string): void {
	const { version } = readJournal(journal);
	if (version <= JOURNAL_VERSION) return;
	throw new EngineError(
		'ERR_UNSUPPORTED',
		`${journal} was written by a newer Strata (version ${version}): update Strata to change this machine`,
		{
			file: journal,
			field: 'v',
			expected: JOURNAL_VERSION,
			actual: version,
		},
	);
}
