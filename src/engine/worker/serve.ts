/** Serves an engine over a message port: one call, one answer, progress in between (see shared/worker-protocol.ts). */
import type { MessagePort } from 'node:worker_threads';
import { createBirpc } from 'birpc';
import type { CallOptions, EngineApi, ProgressRecord } from '../../shared/engine-api.js';
import type { ErrorRecord } from '../../shared/records.js';
import {
	ITEMS_PER_MESSAGE,
	LISTS,
	METHODS,
	type ClientFunctions,
	type EngineMethod,
	type Reply,
	type WorkerFunctions,
} from '../../shared/worker-protocol.js';
import { EngineError } from '../util/errors.js';
import { cancelled } from '../util/work.js';

/** Ten reports a second: more than an eye can read, and cheap for the receiver. */
const REPORT_INTERVAL_MS = 100;

type Log = ClientFunctions['log'];

/**
 * Answers calls from `port` until it closes.
 *
 * Calls may overlap; a synchronous one holds up those behind it. Borrows `engine`.
 */
export function serve(engine: EngineApi, port: Pick<MessagePort, 'on' | 'postMessage'>): { readonly log: Log } {
	const running = new Map<number, AbortController>();
	const rpc = createBirpc<ClientFunctions, WorkerFunctions>(
		{
			call: (id, method, args, word) => answer(id, method, args, new Int32Array(word)),
			cancel: id => running.get(id)?.abort(cancelled()),
		},
		{
			post: (message: unknown) => port.postMessage(message, transferable(message)),
			on: listener => port.on('message', listener),
			timeout: -1,
		},
	);
	const log: Log = (level, message) => void rpc.log.asEvent(level, message);

	async function answer(id: number, method: EngineMethod, args: readonly unknown[], word: Int32Array): Promise<Reply> {
		const controller = new AbortController();
		running.set(id, controller);
		try {
			if (!Object.hasOwn(METHODS, method)) throw new EngineError('ERR_USAGE', `the engine has no method ${method}`);
			const call: CallOptions = { signal: sharedSignal(controller, word), onProgress: throttled(id) };
			if (call.signal!.aborted) throw cancelled(); // OK: set in the line above.
			// OK: METHODS says for every method how many arguments come before `call`; the types ended at the thread's edge.
			const methods = engine as unknown as Record<EngineMethod, (...args: unknown[]) => Promise<unknown>>;
			const result = await methods[method](...padded(args, METHODS[method].arity), call);
			const list = LISTS[method];
			return { ok: list === undefined ? result : await inPieces(id, result as Record<string, unknown>, list) }; // OK: answers with lists are objects.
		} catch (error) {
			return { error: recordOf(error, method) };
		} finally {
			running.delete(id);
		}
	}

	function throttled(id: number): (progress: ProgressRecord) => void {
		let last = 0;
		return progress => {
			const now = Date.now();
			if (now - last < REPORT_INTERVAL_MS) return;
			last = now;
			void rpc.progress.asEvent(id, progress);
		};
	}

	/** Sends a long list ahead, and gives the answer without it. */
	async function inPieces(id: number, result: Record<string, unknown>, field: string): Promise<unknown> {
		const items = result[field] as readonly unknown[]; // OK: LISTS names fields that hold lists.
		if (items.length <= ITEMS_PER_MESSAGE) return result;
		for (let at = 0; at < items.length; at += ITEMS_PER_MESSAGE) {
			await rpc.piece(id, items.slice(at, at + ITEMS_PER_MESSAGE));
		}
		return { ...result, [field]: [] };
	}

	/** An error as data. What is not an EngineError is a bug: it goes to the log with its stack, and out with its name. */
	function recordOf(error: unknown, method: string): ErrorRecord {
		if (EngineError.is(error)) {
			const { code, message, details } = error;
			return { code, message, details: { ...details } };
		}
		const bug = error instanceof Error ? error : new Error(String(error));
		log('error', `${method}: ${bug.stack ?? bug.message}`);
		return {
			code: 'ERR_INTERNAL',
			message: `an error in Strata itself (${bug.message}); the log has more`,
			details: {},
		};
	}

	return { log };
}

/**
 * A signal that synchronous code can ask: `aborted` reads the word that the caller shares, so it turns true while the
 * engine computes; the event comes later, when the thread is free to hear it.
 */
function sharedSignal(controller: AbortController, word: Int32Array): AbortSignal {
	const { signal } = controller;
	Object.defineProperty(signal, 'aborted', { get: () => Atomics.load(word, 0) !== 0 });
	return signal;
}

function padded(args: readonly unknown[], length: number): unknown[] {
	return Array.from({ length }, (_, index) => args[index]);
}

/** The memory of a file's bytes, which moves to the other thread instead of being copied. */
function transferable(message: unknown): ArrayBuffer[] {
	const bytes = (message as { r?: { ok?: { bytes?: unknown } } }).r?.ok?.bytes;
	if (!(bytes instanceof Uint8Array) || !(bytes.buffer instanceof ArrayBuffer)) return [];
	// A window on a larger buffer is copied: the rest may be a cache's, or Node's pool, which must not be moved.
	return bytes.byteLength === bytes.buffer.byteLength && 4096 < bytes.byteLength ? [bytes.buffer] : [];
}
