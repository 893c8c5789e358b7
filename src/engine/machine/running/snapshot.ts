/**
 * Taking and deleting snapshots of a running machine, through QEMU itself. Ids differ from disk to disk, so snapshots are
 * matched by name, and a name in use is refused: QEMU's older commands would replace it.
 */
import { EngineError } from '../../util/errors.js';
import type { QmpEvent } from '../qmp.js';
import { Freezer, type FreezeOptions } from './freezer.js';
import { runJob } from './job.js';
import type { RunningMachine } from './machine-connection.js';
import { describeDisk, type RunningDisk } from './running-disks.js';

export interface TakeOptions {
	readonly name: string;
	/** RAM and devices too: the machine can go on from there. It stands still while they are written. */
	readonly memory?: boolean;
	/** Freeze the guest's filesystems for the moment of the snapshot. Not with memory, which would be frozen when it is loaded. */
	readonly validated?: FreezeOptions;
}

export interface TakenSnapshot {
	/** Disks that have it. */
	readonly disks: readonly RunningDisk[];
	/** Writable disks that do not, and why. */
	readonly leftOut: readonly RunningDisk[];
	readonly kind: 'disk' | 'memory';
	/** `crash`: as after a power cut at that moment. */
	readonly consistency: 'validated' | 'crash';
	/** How long the guest stood still: its processors with memory, else its disks (at most); NaN when it is not known. */
	readonly pausedMs: number;
	/** How long its filesystems were frozen; 0 when they were not. */
	readonly frozenMs: number;
	/** Sentences for the person. */
	readonly warnings: readonly string[];
}

/** Writable disks of the machine: those that can have snapshots, and those that cannot. */
export interface Participants {
	readonly disks: readonly RunningDisk[];
	readonly leftOut: readonly RunningDisk[];
}

export async function participants(machine: RunningMachine): Promise<Participants> {
	const writable = (await machine.disks()).filter(disk => disk.isWritable);
	return {
		disks: writable.filter(disk => disk.cannotTakePart === undefined),
		leftOut: writable.filter(disk => disk.cannotTakePart !== undefined),
	};
}

/** What a person is told of disks that are left out, before anything happens. */
export function leftOutSentence(leftOut: readonly RunningDisk[]): string {
	const named = leftOut.map(disk => `${describeDisk(disk)}: ${disk.cannotTakePart}`).join('; ');
	return `Not part of the snapshot: ${named}.`;
}

/**
 * Keep the state of all writable disks that can hold it, of one moment, while the machine runs.
 *
 * @throws EngineError `ERR_EXISTS`, `ERR_USAGE`; `ERR_REFUSED` when no disk can take part; `ERR_TOOL`.
 */
export async function takeRunning(machine: RunningMachine, options: TakeOptions): Promise<TakenSnapshot> {
	const { name, memory = false, validated } = options;
	if (memory && validated) {
		throw new EngineError('ERR_USAGE', 'a snapshot with memory needs no freezing: what is in memory is part of it');
	}
	const { disks, leftOut } = await participants(machine);
	requireParticipants(disks, leftOut);
	requireFreeName(disks, name);
	const warnings = leftOut.length === 0 ? [] : [leftOutSentence(leftOut)];
	const base = { disks, leftOut, warnings, frozenMs: 0 };
	if (memory) {
		const pausedMs = await saveMemory(machine, disks, name);
		return { ...base, kind: 'memory', consistency: 'crash', pausedMs };
	}
	if (!validated)
		return { ...base, kind: 'disk', consistency: 'crash', pausedMs: await saveDisks(machine, disks, name) };
	await machine.requireAgent();
	await using freezer = await Freezer.start(validated);
	await freezer.freeze();
	const pausedMs = await saveDisks(machine, disks, name);
	const { held, frozenMs } = await freezer.thaw();
	if (!held) warnings.push('The guest was thawed before the snapshot was complete, so it is crash-consistent only.');
	return { ...base, kind: 'disk', consistency: held ? 'validated' : 'crash', pausedMs, frozenMs };
}

/** Delete a snapshot from all disks of the machine that have it. @throws EngineError `ERR_NOT_FOUND`, `ERR_AMBIGUOUS`, `ERR_TOOL`. */
export async function deleteRunning(machine: RunningMachine, name: string): Promise<void> {
	const { disks } = await participants(machine);
	const found = disks.flatMap(disk => {
		const twins = disk.snapshots.filter(snapshot => snapshot.name === name);
		if (twins.length < 2) return twins.map(({ id }) => ({ disk, id }));
		throw new EngineError('ERR_AMBIGUOUS', `${describeDisk(disk)} has ${twins.length} snapshots called "${name}"`);
	});
	if (found.length === 0)
		throw new EngineError('ERR_NOT_FOUND', `no disk of the machine has a snapshot called "${name}"`);
	for (const { disk, id } of found) {
		await machine.monitor.execute('blockdev-snapshot-delete-internal-sync', { device: disk.node, id, name });
	}
}

/** One moment of all disks, or none. @returns milliseconds that writing stood still, at most. */
async function saveDisks(machine: RunningMachine, disks: readonly RunningDisk[], name: string): Promise<number> {
	const actions = disks.map(disk => ({
		type: 'blockdev-snapshot-internal-sync',
		data: { device: disk.node, name },
	}));
	const started = performance.now();
	await machine.monitor.execute('transaction', { actions });
	return performance.now() - started;
}

/** @returns milliseconds that the guest's processors stood still. */
export async function saveMemory(
	machine: RunningMachine,
	disks: readonly RunningDisk[],
	name: string,
): Promise<number> {
	let stopped = NaN;
	let resumed = NaN;
	using _listening = machine.monitor.onEvent(({ event, timeMs }: QmpEvent) => {
		if (event === 'STOP') stopped = timeMs;
		else if (event === 'RESUME') resumed = timeMs;
	});
	// The first disk holds the memory: the one that stands for the machine.
	const devices = disks.map(disk => disk.node);
	await runJob(machine.monitor, 'snapshot-save', { tag: name, vmstate: devices[0], devices });
	return resumed - stopped;
}

function requireParticipants(disks: readonly RunningDisk[], leftOut: readonly RunningDisk[]): void {
	if (disks.length > 0) return;
	const why = leftOut.length === 0 ? 'it has no disk that can be written' : leftOutSentence(leftOut);
	throw new EngineError('ERR_REFUSED', `no snapshot can be made of the running machine: ${why}`);
}

/** @throws EngineError `ERR_EXISTS`, `ERR_USAGE`. */
export function requireFreeName(disks: readonly RunningDisk[], name: string): void {
	if (name === '' || Buffer.byteLength(name, 'utf8') > 255 || name.includes('\0')) {
		throw new EngineError('ERR_USAGE', 'a snapshot needs a name of 1 to 255 bytes');
	}
	for (const disk of disks) {
		// QEMU looks names up among ids as well.
		if (!disk.snapshots.some(snapshot => snapshot.name === name || snapshot.id === name)) continue;
		throw new EngineError('ERR_EXISTS', `${describeDisk(disk)} has a snapshot called "${name}" already`);
	}
}
