/**
 * A client of QEMU's guest agent: JSON objects, one a line, over a serial port that the guest reads.
 *
 * The port has no notion of a session: it serves one client of the host at a time, answers of an earlier client may come
 * first, and after the memory was loaded anything may be half-sent. So every session begins with `guest-sync-delimited`
 * and a number that nobody can guess, and everything is dropped up to the byte 0xFF that its answer begins with. A guest
 * without an agent never answers: every call has a limit of time, and one that ran out makes the next call begin anew.
 *
 * Source: QEMU docs/interop/qemu-ga-ref, guest-sync-delimited.
 */
import { randomInt } from 'node:crypto';
import type { Socket } from 'node:net';
import { EngineError } from '../../util/errors.js';
import { LineSplitter } from './lines.js';
import { openSocket, type SocketOptions } from './socket.js';

/** The agent gives up to 16 MiB of each output of a program, in base64. */
const MAX_LINE = 48 * 1024 * 1024;
const SYNC_MARK = 0xff;
const CALL_TIMEOUT_MS = 10_000;
const MAX_SYNC_ID = 2 ** 47;
const FIRST_SYNC_MS = 200;

/** A call that the agent refused: the class and the description that it gave. */
export class AgentCallError extends Error {
	override readonly name = 'AgentCallError';
	constructor(
		readonly errorClass: string,
		readonly description: string,
	) {
		super(description);
	}
}

export interface AgentOptions {
	/** Of each call. Default 10 s. */
	readonly timeoutMs?: number;
}

interface Waiting {
	/** @returns whether the line was what is waited for. */
	readonly accept: (line: Buffer) => boolean;
	readonly fail: (error: EngineError) => void;
}

/** One session, to be kept short, for nobody else gets through meanwhile. Calls are made one after another. */
export class AgentClient implements Disposable {
	readonly #lines = new LineSplitter(MAX_LINE);
	#waiting: Waiting | undefined;
	#closed: EngineError | undefined;
	/** The next answer may be to an earlier call. */
	#inStep = false;
	#last: Promise<unknown> = Promise.resolve();

