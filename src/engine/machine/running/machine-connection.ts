/** What a running machine is: its disks as QEMU has them open, whether it runs, and whether somebody in it answers. */
import { realpathSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { EngineError } from '../../util/errors.js';
import { QmpClient, type Monitor } from '../qmp.js';
import { AgentClient, type AgentOptions } from './agent.js';
import { agentPort } from './agent-port.js';
import { describeDisk, listDisks, type RunningDisk } from './running-disks.js';
import { LibvirtMonitor } from './libvirt.js';

/** How a machine is reached while it runs. At least one of `qmp` and `libvirt`. */
export interface MachineConnection {
	/** Socket of QMP. */
	readonly qmp?: string;
	/** Socket of the guest's agent. */
	readonly agent?: string;
	/** Name of a libvirt domain, reached with `virsh`. */
	readonly libvirt?: string;
	/** A TCP address was asked for by a person. */
	readonly allowTcp?: boolean;
}

export interface MachineFacts {
	/** QEMU's own word: running, paused, restore-vm, inmigrate, … Source: QAPI RunState. */
	readonly status: string;
	/** The guest's processors run. */
	readonly runs: boolean;
	readonly accelerator: 'kvm' | 'tcg';
	/** "pc-q35-7.2", as saved memory names it. */
	readonly machineType: string;
	readonly memoryBytes: number;
	readonly qemuVersion: string;
}

const QUERY_TIMEOUT_MS = 20_000;
const PROBE_TIMEOUT_MS = 2_000;
const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 2_000;

/**
 * One session with a running machine, to be kept short: QEMU serves one client at a time. A machine that was restarted is
 * another session; `connectPatiently` waits for it.
 */
export class RunningMachine implements Disposable {
	private constructor(
		readonly monitor: Monitor,
		private readonly connection: MachineConnection,
	) {}

	/**
	 * @throws EngineError `ERR_NOT_FOUND` when it does not run; `ERR_BUSY` when another client holds its QMP socket;
	 * `ERR_USAGE`, `ERR_REFUSED`, `ERR_TOOL`.
	 */
	static async connect(connection: MachineConnection): Promise<RunningMachine> {
		const { qmp, libvirt, allowTcp = false } = connection;
		if (qmp !== undefined) return new RunningMachine(await QmpClient.open(qmp, { allowTcp }), connection);
		if (libvirt !== undefined) return new RunningMachine(await LibvirtMonitor.open(libvirt), connection);
		throw new EngineError('ERR_USAGE', 'neither a QMP socket nor a libvirt domain is known of this machine');
	}

	async facts(): Promise<MachineFacts> {
		const [status, kvm, version, memory, type] = await Promise.all([
			this.query('query-status'),
			this.query('query-kvm'),
			this.query('query-version'),
			this.query('query-memory-size-summary'),
			this.query('qom-get', { path: '/machine', property: 'type' }),
		]);
		const { status: word, running } = status as { status?: unknown; running?: unknown };
		const { qemu } = version as { qemu?: { major?: number; minor?: number; micro?: number } };
		return {
			status: String(word),
			runs: running === true,
			accelerator: (kvm as { enabled?: unknown }).enabled === true ? 'kvm' : 'tcg',
			machineType: String(type).replace(/-machine$/, ''),
			memoryBytes: Number((memory as { 'base-memory'?: unknown })['base-memory']),
			qemuVersion: [qemu?.major, qemu?.minor, qemu?.micro].join('.'),
		};
	}

	/** Everything with a medium that the guest may see, in QEMU's order; read-only disks too. */
	async disks(): Promise<RunningDisk[]> {
		const [devices, nodes] = await Promise.all([this.query('query-block'), this.query('query-named-block-nodes')]);
		return listDisks(devices, nodes);
	}

	/** The clients of its agent are kept short as well. @throws EngineError `ERR_TOOL` that says what is missing; `ERR_BUSY`. */
	async agent(options: AgentOptions = {}): Promise<AgentClient> {
		const address = await this.requireAgent();
		return AgentClient.open(address, { ...options, allowTcp: this.connection.allowTcp ?? false });
	}

	/**
	 * Its address, when QEMU says that a program in the guest listens and none of the host is connected.
	 *
	 * @throws EngineError as `agent`.
	 */
	async requireAgent(): Promise<string> {
		const { agent: address } = this.connection;
		if (address === undefined) throw new EngineError('ERR_TOOL', 'no guest agent socket is known of this machine');
		const port = await agentPort(this.monitor, address);
		if (port?.isOpen === false) {
			throw new EngineError('ERR_TOOL', 'no guest agent runs in the guest: install qemu-guest-agent and start it', {
				file: address,
			});
		}
		if (port?.isTaken === true) {
			throw new EngineError('ERR_BUSY', `another program is connected to the guest agent at ${address}`, {
				file: address,
			});
		}
		return address;
	}

	async agentAnswers(): Promise<boolean> {
		if (this.connection.agent === undefined) return false;
		try {
			using _agent = await this.agent({ timeoutMs: PROBE_TIMEOUT_MS });
			return true;
		} catch (error) {
			if (!EngineError.is(error)) throw error;
			return false; // That is the answer; whoever needs the agent is told why.
		}
	}

	/** A command that only asks, and is answered soon or never. */
	async query(command: string, args?: Readonly<Record<string, unknown>>): Promise<unknown> {
		return this.monitor.execute(command, args, { timeoutMs: QUERY_TIMEOUT_MS });
	}

	[Symbol.dispose](): void {
		this.monitor[Symbol.dispose]();
	}
}

/**
 * Connect, waiting for a machine that restarts or a socket that is taken for a moment.
 *
 * @throws EngineError as `RunningMachine.connect`, when it did not work within `patienceMs`.
 */
export async function connectPatiently(connection: MachineConnection, patienceMs: number): Promise<RunningMachine> {
	const end = Date.now() + patienceMs;
	for (let pause = FIRST_RETRY_MS; ; pause = Math.min(pause * 2, LONGEST_RETRY_MS)) {
		try {
			return await RunningMachine.connect(connection);
		} catch (error) {
			const mayPass = EngineError.is(error, 'ERR_NOT_FOUND') || EngineError.is(error, 'ERR_BUSY');
			if (!mayPass || end < Date.now() + pause) throw error;
			await sleep(pause);
		}
	}
}

/**
 * The disks of the machine that are the given images, in their order.
 *
 * @throws EngineError `ERR_REFUSED` when it is below the disk that the machine writes to; `ERR_CHANGED` when the machine that answers does not hold one of them: it is another machine.
 */
export function disksOfImages(disks: readonly RunningDisk[], paths: readonly string[]): RunningDisk[] {
	return paths.map(path => {
		const found = disks.find(disk => disk.path !== undefined && isSameFile(disk.path, path));
		if (found) return found;
		const above = disks.find(disk => disk.chain.some(below => isSameFile(below, path)));
		if (above) {
			const text = `the machine runs on ${describeDisk(above)} now, which is built on ${path}: snapshots below an overlay are out of its reach. Commit the overlay first, or add the machine with the overlay as its disk`;
			throw new EngineError('ERR_REFUSED', text, { file: path });
		}
		const message = `the machine that answers does not have ${path} as a disk: its socket belongs to another machine, or it runs on another copy`;
		throw new EngineError('ERR_CHANGED', message, { file: path });
	});
}

function isSameFile(a: string, b: string): boolean {
	try {
		const [x, y] = [realpathSync.native(a), realpathSync.native(b)];
		if (x === y) return true;
		const [s, t] = [statSync(x, { bigint: true }), statSync(y, { bigint: true })];
		return s.ino === t.ino && s.dev === t.dev && s.ino !== 0n;
	} catch {
		return false; // One is gone, or in a folder that is not this user's: then it is not known to be the same.
	}
}
