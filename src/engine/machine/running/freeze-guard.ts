/**
 * The process that freezes a guest's filesystems, and that thaws them whatever happens to whoever asked.
 *
 * It holds the agent's socket, which serves one client: were the asker to hold it, a hung asker could not be helped. It
 * runs in a session of its own, is connected and synchronised before anything is frozen, and thaws when it is told to,
 * when whoever asked is gone (its input ends), or when the time is up.
 *
 * One line of JSON comes in (`GuardRequest`), then the lines `freeze` and `thaw`; `GuardMessage`s go out, one a line.
 */
import process, { stderr, stdin, stdout } from 'node:process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { EngineError, type ErrorRecord } from '../../util/errors.js';
import { AgentClient } from './agent.js';
import { freeze, isFrozen, thaw } from './agent-commands.js';

export interface GuardRequest {
	/** Socket of the agent. */
	readonly agent: string;
	readonly allowTcp: boolean;
	/** The guest is thawed after this time, counted from before it is frozen. */
	readonly limitMs: number;
}

export type GuardMessage =
	| { readonly type: 'ready' }
	| { readonly type: 'frozen'; readonly filesystems: number }
	/** `frozenMs`: from the agent's word that all is frozen to its word that all is thawed. */
	| { readonly type: 'thawed'; readonly reason: ThawReason; readonly freezingMs: number; readonly frozenMs: number }
	| { readonly type: 'error'; readonly error: ErrorRecord };

export type ThawReason = 'asked' | 'gone' | 'time';

export const GUARD_ARGUMENT = 'freeze-guard';

/** Thawing is tried for so long: nothing else in the guest goes on before it is done. */
const THAW_PATIENCE_MS = 120_000;
const THAW_TIMEOUT_MS = 5_000;
const THAW_PAUSE_MS = 100;
/** A guest that needs longer than the limit to freeze is thawed as soon as it has answered, or after this. */
const CONNECT_TIMEOUT_MS = 5_000;

export async function runFreezeGuard(): Promise<void> {
	// Whoever asked may be gone: then nobody reads, and the guest is thawed all the same.
	for (const stream of [stdin, stdout, stderr]) stream.on('error', () => undefined);
	const lines = new Lines();
	for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => lines.end());
	const first = await lines.next();
	if (first === undefined) return;
	try {
		await guard(JSON.parse(first) as GuardRequest, lines); // OK: Freezer.start() wrote it.
	} catch (error) {
		if (!EngineError.is(error)) throw error;
		say({ type: 'error', error: error.toJSON() });
	} finally {
		stdin.destroy();
	}
}

async function guard({ agent: address, allowTcp, limitMs }: GuardRequest, lines: Lines): Promise<void> {
	using agent = await AgentClient.open(address, { allowTcp, timeoutMs: CONNECT_TIMEOUT_MS });
	if (await isFrozen(agent)) {
		throw new EngineError('ERR_BUSY', 'the filesystems of the guest are frozen already: a backup may be running');
	}
	say({ type: 'ready' });
	if ((await lines.next()) !== 'freeze') return;
	const started = performance.now();
	const timeUp = new AbortController();
	const timer = setTimeout(() => timeUp.abort(), limitMs);
	let frozen = started;
	let reason: ThawReason = 'asked';
	try {
		const filesystems = await freeze(agent, limitMs);
		frozen = performance.now();
		say({ type: 'frozen', filesystems });
		const next = await Promise.race([lines.next(), once(timeUp.signal)]);
		reason = next === 'thaw' ? 'asked' : next === undefined ? 'gone' : 'time';
	} finally {
		clearTimeout(timer);
		// Also after a failure: some filesystems may be frozen.
		await thawSurely(agent, address, allowTcp);
	}
	say({ type: 'thawed', reason, freezingMs: frozen - started, frozenMs: performance.now() - frozen });
}

async function thawSurely(agent: AgentClient, address: string, allowTcp: boolean): Promise<void> {
	const end = Date.now() + THAW_PATIENCE_MS;
	try {
		await thaw(agent, THAW_TIMEOUT_MS);
		return;
	} catch (error) {
		if (!EngineError.is(error)) throw error;
		agent[Symbol.dispose]();
	}
	for (;;) {
		try {
			await thawAnew(address, allowTcp);
			return;
		} catch (error) {
			// A machine that is gone needs no thawing.
			if (!EngineError.is(error) || error.code === 'ERR_NOT_FOUND' || end < Date.now()) throw error;
			await sleep(THAW_PAUSE_MS);
		}
	}
}

async function thawAnew(address: string, allowTcp: boolean): Promise<void> {
	using agent = await AgentClient.open(address, { allowTcp, timeoutMs: THAW_TIMEOUT_MS });
	await thaw(agent, THAW_TIMEOUT_MS);
}

async function once(signal: AbortSignal): Promise<symbol> {
	const timeIsUp = Symbol('time');
	if (signal.aborted) return timeIsUp;
	return new Promise(resolve => signal.addEventListener('abort', () => resolve(timeIsUp)));
}

/** Lines of stdin, one at a time; `undefined` for ever after its end. */
class Lines {
	readonly #queue: string[] = [];
	#wake: () => void = () => undefined;
	#ended = false;

	constructor() {
		const lines = createInterface({ input: stdin });
		lines.on('line', line => {
			this.#queue.push(line);
			this.#wake();
		});
		lines.on('close', () => this.end());
	}

	end(): void {
		this.#ended = true;
		this.#wake();
	}

	async next(): Promise<string | undefined> {
		while (this.#queue.length === 0 && !this.#ended) await new Promise<void>(resolve => (this.#wake = resolve));
		return this.#queue.shift();
	}
}

function say(message: GuardMessage): void {
	stdout.write(`${JSON.stringify(message)}\n`);
}
