/**
 * A client of QMP, QEMU's machine protocol: JSON objects, one a line, each way.
 *
 * Supported: greeting, capabilities negotiation, commands one after another or at once, a limit of time for each, events
 * (dropped unless listened to). Not supported: out-of-band commands. Source: QEMU docs/interop/qmp-spec.rst.
 */
import type { Readable, Writable } from 'node:stream';
import { EngineError } from '../util/errors.js';
import { LineSplitter } from './running/lines.js';
import { openSocket, type SocketOptions } from './running/socket.js';

/** A line above this ends the session: no answer that Strata asks for comes near it. */
const MAX_LINE = 10 * 1024 * 1024;

/** QEMU greets at once, unless it is busy saving memory or serves another client. */
const GREETING_TIMEOUT_MS = 10_000;

interface Pending {
	readonly resolve: (value: unknown) => void;
	readonly reject: (error: EngineError) => void;
	/** Made where `execute` was called, so that its stack says who asked. */
	readonly error: EngineError;
	readonly timer: NodeJS.Timeout | undefined;
}

export interface QmpEvent {
	readonly event: string;
	readonly data: unknown;
	/** When it happened, by the host's clock, in milliseconds since 1970; NaN when QEMU did not say. */
	readonly timeMs: number;
}

export interface ExecuteOptions {
	/** The reply is not waited for longer. QEMU may carry the command out all the same: QMP cannot recall it. */
	readonly timeoutMs?: number;
}

/** Whoever takes QMP commands: a session of Strata's own, or libvirt's. */
export interface Monitor extends Disposable {
	execute(command: string, args?: Readonly<Record<string, unknown>>, options?: ExecuteOptions): Promise<unknown>;
	onEvent(listener: (event: QmpEvent) => void): Disposable;
}

/** A failed command: the class and the description that QEMU gave. */
export class QmpCommandError extends Error {
	override readonly name = 'QmpCommandError';
	constructor(
		readonly errorClass: string,
		readonly description: string,
	) {
		super(description);
	}
}

/** One session. Does not own the streams' other end: whoever started the program ends it. */
export class QmpClient implements Monitor {
	readonly #pending = new Map<number, Pending>();
	readonly #listeners = new Set<(event: QmpEvent) => void>();
	readonly #lines = new LineSplitter(MAX_LINE);
	#nextId = 1;
	#closed: EngineError | undefined;
	readonly #greeting: Promise<void>;
	readonly #closing = new Set<() => void>();
	/** Of a socket, which then is this session's own. */
	#address: string | undefined;
	#greeted: () => void = () => undefined;
	#refused: (error: EngineError) => void = () => undefined;

