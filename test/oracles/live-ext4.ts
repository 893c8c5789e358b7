/**
 * A qcow2 image with a mounted ext4 filesystem that can be snapshotted while it is written: what a running machine
 * leaves behind, without a machine. qemu-storage-daemon exports the image by FUSE, the kernel mounts it through a loop
 * device, and internal snapshots are taken over QMP in milliseconds.
 *
 * Fast commits: the kernel is not asked to recover them. Linux 6.18 stops with a BUG on sound ones (changes of unwritten
 * extents; files with block maps), holding locks that make every later sync of the host wait for ever. So a snapshot
 * of a filesystem with `fast_commit` is taken of a settled moment: every file is synced, which writes fast commits, and
 * what the mount shows then is the truth. STRATA_KERNEL_FAST_COMMIT=1, on a machine that can be lost, asks the kernel.
 *
 * Needs root, loop devices, /dev/fuse, qemu-storage-daemon, qemu-img, mke2fs, getfattr.
 */
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import {
	closeSync,
	existsSync,
	fsyncSync,
	mkdirSync,
	mkdtempSync,
	openSync,
	readdirSync,
	readFileSync,
	readSync,
	rmSync,
	statSync,
	truncateSync,
	writeFileSync,
	writeSync,
} from 'node:fs';
import { createConnection } from 'node:net';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { LINUX_FILESYSTEM, writeGpt } from '../builders/partition-table.js';
import { listMounted } from './listing.js';
import type { Listing } from './listing.js';

export interface LiveExt4Options {
	/** MiB of the disk. */
	readonly sizeMiB?: number;
	/** Arguments of mke2fs, such as `-b 1024` or `-O fast_commit`. */
	readonly mkfs?: readonly string[];
	/** Of mount, such as `data=journal,commit=1`. */
	readonly mountOptions?: string;
	/** Of qemu-img create, such as `cluster_size=4096`. */
	readonly imageOptions?: string;
	/** Put the filesystem into the only partition of a GPT, at 1 MiB. */
	readonly partitioned?: boolean;
	/** Before it becomes a qcow2, called with the raw file: tune2fs, debugfs, a populated tree. */
	readonly prepare?: (raw: string, offset: number) => void;
}

const MIB = 2 ** 20;
const live = new Set<LiveExt4>();

export class LiveExt4 implements AsyncDisposable {
	/** The host's folder for everything; removed by dispose. */
	readonly directory: string;
	readonly image: string;
	/** Bytes of the disk before the filesystem. */
	readonly offset: number;
	/** Where the filesystem is mounted while it is. */
	readonly mountpoint: string;
	readonly #export: string;
	#daemon: ChildProcess | undefined;
	#qmp: Qmp | undefined;
	#isMounted = false;
	/** With fast commits: what the mount showed at each snapshot. */
	readonly #shown = new Map<string, Listing>();

	private constructor(private readonly options: LiveExt4Options) {
		this.directory = mkdtempSync(join(tmpdir(), 'strata-live-'));
		this.image = join(this.directory, 'disk.qcow2');
		this.mountpoint = join(this.directory, 'mnt');
		this.#export = join(this.directory, 'export');
		this.offset = options.partitioned ? MIB : 0;
		live.add(this);
	}

	/** Make the image and its filesystem, without mounting it. */
	static create(options: LiveExt4Options = {}): LiveExt4 {
		const made = new LiveExt4(options);
		try {
			made.#make();
			return made;
		} catch (error) {
			made.killNow();
			throw error;
		}
	}

