/**
 * Rolling a running machine back to a snapshot with memory.
 *
 * QEMU reverts the disks before it loads the memory: when loading fails, the machine stands still with the snapshot's disks
 * and the memory that was there, and going on from that destroys both. So the load is predicted from what the streams say,
 * everything there is now is kept first, with memory, on all disks, and after a failure that is what is loaded. Nothing is
 * ever continued after a load that failed.
 */
import { asQcow2, openImage } from '../../image/open-image.js';
import { EngineError } from '../../util/errors.js';
import { rawFromBytes } from '../../util/names.js';
import { setGuestTime } from './agent-commands.js';
import { JobError, runJob } from './job.js';
import type { RunningMachine } from './machine-connection.js';
import { describeDisk, type RunningDisk } from './running-disks.js';
import { deleteRunning, participants, requireFreeName, saveMemory } from './snapshot.js';
import { differences, readStreamHead, type StreamHead } from './stream-head.js';

export interface RollBackOptions {
	/** Name of the snapshot. */
	readonly to: string;
	/** Name of the snapshot that is to keep what there is now. */
	readonly safetyName: string;
	/** The safety snapshot stands on all disks: from here on the machine is somewhere else, or back at it. */
	readonly onSafe?: () => void;
}

export interface RolledBack {
	/** How long the guest stood still while its present state was kept. */
	readonly pausedMs: number;
	/** The guest's clock shows the time of the host again. */
	readonly clockSet: boolean;
	readonly warnings: readonly string[];
}

/**
 * @throws EngineError `ERR_REFUSED`, `ERR_NOT_FOUND`, `ERR_AMBIGUOUS`, before anything was touched; `ERR_TOOL` when it failed
 * and the machine goes on as before; `ERR_UNSETTLED` when it stands still, because what was there could not be loaded.
 */
export async function rollBackRunning(machine: RunningMachine, options: RollBackOptions): Promise<RolledBack> {
	const { to, safetyName } = options;
	const disks = await requireLoadable(machine, to);
	requireFreeName(disks, safetyName);
	const memoryDisk = disks.find(disk => snapshotOn(disk, to).vmStateSize > 0)!; // OK: requireLoadable() found it.
	const before = await machine.facts();
	const saved = headOf(memoryDisk, to);
	// What can be known without touching anything.
	const running = { machineType: before.machineType, ramBlocks: new Map<string, number>(), sections: undefined };
	const ram = saved.ramBlocks.get('pc.ram');
	if (ram !== undefined && ram !== before.memoryBytes) running.ramBlocks.set('pc.ram', before.memoryBytes);
	refuseDifferences(to, saved, { ...running, ramBlocks: new Map([...saved.ramBlocks, ...running.ramBlocks]) });

	const pausedMs = await saveMemory(machine, disks, safetyName);
	const now = headOf((await participants(machine)).disks[0]!, safetyName); // OK: saveMemory() put it on the first one.
	try {
		refuseDifferences(to, saved, now);
	} catch (error) {
		await deleteRunning(machine, safetyName);
		throw error;
	}
	options.onSafe?.();
	const devices = disks.map(disk => disk.node);
	try {
		await runJob(machine.monitor, 'snapshot-load', { tag: to, vmstate: memoryDisk.node, devices });
	} catch (error) {
		throw await goBack(machine, devices, safetyName, before.runs, error);
	}
	const clock = await setClock(machine);
	return { pausedMs, clockSet: clock === undefined, warnings: clock === undefined ? [] : [clock] };
}

/**
 * All writable disks, each with the snapshot, and nothing that keeps QEMU from loading it.
 *
 * @throws EngineError `ERR_REFUSED`, `ERR_NOT_FOUND`, `ERR_AMBIGUOUS`.
 */
