/** The calls of the guest agent that Strata makes, and what their answers mean. Source: QEMU docs/interop/qemu-ga-ref. */
import { setTimeout as sleep } from 'node:timers/promises';
import { EngineError } from '../../util/errors.js';
import type { AgentClient } from './agent.js';

/** The agent refuses much larger pieces, and larger ones than this are not faster. */
const CHUNK = 1024 * 1024;
const FIRST_POLL_MS = 10;
const LONGEST_POLL_MS = 200;
/** The agent keeps so much of each output, and drops the rest without a word. */
const AGENT_OUTPUT_LIMIT = 16 * 1024 * 1024;

export interface GuestExecResult {
	/** -1 when a signal ended the program. */
	readonly exitCode: number;
	readonly stdout: Buffer;
	readonly stderr: Buffer;
	/** Some of the output is missing. */
	readonly truncated: boolean;
}

/**
 * Freeze all filesystems of the guest: what was written is on the disk, and writers wait.
 *
 * @returns how many were frozen.
 */
export async function freeze(agent: AgentClient, timeoutMs: number): Promise<number> {
	return Number(await agent.execute('guest-fsfreeze-freeze', undefined, { timeoutMs }));
}

/** @returns how many were thawed; 0 when none was frozen. */
export async function thaw(agent: AgentClient, timeoutMs?: number): Promise<number> {
	return Number(await agent.execute('guest-fsfreeze-thaw', undefined, timeoutMs === undefined ? {} : { timeoutMs }));
}

export async function isFrozen(agent: AgentClient): Promise<boolean> {
	return (await agent.execute('guest-fsfreeze-status')) === 'frozen';
}

/** Set the guest's clock. @throws EngineError `ERR_TOOL`, also when the guest has no hwclock. */
export async function setGuestTime(agent: AgentClient, timeMs: number): Promise<void> {
	// Nanoseconds, above what JSON's numbers hold exactly; what is lost is far below a microsecond.
	await agent.execute('guest-set-time', { time: Math.trunc(timeMs) * 1_000_000 });
}

/** Milliseconds since 1970, by the guest's clock. */
export async function guestTime(agent: AgentClient): Promise<number> {
	return Number(await agent.execute('guest-get-time')) / 1_000_000;
}

/**
 * Run a program in the guest and wait for its end. When the time runs out the program goes on: the agent cannot end it.
 *
 * @throws EngineError `ERR_TOOL` when it cannot be started, or does not end in time.
 */
export async function execInGuest(
	agent: AgentClient,
	command: readonly [string, ...string[]],
	options: { readonly timeoutMs?: number; readonly input?: Uint8Array; readonly env?: readonly string[] } = {},
): Promise<GuestExecResult> {
	const [path, ...arg] = command;
	const started = (await agent.execute('guest-exec', {
		path,
		arg,
		'capture-output': true,
		...(options.env === undefined ? {} : { env: options.env }),
		...(options.input === undefined ? {} : { 'input-data': Buffer.from(options.input).toString('base64') }),
	})) as { pid?: unknown };
	const end = Date.now() + (options.timeoutMs ?? Infinity);
	for (let pause = FIRST_POLL_MS; ; pause = Math.min(pause * 1.5, LONGEST_POLL_MS)) {
		await sleep(pause);
		const status = (await agent.execute('guest-exec-status', { pid: started.pid })) as Record<string, unknown>;
		if (status['exited'] === true) return resultOf(status);
		if (end < Date.now()) {
			throw new EngineError('ERR_TOOL', `${path} in the guest did not end within ${options.timeoutMs! / 1000} seconds`); // OK: else the end is never.
		}
	}
}

/** A file of the guest. @throws EngineError `ERR_TOOL`; `ERR_LIMIT` above `maximum` bytes. */
export async function readGuestFile(agent: AgentClient, path: string, maximum: number): Promise<Buffer> {
	const handle = await agent.execute('guest-file-open', { path, mode: 'r' });
	try {
		const chunks: Buffer[] = [];
		let size = 0;
		for (;;) {
			const part = (await agent.execute('guest-file-read', { handle, count: CHUNK })) as Record<string, unknown>;
			const bytes = decoded(part['buf-b64']);
			size += bytes.byteLength;
			if (maximum < size)
				throw new EngineError('ERR_LIMIT', `${path} in the guest has more than ${maximum} bytes`, { path });
			chunks.push(bytes);
			if (part['eof'] === true || bytes.byteLength === 0) return Buffer.concat(chunks);
		}
	} finally {
		await agent.execute('guest-file-close', { handle });
	}
}

/** Write a file of the guest, in place of what it held. @throws EngineError `ERR_TOOL`. */
export async function writeGuestFile(agent: AgentClient, path: string, bytes: Uint8Array): Promise<void> {
	const handle = await agent.execute('guest-file-open', { path, mode: 'w' });
	try {
		for (let done = 0; done < bytes.byteLength;) {
			const piece = Buffer.from(bytes.subarray(done, done + CHUNK)).toString('base64');
			const { count } = (await agent.execute('guest-file-write', { handle, 'buf-b64': piece })) as { count?: unknown };
			if (typeof count !== 'number' || count <= 0)
				throw new EngineError('ERR_TOOL', `${path} in the guest took no more bytes`);
			done += count;
		}
		await agent.execute('guest-file-flush', { handle });
	} finally {
		await agent.execute('guest-file-close', { handle });
	}
}

function resultOf(status: Record<string, unknown>): GuestExecResult {
	const [stdout, stderr] = [decoded(status['out-data']), decoded(status['err-data'])];
	return {
		exitCode: typeof status['exitcode'] === 'number' ? status['exitcode'] : -1,
		stdout,
		stderr,
		truncated:
			status['out-truncated'] === true ||
			status['err-truncated'] === true ||
			[stdout, stderr].some(output => AGENT_OUTPUT_LIMIT <= output.byteLength),
	};
}

function decoded(base64: unknown): Buffer {
	return Buffer.from(typeof base64 === 'string' ? base64 : '', 'base64');
}