	#make(): void {
		const { options } = this;
		const size = (options.sizeMiB ?? 64) * MIB;
		const raw = join(this.directory, 'disk.raw');
		const extent: string[] = [];
		if (options.partitioned) {
			const disk = Buffer.alloc(size);
			const lastLba = (size - this.offset) / 512 - 1;
			writeGpt(disk, [{ type: LINUX_FILESYSTEM, firstLba: this.offset / 512, lastLba }]);
			writeFileSync(raw, disk);
			extent.push('-E', `offset=${this.offset}`);
		} else {
			writeFileSync(raw, '');
			truncateSync(raw, size);
		}
		const blocks = options.partitioned ? [`${(size - 2 * this.offset) / 1024}k`] : [];
		run('mke2fs', ['-q', '-F', '-t', 'ext4', ...extent, ...(options.mkfs ?? []), raw, ...blocks]);
		options.prepare?.(raw, this.offset);
		const imageOptions = options.imageOptions === undefined ? [] : ['-o', options.imageOptions];
		run('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', ...imageOptions, raw, this.image]);
		rmSync(raw);
		mkdirSync(this.mountpoint);
		writeFileSync(this.#export, '');
	}

	/** Export and mount, and start to answer `snapshot`. */
	async mount(): Promise<void> {
		await this.#startDaemon();
		this.#mount();
	}

	#mount(): void {
		const { mountOptions } = this.options;
		const options = `loop${place(this.#export, this.offset)}${mountOptions === undefined ? '' : `,${mountOptions}`}`;
		run('mount', ['-t', 'ext4', '-o', options, this.#export, this.mountpoint]);
		this.#isMounted = true;
	}

	async #startDaemon(): Promise<void> {
		const socket = join(this.directory, 'qmp');
		const args = [
			...['--blockdev', `driver=file,filename=${this.image},node-name=file,discard=unmap`],
			...['--blockdev', 'driver=qcow2,file=file,node-name=disk,discard=unmap'],
			...['--export', `type=fuse,id=export,node-name=disk,mountpoint=${this.#export},writable=on`],
			...['--chardev', `socket,id=qmp,path=${socket},server=on,wait=off`, '--monitor', 'chardev=qmp'],
		];
		const daemon = spawn('qemu-storage-daemon', args, { stdio: ['ignore', 'ignore', 'pipe'] });
		this.#daemon = daemon;
		let errors = '';
		daemon.stderr.on('data', (data: Buffer) => (errors += data.toString()));
		// OK: an error of starting shows as an exit below.
		daemon.on('error', error => (errors += error.message));
		for (let waited = 0; !this.#qmp; waited += 10) {
			if (daemon.exitCode !== null || 20_000 < waited) throw new Error(`qemu-storage-daemon did not start: ${errors}`);
			await delay(10);
			if (existsSync(socket) && isMountpoint(this.#export)) this.#qmp = await Qmp.connect(socket);
		}
	}

	/**
	 * An internal snapshot of the disk as it is this instant. Crash-consistent: nothing is flushed, but with fast commits
	 * every file is synced before.
	 */
	async snapshot(name: string): Promise<void> {
		if (this.#hasFastCommits && this.#isMounted) {
			this.#settle();
			this.#shown.set(name, listMounted(this.mountpoint));
		}
		await this.#qmp!.execute('blockdev-snapshot-internal-sync', { device: 'disk', name }); // OK: mounted.
	}

	get #hasFastCommits(): boolean {
		return (this.options.mkfs ?? []).some(arg => arg.includes('fast_commit'));
	}

	/** Everything that was done is on the disk, in fast commits where that is possible: no full sync, no sync of directories. */
	#settle(): void {
		const walk = (directory: Buffer): void => {
			for (const entry of readdirSync(directory, { withFileTypes: true, encoding: 'buffer' })) {
				// OK: the names are buffers, which is what was asked for.
				const path = Buffer.concat([directory, Buffer.from('/'), entry.name]);
				if (entry.isDirectory()) walk(path);
				if (!entry.isFile()) continue;
				const fd = openSync(path, 'r');
				fsyncSync(fd);
				closeSync(fd);
			}
		};
		walk(Buffer.from(this.mountpoint));
		// A sync of an unchanged file writes nothing, so a changed one carries what was done to names alone.
		const fd = openSync(join(this.mountpoint, 'settled'), 'a');
		writeSync(fd, '.');
		fsyncSync(fd);
		closeSync(fd);
	}

	async deleteSnapshot(name: string): Promise<void> {
		await this.#qmp!.execute('blockdev-snapshot-delete-internal-sync', { device: 'disk', name }); // OK: mounted.
	}

	/** Let the kernel forget what it cached, so that reading touches the disk (and atimes) again. */
	dropCaches(): void {
		run('sync', ['-f', this.mountpoint]);
		writeFileSync('/proc/sys/vm/drop_caches', '3');
	}

	/** Unmount cleanly and end the daemon: the image can then be opened by anyone. */
	async unmount(): Promise<void> {
		if (this.#isMounted) run('umount', [this.mountpoint]);
		this.#isMounted = false;
		this.#qmp?.close();
		this.#qmp = undefined;
		const daemon = this.#daemon;
		this.#daemon = undefined;
		if (!daemon || daemon.exitCode !== null) return;
		const ended = new Promise(resolve => daemon.once('exit', resolve));
		daemon.kill('SIGTERM');
		await ended;
	}

	/** A raw copy of the disk at a snapshot, or of the current state. Only while it is not mounted. */
	rawCopy(snapshot?: string): string {
		const raw = join(mkdtempSync(join(this.directory, 'raw-')), 'disk.raw');
		const at = snapshot === undefined ? [] : ['-l', snapshot];
		run('qemu-img', ['convert', '-f', 'qcow2', ...at, '-O', 'raw', this.image, raw]);
		return raw;
	}

	/**
	 * What mounting a snapshot shows: a copy is mounted read-write, so that the kernel replays its journal. With fast
	 * commits, what the mount showed when the snapshot was taken.
	 */
	kernelListing(snapshot?: string): Listing {
		const shown = snapshot === undefined ? undefined : this.#shown.get(snapshot);
		if (shown && !process.env['STRATA_KERNEL_FAST_COMMIT']) return new Map(shown);
		const raw = this.rawCopy(snapshot);
		try {
			return listRaw(raw, { offset: this.offset, recover: true });
		} finally {
			rmSync(raw);
		}
	}

	/** Unmount, end, remove: whatever state it is in. */
	async [Symbol.asyncDispose](): Promise<void> {
		try {
			await this.unmount();
		} catch {
			// A file is still open, or the daemon has died: what follows does not ask.
		}
		this.killNow();
	}

	/** The same without waiting and without complaints: for failures, and for the end of the process. */
	killNow(): void {
		live.delete(this);
		this.#qmp?.close();
		quietly('umount', ['-l', this.mountpoint]);
		this.#daemon?.kill('SIGTERM');
		for (let n = 0; n < 100 && isMountpoint(this.#export); n++) spawnSync('sleep', ['0.02']);
		if (isMountpoint(this.#export)) quietly('umount', ['-l', this.#export]);
		rmSync(this.directory, { recursive: true, force: true });
	}
}

/**
 * List a raw disk, or what is below a folder of it, through the kernel.
 *
 * @param options.recover mount it read-write, which replays the journal and changes the file; else the journal is left
 * alone, so the filesystem should be clean.
 */
export function listRaw(
	raw: string,
	options: { readonly offset?: number; readonly recover?: boolean; readonly folder?: string } = {},
): Listing {
	const top = mkdtempSync(join(tmpdir(), 'strata-mount-'));
	const part = place(raw, options.offset ?? 0);
	if (options.recover) refuseFastCommits(raw, options.offset ?? 0);
	try {
		// Without access times, walking changes nothing that is listed.
		const how = options.recover ? 'noatime' : 'ro,noload';
		run('mount', ['-t', 'ext4', '-o', `loop,${how}${part}`, raw, top]);
		return listMounted(join(top, options.folder ?? ''));
	} finally {
		quietly('umount', [top]);
		rmSync(top, { recursive: true, force: true });
	}
}

/** @throws Error when mounting would recover fast commits: see the top of this file. */
function refuseFastCommits(raw: string, offset: number): void {
	if (process.env['STRATA_KERNEL_FAST_COMMIT']) return;
	const superblock = Buffer.alloc(1024);
	const fd = openSync(raw, 'r');
	readSync(fd, superblock, 0, 1024, offset + 1024);
	closeSync(fd);
	const hasFastCommit = (superblock.readUInt32LE(0x5c) & 0x400) !== 0;
	const needsRecovery = (superblock.readUInt32LE(0x60) & 0x4) !== 0;
	if (hasFastCommit && needsRecovery)
		throw new Error('the kernel is not asked to recover fast commits: it may not survive');
}

/** A QMP client of a few lines: one command at a time, events are dropped. */
class Qmp {
	#buffer = '';
	#waiting: ((reply: QmpReply) => void) | undefined;

	private constructor(private readonly socket: Socket) {
		socket.on('data', data => {
			this.#buffer += data.toString();
			for (let at; (at = this.#buffer.indexOf('\n')) >= 0;) {
				const reply = JSON.parse(this.#buffer.slice(0, at)) as QmpReply;
				this.#buffer = this.#buffer.slice(at + 1);
				if ('return' in reply || 'error' in reply || 'QMP' in reply) this.#waiting?.(reply);
			}
		});
		socket.on('error', error => this.#waiting?.({ error: { desc: error.message } }));
		socket.on('close', () => this.#waiting?.({ error: { desc: 'the connection was closed' } }));
	}

	/** @returns `undefined` when nobody listens yet. */
	static async connect(path: string): Promise<Qmp | undefined> {
		const qmp = new Qmp(createConnection(path));
		const greeting = await qmp.#reply();
		if (!greeting.QMP) return undefined;
		await qmp.execute('qmp_capabilities');
		return qmp;
	}

	async execute(command: string, args: Record<string, unknown> = {}): Promise<unknown> {
		this.socket.write(`${JSON.stringify({ execute: command, arguments: args })}\n`);
		const reply = await this.#reply();
		if (reply.error) throw new Error(`${command}: ${reply.error.desc}`);
		return reply.return;
	}

	#reply(): Promise<QmpReply> {
		return new Promise(resolve => (this.#waiting = resolve));
	}

	close(): void {
		this.socket.destroy();
	}
}

interface QmpReply {
	readonly return?: unknown;
	readonly error?: { readonly desc: string };
	readonly QMP?: unknown;
}

/** Run a tool that must succeed. @throws Error with what it said. */
export function run(program: string, args: readonly string[], input?: string): string {
	const result = spawnSync(program, args, {
		encoding: 'utf8',
		maxBuffer: 1 << 28,
		...(input !== undefined && { input }),
	});
	if (result.error) throw result.error;
	if (result.status !== 0) throw new Error(`${program} ${args.join(' ')}: ${result.stderr || result.stdout}`);
	return result.stdout;
}

function quietly(program: string, args: readonly string[]): void {
	spawnSync(program, args, { stdio: 'ignore' });
}

function isMountpoint(path: string): boolean {
	return readFileSync('/proc/mounts', 'utf8').includes(` ${path} `);
}

/** Mount options for a filesystem that is a part of a file: the rest at the end is as long as that at the beginning. */
function place(file: string, offset: number): string {
	return offset === 0 ? '' : `,offset=${offset},sizelimit=${statSync(file).size - 2 * offset}`;
}

function endAll(): void {
	for (const one of live) one.killNow();
}
process.on('exit', endAll);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