async function requireLoadable(machine: RunningMachine, name: string): Promise<readonly RunningDisk[]> {
	const { disks, leftOut } = await participants(machine);
	if (leftOut.length > 0) {
		const named = leftOut.map(disk => `${describeDisk(disk)}: ${disk.cannotTakePart}`).join('; ');
		refuse(`the machine can only go back as a whole, and these disks would stay as they are: ${named}`);
	}
	const found = disks.map(disk => disk.snapshots.filter(snapshot => snapshot.name === name));
	if (found.every(snapshots => snapshots.length === 0)) {
		throw new EngineError('ERR_NOT_FOUND', `no disk of the running machine has a snapshot called "${name}"`);
	}
	for (const [index, disk] of disks.entries()) {
		const { length } = found[index]!; // OK: one for each disk.
		if (length === 0)
			refuse(`"${name}" does not exist on ${describeDisk(disk)}, and a machine is rolled back on all disks or none`);
		if (1 < length)
			throw new EngineError('ERR_AMBIGUOUS', `${describeDisk(disk)} has ${length} snapshots called "${name}"`);
		if (disk.snapshots.some(snapshot => snapshot.id === name)) {
			throw new EngineError('ERR_AMBIGUOUS', `"${name}" is the id of another snapshot of ${describeDisk(disk)}`);
		}
		if (disk.bitmaps.length > 0) {
			refuse(
				`${describeDisk(disk)} has dirty bitmaps (${disk.bitmaps.slice(0, 5).join(', ')}), with which QEMU loads no snapshot: end the backup that made them, or remove them`,
			);
		}
	}
	if (!found.flat().some(snapshot => snapshot.vmStateSize > 0)) {
		refuse(`"${name}" has no memory, so a running machine cannot be rolled back to it: shut the machine down first`);
	}
	return disks;
}

function refuseDifferences(name: string, saved: StreamHead, running: StreamHead): void {
	const found = differences(saved, running);
	if (found.length === 0) return;
	refuse(
		`the memory of "${name}" does not fit this machine: ${found.join('; ')}. Start the machine as it was then, or shut it down and roll back its disks`,
	);
}

/**
 * Load what was kept before. Only after that has succeeded does the machine go on.
 *
 * @returns the error for the person.
 */
async function goBack(
	machine: RunningMachine,
	devices: readonly string[],
	safetyName: string,
	didRun: boolean,
	failure: unknown,
): Promise<unknown> {
	if (!EngineError.is(failure)) return failure;
	const why = failure.message;
	try {
		await machine.query('query-status');
	} catch (cause) {
		// QEMU is gone: the disks are what they are, and the safety snapshot has everything.
		const message = `QEMU ended while the snapshot was being loaded (${why}). "${safetyName}" keeps what was there before; roll the disks back to it before the machine is started`;
		return new EngineError('ERR_UNSETTLED', message, {}, { cause });
	}
	try {
		// Refused before it began, nothing was touched. That cannot be told from here, and loading costs a second.
		await runJob(machine.monitor, 'snapshot-load', { tag: safetyName, vmstate: devices[0], devices });
		if (didRun) await machine.monitor.execute('cont');
		const { runs } = await machine.facts();
		if (runs !== didRun) throw new JobError('cont', 'the machine does not go on');
	} catch (cause) {
		const message = `the snapshot could not be loaded (${why}), and neither could what was there before (${cause instanceof Error ? cause.message : String(cause)}). The machine stands still; do not let it go on. "${safetyName}" keeps what was there: end QEMU, and roll the disks back to it`;
		return new EngineError('ERR_UNSETTLED', message, {}, { cause });
	}
	const message = `the snapshot could not be loaded (${why}); the machine was put back to what it was, and goes on. "${safetyName}" can be deleted`;
	return new EngineError('ERR_TOOL', message, {}, { cause: failure });
}

/** @returns why the clock could not be set. */
async function setClock(machine: RunningMachine): Promise<string | undefined> {
	try {
		using agent = await machine.agent({ timeoutMs: 5_000 });
		await setGuestTime(agent, Date.now());
		return undefined;
	} catch (error) {
		if (!EngineError.is(error)) throw error;
		return `The guest's clock shows the time of the snapshot (${error.message}).`;
	}
}

function headOf(disk: RunningDisk, name: string): StreamHead {
	if (disk.path === undefined) refuse(`the file of ${disk.name} is not on this host, so its memory cannot be checked`);
	using image = openImage(disk.path, { format: 'qcow2', allowOutside: true });
	const qcow2 = asQcow2(image)!; // OK: it was opened as one.
	const rawName = rawFromBytes(Buffer.from(name, 'utf8'));
	const snapshot = image.snapshots.find(each => each.rawName === rawName);
	const stream = snapshot && qcow2.vmState(snapshot.id);
	if (stream === undefined)
		throw new EngineError('ERR_CHANGED', `"${name}" is not in ${disk.path} any more`, { file: disk.path });
	return readStreamHead(stream);
}

function snapshotOn(disk: RunningDisk, name: string) {
	return disk.snapshots.find(snapshot => snapshot.name === name)!; // OK: requireLoadable() made sure.
}

function refuse(message: string): never {
	throw new EngineError('ERR_REFUSED', message);
}
