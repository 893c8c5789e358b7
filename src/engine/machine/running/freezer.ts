/** Freezes the guest's filesystems for the moment of a snapshot, through a process that thaws them whatever happens here. */
import { spawn, type ChildProcess } from 'node:child_process';
import { env, execPath } from 'node:process';
import { createInterface } from 'node:readline';
import { EngineError } from '../../util/errors.js';
import { AgentClient } from './agent.js';
import { thaw } from './agent-commands.js';
import { GUARD_ARGUMENT, type GuardMessage, type GuardRequest } from './freeze-guard.js';

/** No guest stays frozen longer, whatever happens to Strata. */
export const FREEZE_LIMIT_MS = 10_000;

export interface FreezeOptions {
	/** Socket of the agent. */
	readonly agent: string;
	readonly allowTcp?: boolean;
	/** The engine's bundle, which is run as the guard. */
	readonly helper: string;
	/** Default 10 s, which is the most. */
	readonly limitMs?: number;
}

export interface Frozen {
	/** The guest was frozen until now: what was done meanwhile is of one moment. */
	readonly held: boolean;
	/** How long the agent took to freeze everything, which includes writing what was not on the disk yet. */
	readonly freezingMs: number;
	/** How long everything stood still. */
	readonly frozenMs: number;
}

export class Freezer implements AsyncDisposable {
	readonly #messages: GuardMessage[] = [];
	#wake: () => void = () => undefined;
	#ended = false;
	#isFrozen = false;

	private constructor(
		private readonly options: FreezeOptions,
		private readonly child: ChildProcess,
	) {
		createInterface({ input: child.stdout! }).on('line', line => {
			this.#messages.push(JSON.parse(line) as GuardMessage); // OK: freeze-guard.ts writes them.
			this.#wake();
		});
		const end = () => {
			this.#ended = true;
			this.#wake();
		};
		child.on('error', end);
		child.on('close', end);
		child.stdin!.on('error', () => undefined); // It is gone; 'close' tells.
	}

	/**
	 * Start the guard. Nothing is frozen yet, and an agent answers.
	 *
	 * @throws EngineError `ERR_TOOL` without an agent, `ERR_BUSY` when somebody else has frozen the guest.
	 */
	static async start(options: FreezeOptions): Promise<Freezer> {
		const child = spawn(execPath, [options.helper, GUARD_ARGUMENT], {
			// A session of its own: what ends the terminal or the editor does not end it.
			detached: true,
			stdio: ['pipe', 'pipe', 'ignore'],
			env: { ...env, ELECTRON_RUN_AS_NODE: '1' },
			windowsHide: true,
		});
		const freezer = new Freezer(options, child);
		const request: GuardRequest = {
			agent: options.agent,
			allowTcp: options.allowTcp ?? false,
			limitMs: Math.min(options.limitMs ?? FREEZE_LIMIT_MS, FREEZE_LIMIT_MS),
		};
		child.stdin.write(`${JSON.stringify(request)}\n`); // OK: it is a pipe.
		await freezer.#expect('ready');
		return freezer;
	}

	/** Of the guard. */
	get pid(): number {
		return this.child.pid!; // OK: it said that it is ready.
	}

	/** @throws EngineError `ERR_TOOL`; then the guest is thawed. */
	async freeze(): Promise<void> {
		this.child.stdin!.write('freeze\n'); // OK: it is a pipe.
		this.#isFrozen = true;
		await this.#expect('frozen');
	}

	/** Let the guest go on. @throws EngineError `ERR_TOOL` when that is not certain: the message says what to do. */
	async thaw(): Promise<Frozen> {
		this.child.stdin!.write('thaw\n'); // OK: it is a pipe.
		const { reason, freezingMs, frozenMs } = await this.#expect('thawed');
		this.#isFrozen = false;
		return { held: reason === 'asked', freezingMs, frozenMs };
	}

	/** Thaws what is frozen, and lets the guard go. */
	async [Symbol.asyncDispose](): Promise<void> {
		this.child.stdin!.end(); // OK: it is a pipe.
		if (this.#isFrozen) await this.#expect('thawed').catch(() => undefined);
	}

	async #expect<T extends GuardMessage['type']>(type: T): Promise<Extract<GuardMessage, { type: T }>> {
		for (;;) {
			const message = this.#messages.shift();
			if (message?.type === type) return message as Extract<GuardMessage, { type: T }>; // OK: it has this type.
			if (message?.type === 'error') throw EngineError.from(message.error);
			if (message !== undefined) continue;
			if (this.#ended) return this.#withoutGuard();
			await new Promise<void>(resolve => (this.#wake = resolve));
		}
	}

	/** Somebody killed the guard: what it would have done is done from here. */
	async #withoutGuard(): Promise<never> {
		const { agent: address, allowTcp = false } = this.options;
		if (this.#isFrozen) {
			this.#isFrozen = false;
			try {
				using agent = await AgentClient.open(address, { allowTcp });
				await thaw(agent);
			} catch (cause) {
				const message =
					'the guest may still be frozen, and its agent does not answer. Reset the machine, or run "fsfreeze -u" for each filesystem on its console';
				throw new EngineError('ERR_TOOL', message, { file: address }, { cause });
			}
		}
		throw new EngineError('ERR_TOOL', 'the process that freezes the guest ended', { file: this.options.helper });
	}
}
