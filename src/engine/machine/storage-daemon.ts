/**
 * qemu-storage-daemon, started for one action on the disks of a stopped machine: it makes and deletes internal snapshots.
 * Unlike qemu-img it refuses a name that is taken, checks id and name together, and makes a snapshot of all disks or none.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { EngineError } from '../util/errors.js';
import { QmpClient } from './qmp.js';
import { findTool, toolEnvironment, toolError, type ToolPaths } from './tools.js';

/** More than opening an image takes, unless its refcounts must be rebuilt, which can take minutes. */
const START_TIMEOUT_MS = 10 * 60_000;

/** Has the disks open for writing, so no other QEMU program can; until `close`. */
export class StorageDaemon {
	private constructor(
		private readonly child: ChildProcess,
		private readonly client: QmpClient,
		private readonly images: readonly string[],
		private readonly ended: Promise<{ code: number; stderr: string }>,
	) {}

	/**
	 * @param marker names the process among all others: whoever finds it on a command line knows that it is Strata's.
	 * @throws EngineError `ERR_BUSY` when another program holds one of the images; `ERR_NO_SPACE`; `ERR_TOOL`.
	 */
	static async open(tools: ToolPaths, images: readonly string[], marker: string): Promise<StorageDaemon> {
		const path = findTool('qemu-storage-daemon', tools);
		// Both nodes must pass discards on, or the file never shrinks. No backing file: it is not needed, and may be missing.
		const nodes = images.flatMap((image, index) => [
			{ driver: 'file', filename: image, 'node-name': `file${index}`, discard: 'unmap' },
			{ driver: 'qcow2', file: `file${index}`, 'node-name': nodeOf(index), discard: 'unmap', backing: null },
		]);
		const args = [
			...nodes.flatMap(node => ['--blockdev', JSON.stringify(node)]),
			...['--chardev', `stdio,id=${marker}`, '--monitor', `chardev=${marker},mode=control`],
		];
		const child = spawn(path, args, { stdio: ['pipe', 'pipe', 'pipe'], env: toolEnvironment(), windowsHide: true });
		let stderr = '';
		child.stderr.on('data', (chunk: Buffer) => (stderr = (stderr + chunk.toString('utf8')).slice(-65_536)));
		const ended = new Promise<{ code: number; stderr: string }>(resolve => {
			child.on('error', cause => resolve({ code: -1, stderr: cause.message }));
			child.on('close', code => resolve({ code: code ?? -1, stderr }));
		});
		const timer = setTimeout(() => child.kill('SIGTERM'), START_TIMEOUT_MS);
		try {
			const client = await QmpClient.connect(child.stdout, child.stdin);
			return new StorageDaemon(child, client, images, ended);
		} catch {
			// It ended before it greeted: what it wrote to stderr says why, which the closed pipe does not.
			child.kill('SIGTERM');
			const { code, stderr: text } = await ended;
			const image = images.find(candidate => text.includes(candidate)) ?? images[0]!; // OK: a machine has a disk.
			throw toolError('qemu-storage-daemon', image, { code, stdout: '', stderr: text });
		} finally {
			clearTimeout(timer);
		}
	}

	/** A snapshot of every disk, under one name, of one moment: all or none. `name` is text that UTF-8 can hold. */
	async createSnapshots(name: string): Promise<void> {
		const actions = this.images.map((_, index) => ({
			type: 'blockdev-snapshot-internal-sync',
			data: { device: nodeOf(index), name },
		}));
		await this.#execute('transaction', { actions });
	}

	/** Delete one snapshot of one disk. `name` is `undefined` when it is not UTF-8; then the id alone decides. */
	async deleteSnapshot(image: string, id: string, name: string | undefined): Promise<void> {
		const device = nodeOf(this.images.indexOf(image));
		await this.#execute('blockdev-snapshot-delete-internal-sync', {
			device,
			id,
			...(name === undefined ? {} : { name }),
		});
	}

	/**
	 * Let go of the disks, and wait until the program has written what it still held and ended.
	 *
	 * @throws EngineError `ERR_TOOL` when it ended any other way: then tables may be half-written, whatever it had replied.
	 */
	async close(): Promise<void> {
		try {
			await this.client.execute('quit');
		} catch {
			// It is ending already; how it ended is what counts.
			this.child.kill('SIGTERM');
		}
		const { code, stderr } = await this.ended;
		if (code !== 0) throw toolError('qemu-storage-daemon', this.images.join(', '), { code, stdout: '', stderr });
	}

	async #execute(command: string, args: Readonly<Record<string, unknown>>): Promise<void> {
		try {
			await this.client.execute(command, args);
		} catch (error) {
			if (!EngineError.is(error)) throw error;
			if (/No space left|Disk quota exceeded/.test(error.message)) {
				throw new EngineError('ERR_NO_SPACE', `no space left for ${this.images.join(', ')}`, {}, { cause: error });
			}
			throw error;
		}
	}
}

function nodeOf(index: number): string {
	return `disk${index}`;
}
