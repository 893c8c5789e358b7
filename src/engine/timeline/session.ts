/**
 * Opened machines. An image is opened once, and its current state and snapshots are views of that one generation, because
 * only then do equal places in the file mean equal bytes. Before a machine is used, and again after, it is asked whether
 * it still is what was opened; when it is not, the answer is thrown away and the machine is opened anew.
 */
import type { DiskImage, DiskView } from '../image/image.js';
import { checkRange } from '../io/memory.js';
import type { MachineTree } from '../tree/file-tree.js';
import { openMachineTree } from '../tree/machine-tree.js';
import { EngineError } from '../util/errors.js';
import { textFromRaw } from '../util/names.js';
import { CURRENT } from './address.js';
import type { Host } from './home.js';
import { Machine } from './machine.js';
import type { Source } from './source.js';

/** A machine at one moment. */
export interface OpenState {
	/** `current`, or the snapshot's key. */
	readonly state: string;
	/** What a person calls it: the snapshot's tag, or "current". */
	readonly name: string;
	readonly time: { readonly sec: number; readonly nsec: number };
	/** One a disk of the machine; of a disk that lacks the snapshot, one of no bytes. */
	readonly disks: readonly DiskView[];
	/** What each disk is a view of: states of one machine share them, which lets unread bytes be known as equal. */
	readonly images: readonly DiskImage[];
	readonly tree: MachineTree;
}

/** Stands for a disk that does not have a snapshot, so that the names of the other disks stay what they are. */
const NO_DISK: DiskView = {
	size: 0,
	blockSize: 512,
	snapshot: undefined,
	read: (offset, into) => checkRange(0, offset, into.byteLength),
	extents: () => [],
	[Symbol.dispose]: () => undefined,
};

/** Machines that stay open between calls; opening costs a few reads, but their caches are worth keeping. */
const OPEN_MACHINES = 8;
const OPEN_TREES = 12;
/** A machine that changes while it is read is read again so often before that is said. */
const ATTEMPTS = 3;
/** How long the answer of QEMU's own tool about an image that has not changed is believed. */
const IN_USE_AGE_MS = 2000;

/** A machine whose disks are open, with the trees of the states that were asked for. */
export class OpenMachine implements Disposable {
	readonly #states = new Map<string, OpenState>();

	/** Owns `machine`. */
	constructor(readonly machine: Machine) {}

	get source(): Source {
		return this.machine.source;
	}

	/**
	 * A state's disks and files. A disk that lacks the snapshot shows nothing of itself.
	 *
	 * @throws EngineError `ERR_NOT_FOUND`; what opening a view throws.
	 */
	state(state: string): OpenState {
		const known = this.#states.get(state);
		if (known) {
			this.#states.delete(state);
			this.#states.set(state, known);
			return known;
		}
		const opened = state === CURRENT ? this.#current() : this.#snapshot(state);
		if (this.#states.size >= OPEN_TREES) {
			const [oldest, entry] = this.#states.entries().next().value!; // OK: not empty.
			entry.tree[Symbol.dispose]();
			this.#states.delete(oldest);
		}
		this.#states.set(state, opened);
		return opened;
	}

	/** Whether what was read of `state` still counts. */
	holds(state: string): boolean {
		if (this.machine.images.every(image => image.isUnchanged())) return true;
		const moment = this.machine.moments.find(each => each.key === state);
		if (!moment) return false;
		return moment.onDisk.every(
			(snapshot, index) => snapshot === undefined || this.machine.images[index]!.isSnapshotUnchanged(snapshot.id),
		); // OK: one a disk.
	}

	#current(): OpenState {
		const disks = this.machine.images.map(image => image.current());
		return {
			state: CURRENT,
			name: CURRENT,
			time: { sec: Math.floor(Date.now() / 1000), nsec: 0 },
			disks,
			images: this.machine.images,
			tree: openMachineTree(disks),
		};
	}

	#snapshot(key: string): OpenState {
		const moment = this.machine.moments.find(each => each.key === key);
		if (!moment) {
			throw new EngineError(
				'ERR_NOT_FOUND',
				`no snapshot ${key} in ${this.source.name}: it was deleted, or belongs to another image`,
			);
		}
		const disks = this.machine.images.map((image, index) => {
			const snapshot = moment.onDisk[index];
			return snapshot === undefined ? NO_DISK : image.atSnapshot(snapshot.id);
		});
		const time = { sec: moment.first.dateSec, nsec: moment.first.dateNsec };
		return {
			state: key,
			name: textFromRaw(moment.rawName),
			time,
			disks,
			images: this.machine.images,
			tree: openMachineTree(disks),
		};
	}

	[Symbol.dispose](): void {
		for (const { tree } of this.#states.values()) tree[Symbol.dispose]();
		this.#states.clear();
		this.machine[Symbol.dispose]();
	}
}

