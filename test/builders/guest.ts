/** The tiny Linux of guest-image.ts, running under QEMU for one test. It ends when the test's process does, however that ends. */
import { spawn, type ChildProcess } from 'node:child_process';
import { copyFileSync, existsSync, constants, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { kill } from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { AgentClient } from '../../src/engine/machine/running/agent.js';
import { agentPort } from '../../src/engine/machine/running/agent-port.js';
import { execInGuest, type GuestExecResult } from '../../src/engine/machine/running/agent-commands.js';
import { QmpClient } from '../../src/engine/machine/qmp.js';
import { EngineError } from '../../src/engine/util/errors.js';
import { guestImage } from './guest-image.js';

const MEMORY_MB = 128;
const BOOT_TIMEOUT_MS = 120_000;

export interface GuestOptions {
	/** Of the machine, in MiB. Another value than 128 means a start from nothing, which takes many seconds. */
	readonly memoryMb?: number;
	/** More disks, attached after the first: arguments of `-blockdev` and `-device`. */
	readonly extra?: (folder: string) => readonly string[];
	/** Start from nothing although there is memory that could be resumed. */
	readonly cold?: boolean;
	/** The disk, which is used as it is. Without it, a fresh copy. */
	readonly disk?: string;
	/** More properties of the first disk's device, as `,key=value`. */
	readonly device?: string;
}

export class Guest implements AsyncDisposable {
	readonly qmpPath: string;
	readonly agentPath: string;
	readonly serialPath: string;
	#guard: ChildProcess | undefined;

	private constructor(
		/** Removed at the end. */
		readonly folder: string,
		readonly disk: string,
		readonly child: ChildProcess,
		private readonly output: () => string,
	) {
		this.qmpPath = join(folder, 'qmp.sock');
		this.agentPath = join(folder, 'agent.sock');
		this.serialPath = join(folder, 'serial.log');
		// Kills QEMU when this process is gone: then the guard's input ends.
		this.#guard = spawn('sh', ['-c', `cat >/dev/null; kill -9 ${child.pid!} 2>/dev/null`], {
			stdio: ['pipe', 'ignore', 'ignore'],
			detached: true,
		});
		this.#guard.unref();
	}

	/** A machine whose agent answers. */
	static async start(options: GuestOptions = {}): Promise<Guest> {
		const image = guestImage();
		const resumes =
			options.cold !== true && (options.memoryMb ?? MEMORY_MB) === MEMORY_MB && options.disk === undefined;
		if (resumes) await warmUp();
		return Guest.#launch(options, resumes ? image.warmDisk : image.disk, resumes ? image.warmMemory : undefined);
	}

	/** Used by `start` and `warmUp`. */
	static async #launch(options: GuestOptions, disk: string, memory: string | undefined): Promise<Guest> {
		const { kernel, initrd } = guestImage();
		const folder = mkdtempSync(join(tmpdir(), 'strata-guest-'));
		const own = options.disk ?? join(folder, 'disk.qcow2');
		if (options.disk === undefined) copyFileSync(disk, own, constants.COPYFILE_FICLONE);
		const args = [
			...['-accel', 'tcg', '-machine', 'q35', '-m', String(options.memoryMb ?? MEMORY_MB)],
			...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
			...['-chardev', `file,id=serial,path=${join(folder, 'serial.log')}`, '-serial', 'chardev:serial'],
			...['-qmp', `unix:${join(folder, 'qmp.sock')},server=on,wait=off`],
			// The test's own, since each serves one client.
			...['-qmp', `unix:${join(folder, 'control.sock')},server=on,wait=off`],
			...['-device', 'virtio-serial-pci'],
			...['-chardev', `socket,path=${join(folder, 'agent.sock')},server=on,wait=off,id=agent`],
			...['-device', 'virtserialport,chardev=agent,name=org.qemu.guest_agent.0'],
			...['-blockdev', `driver=file,filename=${own},node-name=file0,discard=unmap`],
			...['-blockdev', 'driver=qcow2,file=file0,node-name=disk0,discard=unmap'],
			...['-device', `virtio-blk-pci,drive=disk0,id=vd0${options.device ?? ''}`],
			...(options.extra?.(folder) ?? []),
			...(memory === undefined
				? ['-kernel', kernel, '-initrd', initrd, '-append', 'console=ttyS0 quiet panic=-1']
				: ['-incoming', `exec:cat ${memory}`]),
		];
		const child = spawn('qemu-system-x86_64', args, { stdio: ['ignore', 'pipe', 'pipe'] });
		let output = '';
		for (const stream of [child.stdout, child.stderr]) {
			stream.on('data', (chunk: Buffer) => (output = (output + chunk.toString('utf8')).slice(-65_536)));
		}
		const guest = new Guest(folder, own, child, () => output);
		try {
			await guest.#untilAgentAnswers();
			return guest;
		} catch (error) {
			await guest[Symbol.asyncDispose]();
			throw error;
		}
	}

	get pid(): number {
		return this.child.pid!; // OK: the constructor used it.
	}

	get hasEnded(): boolean {
		return this.child.exitCode !== null || this.child.signalCode !== null;
	}

	/** QMP of the test's own, beside `qmpPath`. */
	async control<T>(body: (qmp: QmpClient) => Promise<T>): Promise<T> {
		using qmp = await QmpClient.open(join(this.folder, 'control.sock'));
		return await body(qmp); // Before the session ends.
	}

	/** Run a shell's command in the guest and wait for it. @throws Error when it fails. */
	async sh(command: string): Promise<string> {
		const { exitCode, stdout, stderr } = await this.exec(['/bin/sh', '-c', command]);
		if (exitCode !== 0) throw new Error(`${command}: exit code ${exitCode}: ${stderr.toString()}`);
		return stdout.toString();
	}

	async exec(command: readonly [string, ...string[]]): Promise<GuestExecResult> {
		using agent = await AgentClient.open(this.agentPath, { timeoutMs: 30_000 });
		return await execInGuest(agent, command, { timeoutMs: 60_000 });
	}

	/** As when QEMU crashes. */
	kill(): void {
		this.child.kill('SIGKILL');
	}

	/** Switch off without asking the guest; QEMU writes what it holds. */
	async stop(): Promise<void> {
		if (this.hasEnded) return;
		await this.control(qmp => qmp.execute('quit', undefined, { timeoutMs: 20_000 })).catch(() => this.kill());
		await this.#untilEnded();
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.kill();
		await this.#untilEnded();
		rmSync(this.folder, { recursive: true, force: true });
	}

	async #untilEnded(): Promise<void> {
		if (!this.hasEnded) await new Promise(resolve => this.child.once('exit', resolve));
		// The number may be another process's from now on.
		this.#guard?.kill('SIGKILL');
		this.#guard = undefined;
	}

	async #untilAgentAnswers(): Promise<void> {
		const end = Date.now() + BOOT_TIMEOUT_MS;
		while (Date.now() < end) {
			if (this.hasEnded) throw new Error(`QEMU ended: ${this.output()}`);
			try {
				const port = await this.control(qmp => agentPort(qmp, this.agentPath));
				if (port?.isOpen === true) {
					using _agent = await AgentClient.open(this.agentPath, { timeoutMs: end - Date.now() });
					return;
				}
			} catch (error) {
				if (!EngineError.is(error)) throw error;
			}
			await sleep(50);
		}
		const serial = existsSync(this.serialPath) ? readFileSync(this.serialPath, 'utf8') : '';
		throw new Error(`no agent answered: ${this.output()} ${serial.slice(-2000)}`);
	}

	/** Start from nothing once, and keep memory and disk of that moment. */
	static async make(): Promise<void> {
		const { warmDisk, warmMemory } = guestImage();
		const target = dirname(warmDisk);
		const work = mkdtempSync(`${target}-`);
		try {
			const disk = join(work, 'disk.qcow2');
			copyFileSync(guestImage().disk, disk);
			{
				await using guest = await Guest.#launch({ disk }, disk, undefined);
				await guest.sh('sync');
				await guest.control(async qmp => {
					// Not stopped before: what is resumed is as what was saved.
					await qmp.execute('migrate', { uri: `exec:cat > ${join(work, 'memory')}` });
					for (let status = ''; status !== 'completed'; await sleep(50)) {
						status = String(((await qmp.execute('query-migrate')) as { status?: string }).status);
						if (status === 'failed') throw new Error('the memory could not be saved');
					}
				});
				await guest.stop();
			}
			mkdirSync(dirname(target), { recursive: true });
			if (!existsSync(warmMemory)) renameSync(work, target);
		} finally {
			rmSync(work, { recursive: true, force: true });
		}
	}
}

let warming: Promise<void> | undefined;

/** Makes what `start` resumes, unless it is there. */
async function warmUp(): Promise<void> {
	if (existsSync(guestImage().warmMemory)) return;
	await (warming ??= Guest.make());
}

/** Whether a process of this host runs. */
export function isRunning(pid: number): boolean {
	try {
		kill(pid, 0);
		return true;
	} catch {
		return false; // It ended.
	}
}
