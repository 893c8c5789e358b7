/** The program that carries out one verb and outlives whoever asked for it (see timeline/run-verb.ts for what it hears and says). */
import process, { stderr, stdin, stdout } from 'node:process';
import { createInterface } from 'node:readline';
import { CANCEL_LINE, type HelperMessage, type HelperRequest } from '../timeline/run-verb.js';
import { carryOut } from '../timeline/verb-request.js';
import type { VerbWork } from '../timeline/verb-work.js';
import { EngineError } from '../util/errors.js';
import { cancelled } from '../util/work.js';

const REPORT_INTERVAL_MS = 100;

/** Reads one request from stdin, carries it out, and writes what happens to stdout. Resolves when all is written or nobody listens. */
export async function runVerbHelper(): Promise<void> {
	// Whoever asked may be gone: then nobody reads, and the work goes on.
	stdout.on('error', () => undefined);
	stderr.on('error', () => undefined);
	stdin.on('error', () => undefined);
	let isCancelled = false;
	const lines = createInterface({ input: stdin });
	const first = await new Promise<string | undefined>(resolve => {
		lines.on('line', line => {
			if (line === CANCEL_LINE) isCancelled = true;
			else resolve(line);
		});
		lines.on('close', () => resolve(undefined));
	});
	// The caller died before it had said what it wants.
	if (first === undefined) return;
	let last = 0;
	const work: VerbWork = {
		throwIfCancelled() {
			if (isCancelled) throw cancelled();
		},
		report(progress) {
			const now = Date.now();
			if (now - last < REPORT_INTERVAL_MS) return;
			last = now;
			say({ type: 'progress', progress });
		},
		committed: () => say({ type: 'committed' }),
		...(process.argv[1] === undefined ? {} : { helper: process.argv[1] }),
	};
	try {
		const { host, source, request } = JSON.parse(first) as HelperRequest; // OK: runVerb() wrote it.
		say({ type: 'result', result: await carryOut(host, source, request, work) });
	} catch (error) {
		if (EngineError.is(error)) say({ type: 'error', error: error.toJSON() });
		else {
			// A bug: the caller shows the first line, and the rest is for whoever mends it.
			stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
			process.exitCode = 1;
		}
	} finally {
		// An open stdin would keep the program alive.
		lines.close();
		stdin.destroy();
	}
}

function say(message: HelperMessage): void {
	stdout.write(`${JSON.stringify(message)}\n`);
}
