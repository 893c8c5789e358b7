/** One run of the command line: arguments in, text or JSON out, an exit code. */
import { cwd } from 'node:process';
import { EngineError } from '../engine/util/errors.js';
import type { EngineHost, StrataEngine } from '../engine/timeline/engine.js';
import type { Context, Streams } from './context.js';
import { buildProgram, isHelp, usageError } from './program.js';
import { ProgressLine } from './progress.js';
import { safe, safeJson, styleFor } from './style.js';

export const EXIT = { done: 0, differences: 1, usage: 2, failed: 3, partial: 4, cancelled: 130 } as const;

export interface RunOptions {
	readonly streams: Streams;
	readonly environment: NodeJS.ProcessEnv;
	readonly version: string;
	readonly host: EngineHost;
	/**
	 * Turns an interrupt into an abort until it is disposed. Only for work that another process does: while this process
	 * reads, it hears no events, and the interrupt must simply end it.
	 */
	readonly interruptible: () => { readonly signal: AbortSignal } & Disposable;
}

/** @returns the exit code. Throws only what is a bug. */
export async function run(args: readonly string[], options: RunOptions): Promise<number> {
	const { streams, environment } = options;
	const json = args.includes('--json');
	let exit: number = EXIT.done;
	let engine: StrataEngine | undefined;
	const program = buildProgram(
		options.version,
		async work => {
			engine = (await import('../engine/timeline/engine.js')).createEngine(options.host);
			await work(contextFor(engine));
		},
		text => streams.stdout.write(text),
	);
	for (const command of [program, ...program.commands]) {
		command.configureOutput({ writeOut: text => streams.stdout.write(text), writeErr: () => undefined });
	}
	try {
		await program.parseAsync(args, { from: 'user' });
	} catch (error) {
		if (isHelp(error)) return EXIT.done;
		const failure = usageError(error) ?? error;
		if (!EngineError.is(failure)) throw failure;
		report(failure);
		exit = failure.code === 'ERR_USAGE' ? EXIT.usage : failure.code === 'ERR_CANCELLED' ? EXIT.cancelled : EXIT.failed;
	} finally {
		engine?.[Symbol.dispose]();
	}
	return exit;

	function report(error: EngineError): void {
		streams.stderr.write(
			json ? `${safeJson({ error: error.toJSON() })}\n` : `strata: ${error.code}: ${safe(error.message)}\n`,
		);
	}

	function contextFor(engine: StrataEngine): Context {
		return {
			engine,
			streams,
			json,
			style: styleFor(streams.stdout, environment),
			call(step) {
				const line = new ProgressLine(streams.stderr, step);
				return { onProgress: progress => line.update(progress), done: () => line.done() };
			},
			interruptible: options.interruptible,
			state: address => engine.resolve(address, cwd()),
			async source(address) {
				const state = await engine.resolve(address, cwd());
				if (state.state !== 'current')
					throw new EngineError('ERR_USAGE', `"${address}" names a snapshot where a source is wanted`);
				return state.source;
			},
			line: text => void streams.stdout.write(`${text}\n`),
			record: value => void streams.stdout.write(`${safeJson(value)}\n`),
			remark: text => void (json || streams.stderr.write(`${text}\n`)),
			partial: () => void (exit = EXIT.partial),
			exitWith: code => void (exit = exit === EXIT.partial ? exit : code),
		};
	}
}