/** The machines that one engine has open. */
export class Sessions implements Disposable {
	readonly #machines = new Map<string, OpenMachine>();

	constructor(
		private readonly host: Host,
		/** False where no program may be started (an untrusted workspace). */
		private readonly mayRunTools: boolean,
	) {}

	/**
	 * Use some states of one machine. `use` is called again when the machine changed meanwhile, so it must not keep
	 * what it made the last time.
	 *
	 * @throws EngineError `ERR_BUSY` for the current state of an image that a hypervisor holds; `ERR_CHANGED` when the
	 * machine does not keep still.
	 */
	async use<T>(source: Source, states: readonly string[], use: (machine: OpenMachine) => T | Promise<T>): Promise<T> {
		for (let attempt = 1; ; attempt++) {
			const machine = this.open(source);
			if (states.includes(CURRENT)) await this.refuseBusy(source);
			let result: { value: T } | { error: unknown };
			try {
				result = { value: await use(machine) };
			} catch (error) {
				result = { error };
			}
			if (states.every(state => machine.holds(state))) {
				if ('error' in result) throw result.error;
				return result.value;
			}
			this.close(source);
			if ('error' in result && EngineError.is(result.error, 'ERR_CANCELLED')) throw result.error;
			if (attempt >= ATTEMPTS) {
				throw new EngineError(
					'ERR_CHANGED',
					`${source.name} changes while it is read: try again when nothing writes to it`,
				);
			}
		}
	}

	/** The opened machine, as it is in its files now. */
	open(source: Source): OpenMachine {
		const key = sessionKey(source);
		const known = this.#machines.get(key);
		if (known?.machine.images.every(image => image.isUnchanged())) {
			this.#machines.delete(key);
			this.#machines.set(key, known);
			return known;
		}
		this.close(source);
		const opened = new OpenMachine(Machine.open(source));
		if (this.#machines.size >= OPEN_MACHINES) {
			const [oldest, machine] = this.#machines.entries().next().value!; // OK: not empty.
			machine[Symbol.dispose]();
			this.#machines.delete(oldest);
		}
		this.#machines.set(key, opened);
		return opened;
	}

	close(source: Source): void {
		const key = sessionKey(source);
		this.#machines.get(key)?.[Symbol.dispose]();
		this.#machines.delete(key);
	}

	/** Whether a hypervisor holds a disk of the machine. Starts QEMU's tool only where the host itself does not tell. */
	async inUse(source: Source): Promise<boolean> {
		// A snapshot is read whoever holds the image, so most readings never need it.
		const { inUseHint, isInUse } = await import('../machine/qemu-img.js');
		for (const { path } of source.disks) {
			const hint = inUseHint(path);
			if (hint === 'writer') return true;
			if (hint === 'free' || hint === 'reader' || !this.mayRunTools) continue;
			try {
				if (await isInUse(this.host.tools, path, { maxAgeMs: IN_USE_AGE_MS })) return true;
			} catch (error) {
				// Without qemu-img nobody can tell; reading goes on, and is checked against the file's changes.
				if (!EngineError.is(error, 'ERR_TOOL')) throw error;
			}
		}
		return false;
	}

	private async refuseBusy(source: Source): Promise<void> {
		if (!(await this.inUse(source))) return;
		throw new EngineError(
			'ERR_BUSY',
			`${source.name} is in use by a hypervisor: its current state cannot be read from the file; its snapshots can`,
		);
	}

	[Symbol.dispose](): void {
		for (const machine of this.#machines.values()) machine[Symbol.dispose]();
		this.#machines.clear();
	}
}

function sessionKey(source: Source): string {
	return JSON.stringify([source.disks, source.allowOutside]);
}
