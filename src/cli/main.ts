/** `strata`: the engine on the command line. */
import process from 'node:process';
import { join } from 'node:path';
import { run } from './run.js';

// `strata ls | head` ends when head does.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
	if (error.code === 'EPIPE') process.exit(0);
	throw error;
});

void main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<void> {
	process.exitCode = await run(args, {
		streams: process,
		environment: process.env,
		version: args.includes('-V') || args.includes('--version') ? await version() : '',
		host: { helper: join(__dirname, 'engine.cjs') },
		interruptible,
	});
}

/** From the package's own description, which is large and otherwise never needed. */
async function version(): Promise<string> {
	return (await import('../../package.json', { with: { type: 'json' } })).default.version;
}

/** The first interrupt asks the work to end; it may be past the point where it can. The second ends the waiting, not the work. */
function interruptible(): { signal: AbortSignal } & Disposable {
	const controller = new AbortController();
	const onInterrupt = () => (controller.signal.aborted ? process.exit(130) : controller.abort());
	process.on('SIGINT', onInterrupt);
	return { signal: controller.signal, [Symbol.dispose]: () => void process.off('SIGINT', onInterrupt) };
}
