/**
 * A client of QMP, QEMU's machine protocol: JSON objects, one a line, each way.
 *
 * Supported: greeting, capabilities negotiation, commands one after another or at once, events (dropped unless listened to).
 * Not supported: out-of-band commands. Source: QEMU docs/interop/qmp-spec.rst.
 */
import type { Readable, Writable } from 'node:stream';
import { EngineError } from '../util/errors.js';

/** A line above this ends the session: no answer that Strata asks for comes near it. */
const MAX_LINE = 10 * 1024 * 1024;

interface Pending {
	readonly resolve: (value: unknown) => void;
	readonly reject: (error: EngineError) => void;
	/** Made where `execute` was called, so that its stack says who asked. */
	readonly error: EngineError;
}

export interface QmpEvent {
	readonly event: string;
	readonly data: unknown;
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
export class QmpClient {
	readonly #pending = new Map<number, Pending>();
	readonly #listeners = new Set<(event: QmpEvent) => void>();
	#nextId = 1;
	#partial: Buffer[] = [];
	#partialSize = 0;
	#closed: EngineError | undefined;
	readonly #greeting: Promise<void>;
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
	static async connect(input: Readable, output: Writable): Promise<QmpClient> {
		const client = new QmpClient(input, output);
		await client.#greeting;
		await client.execute('qmp_capabilities');
		return client;
	}

	/**
	 * Send a command and wait for its reply. QMP cannot recall a command: there is no cancelling.
	 *
	 * @throws EngineError `ERR_TOOL`, with a `QmpCommandError` as its cause when QEMU refused.
	 */
	async execute(command: string, args?: Readonly<Record<string, unknown>>): Promise<unknown> {
		if (this.#closed) throw this.#closed;
		const id = this.#nextId++;
		const error = new EngineError('ERR_TOOL', `QMP command ${command} failed`, { actual: command });
		const reply = new Promise<unknown>((resolve, reject) => this.#pending.set(id, { resolve, reject, error }));
		this.output.write(
			`${JSON.stringify({ execute: command, ...(args === undefined ? {} : { arguments: args }), id })}\n`,
		);
		return reply;
	}

	onEvent(listener: (event: QmpEvent) => void): Disposable {
		this.#listeners.add(listener);
		return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
	}

	/** End the session: every command that waits fails with `reason`. */
	close(reason: string): void {
		if (this.#closed) return;
		this.#closed = new EngineError('ERR_TOOL', `QMP: ${reason}`);
		this.#refused(this.#closed);
		for (const { reject, error } of this.#pending.values()) {
			reject(new EngineError('ERR_TOOL', `${error.message}: ${reason}`, error.details, { cause: this.#closed }));
		}
		this.#pending.clear();
	}

	#receive(chunk: Buffer): void {
		if (this.#closed) return;
		let rest = chunk;
		for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
			const line = Buffer.concat([...this.#partial, rest.subarray(0, end)]);
			this.#partial = [];
			this.#partialSize = 0;
			rest = rest.subarray(end + 1);
			if (line.toString('latin1').trim() !== '') this.#handle(line);
		}
		this.#partial.push(rest);
		this.#partialSize += rest.byteLength;
		if (MAX_LINE < this.#partialSize) this.close(`a line of more than ${MAX_LINE} bytes`);
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
			for (const listener of this.#listeners) listener({ event: message['event'], data: message['data'] });
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
		if (problem === undefined) pending.resolve(message['return']);
		else {
			const cause = new QmpCommandError(String(problem.class), String(problem.desc));
			pending.reject(
				new EngineError('ERR_TOOL', `${pending.error.message}: ${cause.description}`, pending.error.details, { cause }),
			);
		}
	}
}