	private constructor(
		private readonly socket: Socket,
		private readonly timeoutMs: number,
	) {
		socket.on('data', (chunk: Buffer) => this.#receive(chunk));
		socket.on('error', error => this.#close(error.message));
		socket.on('close', () => this.#close('the connection ended'));
	}

	/**
	 * Connect, and wait until an agent answers.
	 *
	 * @throws EngineError what `openSocket` throws; `ERR_TOOL` when no agent answers in time: there is none, it hangs, or
	 * another client holds the socket.
	 */
	static async open(address: string, options: AgentOptions & SocketOptions = {}): Promise<AgentClient> {
		const { timeoutMs = CALL_TIMEOUT_MS } = options;
		const client = new AgentClient(await openSocket(address, options), timeoutMs);
		try {
			await client.sync(timeoutMs);
			return client;
		} catch (error) {
			client[Symbol.dispose]();
			if (!EngineError.is(error)) throw error;
			const message = `no guest agent answers at ${address}: qemu-guest-agent does not run in the guest, or another program is connected to it`;
			throw new EngineError('ERR_TOOL', message, { file: address }, { cause: error });
		}
	}

	/**
	 * Make a call and wait for its answer.
	 *
	 * @throws EngineError `ERR_TOOL`, with an `AgentCallError` as its cause when the agent refused.
	 */
	async execute(
		command: string,
		args?: Readonly<Record<string, unknown>>,
		options: AgentOptions = {},
	): Promise<unknown> {
		// Made here, so that its stack says who asked.
		const error = new EngineError('ERR_TOOL', `guest agent: ${command} failed`, { actual: command });
		return this.#inTurn(async () => {
			const timeoutMs = options.timeoutMs ?? this.timeoutMs;
			if (!this.#inStep) await this.#sync(timeoutMs);
			this.#inStep = false;
			const text = JSON.stringify({ execute: command, ...(args === undefined ? {} : { arguments: args }) });
			let answer: Record<string, unknown> | undefined;
			const accept = (line: Buffer) => {
				answer = objectOf(line);
				return answer !== undefined && ('return' in answer || 'error' in answer);
			};
			await this.#talk(Buffer.from(`${text}\n`), accept, timeoutMs, error);
			this.#inStep = true;
			const problem = answer!['error'] as { class?: unknown; desc?: unknown } | undefined; // OK: accept() set it.
			if (problem === undefined) return answer!['return'];
			const cause = new AgentCallError(String(problem.class), String(problem.desc));
			throw new EngineError('ERR_TOOL', `${error.message}: ${cause.description}`, error.details, { cause });
		});
	}

	/** Drop whatever is on its way. To be called after the machine's memory was loaded. @throws EngineError `ERR_TOOL`. */
	async sync(timeoutMs = this.timeoutMs): Promise<void> {
		await this.#inTurn(() => this.#sync(timeoutMs));
	}

	[Symbol.dispose](): void {
		this.#close('the session was closed');
		this.socket.destroy();
	}

	/**
	 * What is sent right after another client has left may be lost: the guest learns of both a little later. So the request is
	 * repeated, each time with another number and more patience; the answer to the last one counts.
	 */
	async #sync(timeoutMs: number): Promise<void> {
		const end = Date.now() + timeoutMs;
		const error = new EngineError('ERR_TOOL', 'guest agent: no answer to guest-sync');
		for (let patience = FIRST_SYNC_MS; ; patience *= 2) {
			const left = end - Date.now();
			const isLast = left <= patience * 1.5;
			const id = randomInt(MAX_SYNC_ID);
			const text = `${JSON.stringify({ execute: 'guest-sync-delimited', arguments: { id } })}\n`;
			const accept = (line: Buffer) => {
				const mark = line.lastIndexOf(SYNC_MARK);
				return mark >= 0 && objectOf(line.subarray(mark + 1))?.['return'] === id;
			};
			// The mark makes the agent drop what it has of an unfinished call.
			const bytes = Buffer.concat([Buffer.from([SYNC_MARK]), Buffer.from(text)]);
			try {
				await this.#talk(bytes, accept, isLast ? Math.max(1, left) : patience, error);
				this.#inStep = true;
				return;
			} catch (failure) {
				if (isLast || this.#closed) throw failure;
			}
		}
	}

	async #talk(bytes: Buffer, accept: Waiting['accept'], timeoutMs: number, error: EngineError): Promise<void> {
		if (this.#closed) throw this.#closed;
		let timer: NodeJS.Timeout | undefined;
		try {
			await new Promise<void>((resolve, reject) => {
				const failWith = (why: string, cause?: EngineError) =>
					reject(new EngineError('ERR_TOOL', `${error.message}: ${why}`, error.details, { cause: cause ?? error }));
				timer = setTimeout(() => failWith(`no answer within ${timeoutMs / 1000} seconds`), timeoutMs);
				this.#waiting = {
					accept: line => {
						const isIt = accept(line);
						if (isIt) resolve();
						return isIt;
					},
					fail: cause => failWith(cause.message, cause),
				};
				this.socket.write(bytes);
			});
		} finally {
			clearTimeout(timer);
			this.#waiting = undefined;
		}
	}

	async #inTurn<T>(body: () => Promise<T>): Promise<T> {
		const turn = this.#last.then(body, body);
		this.#last = turn.catch(() => undefined);
		return turn;
	}

	#receive(chunk: Buffer): void {
		const lines = this.#lines.push(chunk);
		if (lines === undefined) {
			this.#close(`a line of more than ${MAX_LINE} bytes`);
			this.socket.destroy();
			return;
		}
		// Nobody waits for what is left: it is of an earlier call.
		for (const line of lines) if (this.#waiting?.accept(line)) this.#waiting = undefined;
	}

	#close(reason: string): void {
		if (this.#closed) return;
		this.#closed = new EngineError('ERR_TOOL', `guest agent: ${reason}`);
		this.#waiting?.fail(this.#closed);
	}
}

/** Whether the agent is there but refuses because the guest's filesystems are frozen. */
export function isFrozenError(error: unknown): boolean {
	return (
		EngineError.is(error) && error.cause instanceof AgentCallError && error.cause.description.includes('frozen state')
	);
}

function objectOf(line: Buffer): Record<string, unknown> | undefined {
	try {
		const value: unknown = JSON.parse(line.toString('utf8'));
		return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined; // OK: an object; its fields are checked where used.
	} catch {
		return undefined; // Half a line of an earlier session.
	}
}
