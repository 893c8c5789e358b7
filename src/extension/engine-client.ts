/**
 * The engine, as the extension sees it: `EngineApi` over two worker threads, so that nothing is parsed, hashed or
 * compared in the extension host. A thread starts with the first call that needs it. One that dies is started once
 * more; dying again, it waits for *Restart Engine*.
 *
 * Knows no VS Code: its tests run on Node alone.
 */
import { Worker } from 'node:worker_threads';
import { createBirpc, type BirpcReturn } from 'birpc';
import type { CallOptions, EngineApi } from '../shared/engine-api.js';
import {
	LISTS,
	METHODS,
	type ClientFunctions,
	type EngineMethod,
	type WorkerFunctions,
	type WorkerRole,
	type WorkerSetup,
} from '../shared/worker-protocol.js';
import { StrataError } from './engine-error.js';

export interface EngineHostOptions {
	/** Path of dist/engine.cjs. */
	readonly program: string;
	/** Asked at each start of a thread. */
	readonly setup: () => Omit<WorkerSetup, 'role'>;
	readonly log: ClientFunctions['log'];
	/** A thread ended by itself. `again`: the next call starts another; else it takes *Restart Engine*. */
	readonly onDied: (reason: string, again: boolean) => void;
}

export interface EngineClient extends EngineApi {
	/** Ends the threads, and forgets that they died. Pending calls fail; the next call starts anew. */
	restart(): Promise<void>;
	/** Whether a thread runs: nothing starts one but a call. */
	readonly running: boolean;
	dispose(): void;
}

interface Pending {
	readonly call: CallOptions;
	/** Pieces of the answer's list that came ahead of it. */
	readonly items: unknown[];
	readonly fail: (error: StrataError) => void;
}

export function createEngineClient(options: EngineHostOptions): EngineClient {
	const threads: Record<WorkerRole, EngineThread> = {
		interactive: new EngineThread('interactive', options),
		long: new EngineThread('long', options),
	};
	const both = Object.values(threads);
	const methods = Object.fromEntries(
		Object.entries(METHODS).map(([method, { arity, role }]) => [
			method,
			(...args: unknown[]) =>
				// OK: the keys of METHODS are the methods; after its own arguments comes CallOptions or nothing.
				threads[role].call(method as EngineMethod, args.slice(0, arity), args[arity] as CallOptions | undefined),
		]),
	);
	const control = {
		restart: async () => {
			await Promise.all(both.map(thread => thread.stop(new StrataError('ERR_CANCELLED', 'the engine is restarting'))));
		},
		get running() {
			return both.some(thread => thread.running);
		},
		dispose: () => {
			for (const thread of both) void thread.stop(new StrataError('ERR_CANCELLED', 'the window is closing'));
		},
	};
	// OK: METHODS has every method of EngineApi (`satisfies` holds it), with its parameters in order.
	return Object.defineProperties(methods, Object.getOwnPropertyDescriptors(control)) as unknown as EngineClient;
}

/** One thread: started by its first call, and once more after it died. */
class EngineThread {
	#worker: Worker | undefined;
	#rpc: BirpcReturn<WorkerFunctions, ClientFunctions> | undefined;
	readonly #pending = new Map<number, Pending>();
	#nextId = 1;
	#deaths = 0;

	constructor(
		private readonly role: WorkerRole,
		private readonly options: EngineHostOptions,
	) {}

	get running(): boolean {
		return this.#worker !== undefined;
	}

	async call(method: EngineMethod, args: readonly unknown[], call: CallOptions = {}): Promise<unknown> {
		if (call.signal?.aborted) throw new StrataError('ERR_CANCELLED', 'cancelled');
		if (1 < this.#deaths) throw new StrataError('ERR_ENGINE', 'the engine stopped twice; run "Restart Engine"');
		this.#rpc ??= this.#start();
		const id = this.#nextId++;
		const word = new SharedArrayBuffer(4);
		const rpc = this.#rpc;
		const cancel = () => {
			Atomics.store(new Int32Array(word), 0, 1);
			void rpc.cancel.asEvent(id);
		};
		call.signal?.addEventListener('abort', cancel, { once: true });
		const items: unknown[] = [];
		try {
			// The thread's death ends the call: birpc alone would wait for ever.
			const died = new Promise<never>((_, reject) => this.#pending.set(id, { call, items, fail: reject }));
			const reply = await Promise.race([rpc.call(id, method, args, word), died]);
			if ('error' in reply) throw StrataError.from(reply.error);
			const list = LISTS[method];
			return list === undefined || items.length === 0 ? reply.ok : { ...(reply.ok as object), [list]: items }; // OK: answers with lists are objects.
		} finally {
			this.#pending.delete(id);
			call.signal?.removeEventListener('abort', cancel);
		}
	}

	/** Ends the thread; what it was doing fails with `reason`. */
	async stop(reason: StrataError): Promise<void> {
		const worker = this.#worker;
		this.#deaths = 0;
		this.#forget(reason);
		await worker?.terminate();
	}

	#start(): BirpcReturn<WorkerFunctions, ClientFunctions> {
		const setup: WorkerSetup = { role: this.role, ...this.options.setup() };
		const worker = new Worker(this.options.program, { workerData: setup, stdout: true, stderr: true });
		worker.stdout.on('data', (text: Buffer) => this.options.log('debug', text.toString().trimEnd()));
		worker.stderr.on('data', (text: Buffer) => this.options.log('warn', text.toString().trimEnd()));
		let reason = '';
		worker.on('error', (error: Error) => {
			reason = error.message;
			this.options.log('error', error.stack ?? error.message);
		});
		worker.on('exit', code => {
			if (this.#worker === worker) this.#died(reason || `it ended with code ${code}`);
		});
		this.#worker = worker;
		this.options.log('info', `engine thread "${this.role}" started`);
		return createBirpc<WorkerFunctions, ClientFunctions>(
			{
				progress: (id, progress) => this.#pending.get(id)?.call.onProgress?.(progress),
				piece: (id, items) => void this.#pending.get(id)?.items.push(...items),
				log: (level, message) => this.options.log(level, message),
			},
			{
				post: (message: unknown) => worker.postMessage(message),
				on: listener => worker.on('message', listener),
				timeout: -1,
			},
		);
	}

	#died(reason: string): void {
		this.#deaths++;
		this.#forget(new StrataError('ERR_ENGINE', `the engine stopped: ${reason}`));
		this.options.onDied(reason, this.#deaths <= 1);
	}

	#forget(reason: StrataError): void {
		this.#worker = undefined;
		this.#rpc = undefined;
		for (const { fail } of this.#pending.values()) fail(reason);
		this.#pending.clear();
	}
}
