/**
 * Starts a verb in a helper process that outlives whoever asked: an editor that is closed, or a terminal that is gone, does not cut
 * off a rollback.
 *
 * The helper is this engine's own bundle, run as a program with the argument `verb`. One line of JSON goes in (`HelperRequest`);
 * lines of JSON come out (`HelperMessage`). A line `cancel` may follow; it counts until the helper says `committed`.
 */
import { spawn } from 'node:child_process';
import { env, execPath } from 'node:process';
import { createInterface } from 'node:readline';
import type { CallOptions, ProgressRecord } from '../../shared/engine-api.js';
import { firstLine } from '../machine/tools.js';
import { EngineError, type ErrorRecord } from '../util/errors.js';
import { cancelled } from '../util/work.js';
import type { Host } from './home.js';
import type { Source } from './source.js';
import type { VerbRequest, VerbResult } from './verb-request.js';

export interface HelperRequest {
	readonly host: Host;
	readonly source: Source;
	readonly request: VerbRequest;
}

export type HelperMessage =
	| { readonly type: 'progress'; readonly progress: ProgressRecord }
	/** Nothing can be cancelled any more. */
	| { readonly type: 'committed' }
	| { readonly type: 'result'; readonly result: VerbResult }
	| { readonly type: 'error'; readonly error: ErrorRecord };

export const CANCEL_LINE = 'cancel';
export const HELPER_ARGUMENT = 'verb';

export interface RunVerbOptions extends CallOptions {
	/** The engine's bundle: `dist/engine.cjs`. */
	readonly helper: string;
}

/** Enough to name the trouble of a helper that could not even start. */
const MAX_STDERR = 64 * 1024;

/**
 * Carry out a verb, and wait for it.
 *
 * @throws EngineError what the verb throws; `ERR_CANCELLED` when `signal` aborts before the point of no return;
 * `ERR_TOOL` when the helper dies, and then the machine is settled by the next verb.
 */
export async function runVerb(
	host: Host,
	source: Source,
	request: VerbRequest,
	options: RunVerbOptions,
): Promise<VerbResult> {
	if (options.signal?.aborted) throw cancelled();
	const child = spawn(execPath, [options.helper, HELPER_ARGUMENT], {
		// A session of its own: what ends the terminal or the editor does not end it.
		detached: true,
		stdio: ['pipe', 'pipe', 'pipe'],
		// Inside VS Code the program is Electron, which becomes Node by this.
		env: { ...env, ELECTRON_RUN_AS_NODE: '1' },
		windowsHide: true,
	});
	let stderr = '';
	child.stderr.on('data', (chunk: Buffer) => (stderr = (stderr + chunk.toString('utf8')).slice(-MAX_STDERR)));
	// A helper that is gone cannot be written to; how it ended says why.
	child.stdin.on('error', () => undefined);
	const cancel = () => void child.stdin.write(`${CANCEL_LINE}\n`);
	options.signal?.addEventListener('abort', cancel);
	const ended = new Promise<string>(resolve => {
		child.on('error', error => resolve(error.message));
		child.on('close', (code, signal) => resolve(firstLine(stderr) || `it ended with ${signal ?? `code ${code}`}`));
	});
	try {
		child.stdin.write(`${JSON.stringify({ host, source, request } satisfies HelperRequest)}\n`);
		for await (const line of createInterface({ input: child.stdout })) {
			const message = JSON.parse(line) as HelperMessage; // OK: our own program wrote it.
			if (message.type === 'progress') options.onProgress?.(message.progress);
			else if (message.type === 'result') return message.result;
			else if (message.type === 'error') throw EngineError.from(message.error);
		}
	} finally {
		options.signal?.removeEventListener('abort', cancel);
		child.stdin.end();
	}
	throw new EngineError(
		'ERR_TOOL',
		`the helper that changes snapshots failed: ${await ended}. Whatever it had begun is finished or taken back by the next action, or by settling`,
	);
}