	private constructor(
		private readonly input: Readable,
		private readonly output: Writable,
	) {
		this.#greeting = new Promise((resolve, reject) => {
			this.#greeted = resolve;
			this.#refused = reject;
		});
		this.#greeting.catch(() => undefined); // Heard by connect(), which may not be waiting yet.
		input.on('data', (chunk: Buffer) => this.#receive(chunk));
		input.on('end', () => this.close('the connection ended'));
		input.on('error', error => this.close(error.message));
		output.on('error', error => this.close(error.message));
	}

	/** Wait for the greeting and leave negotiation mode. @throws EngineError `ERR_TOOL`. */
	static async connect(input: Readable, output: Writable, options: ExecuteOptions = {}): Promise<QmpClient> {
		const client = new QmpClient(input, output);
		const { timeoutMs } = options;
		const late = () => client.close(`no greeting within ${timeoutMs! / 1000} seconds`); // OK: only armed when it is set.
		const timer = timeoutMs === undefined ? undefined : setTimeout(late, timeoutMs);
		try {
			await client.#greeting;
		} finally {
			clearTimeout(timer);
		}
		await client.execute('qmp_capabilities', undefined, options);
		return client;
	}

	/**
	 * A session on a socket of a running QEMU, which disposing ends. QEMU serves one client at a time, so it should be short.
	 *
	 * @throws EngineError what `openSocket` throws; `ERR_BUSY` when another client holds the socket; `ERR_TOOL`.
	 */
	static async open(address: string, options: SocketOptions & ExecuteOptions = {}): Promise<QmpClient> {
		const { timeoutMs = GREETING_TIMEOUT_MS } = options;
		const socket = await openSocket(address, options);
		// Ended by the other side: whatever waits is told through 'end' or 'error', and then nothing is left to do with it.
		socket.on('close', () => socket.destroy());
		try {
			const client = await QmpClient.connect(socket, socket, { timeoutMs });
			client.#address = address;
			return client;
		} catch (error) {
			socket.destroy();
			if (!EngineError.is(error) || !error.message.includes('no greeting within')) throw error;
			const message = `${address} does not answer: another program is connected to it, or QEMU hangs`;
			throw new EngineError('ERR_BUSY', message, { file: address }, { cause: error });
		}
	}

	/**
	 * Send a command and wait for its reply. QMP cannot recall a command: there is no cancelling.
	 *
	 * @throws EngineError `ERR_TOOL`, with a `QmpCommandError` as its cause when QEMU refused.
	 */
	async execute(
		command: string,
		args?: Readonly<Record<string, unknown>>,
		options: ExecuteOptions = {},
	): Promise<unknown> {
		if (this.#closed) throw this.#closed;
		const id = this.#nextId++;
		const error = new EngineError('ERR_TOOL', `QMP command ${command} failed`, { actual: command });
		const { timeoutMs } = options;
		const reply = new Promise<unknown>((resolve, reject) => {
			const late = () => {
				this.#pending.delete(id);
				const text = `${error.message}: no reply within ${timeoutMs! / 1000} seconds`; // OK: only armed when it is set.
				reject(new EngineError('ERR_TOOL', text, error.details, { cause: error }));
			};
			const timer = timeoutMs === undefined ? undefined : setTimeout(late, timeoutMs);
			this.#pending.set(id, { resolve, reject, error, timer });
		});
		this.output.write(
			`${JSON.stringify({ execute: command, ...(args === undefined ? {} : { arguments: args }), id })}\n`,
		);
		return reply;
	}

	onEvent(listener: (event: QmpEvent) => void): Disposable {
		this.#listeners.add(listener);
		return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
	}

	/** Why the session ended; `undefined` while it goes on. */
	get closed(): EngineError | undefined {
		return this.#closed;
	}

	/** Events from now on, until the session ends, which ends the iteration as well. */
	async *events(): AsyncGenerator<QmpEvent, void, undefined> {
		const queue: QmpEvent[] = [];
		let wake: () => void = () => undefined;
		using _listening = this.onEvent(event => {
			queue.push(event);
			wake();
		});
		const onClose = () => wake();
		this.#closing.add(onClose);
		try {
			for (;;) {
				const next = queue.shift();
				if (next) yield next;
				else if (this.#closed) return;
				else await new Promise<void>(resolve => (wake = resolve));
			}
		} finally {
			this.#closing.delete(onClose);
		}
	}

	/** End the session. A socket is closed; a program's pipes are left alone. */
	[Symbol.dispose](): void {
		this.close('the session was closed');
		if (this.#address !== undefined) this.input.destroy();
	}

	/** End the session: every command that waits fails with `reason`. */
	close(reason: string): void {
		if (this.#closed) return;
		this.#closed = new EngineError('ERR_TOOL', `QMP: ${reason}`);
		this.#refused(this.#closed);
		for (const listener of this.#closing) listener();
		for (const { reject, error, timer } of this.#pending.values()) {
			clearTimeout(timer);
			reject(new EngineError('ERR_TOOL', `${error.message}: ${reason}`, error.details, { cause: this.#closed }));
		}
		this.#pending.clear();
	}

	#receive(chunk: Buffer): void {
		if (this.#closed) return;
		const lines = this.#lines.push(chunk);
		if (lines === undefined) {
			this.close(`a line of more than ${MAX_LINE} bytes`);
			return;
		}
		for (const line of lines) if (line.toString('latin1').trim() !== '') this.#handle(line);
	}

	#handle(line: Buffer): void {
		let message: Record<string, unknown>;
		try {
			const value: unknown = JSON.parse(line.toString('utf8'));
			if (typeof value !== 'object' || value === null) throw new SyntaxError('not an object');
			message = value as Record<string, unknown>; // OK: an object; its fields are checked below.
		} catch (error) {
			this.close(`what came is no JSON object (${error instanceof Error ? error.message : String(error)})`);
			return;
		}
		if ('QMP' in message) this.#greeted();
		else if (typeof message['event'] === 'string') {
			const event = { event: message['event'], data: message['data'], timeMs: timeOf(message['timestamp']) };
			for (const listener of this.#listeners) listener(event);
		} else this.#reply(message);
	}

	#reply(message: Record<string, unknown>): void {
		const id = message['id'];
		const problem = message['error'] as { class?: unknown; desc?: unknown } | undefined;
		const pending = typeof id === 'number' ? this.#pending.get(id) : undefined;
		if (pending === undefined) {
			// An error without id is about a line that could not be parsed: the session is out of step.
			if (problem !== undefined && id === undefined) this.close(String(problem.desc));
			return;
		}
		this.#pending.delete(id as number); // OK: it was found under this id.
		clearTimeout(pending.timer);
		if (problem === undefined) pending.resolve(message['return']);
		else {
			const cause = new QmpCommandError(String(problem.class), String(problem.desc));
			pending.reject(
				new EngineError('ERR_TOOL', `${pending.error.message}: ${cause.description}`, pending.error.details, { cause }),
			);
		}
	}
}

function timeOf(timestamp: unknown): number {
	const { seconds, microseconds } = (timestamp ?? {}) as { seconds?: unknown; microseconds?: unknown };
	return typeof seconds === 'number' && typeof microseconds === 'number' && 0 <= seconds
		? seconds * 1000 + microseconds / 1000
		: NaN;
}
