/** `strata`: the engine on the command line. */
import process from 'node:process';
import { join } from 'node:path';
import packageJson from '../../package.json' with { type: 'json' };
import { run } from './run.js';

// `strata ls | head` ends when head does.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
	if (error.code === 'EPIPE') process.exit(0);
	throw error;
});

void run(process.argv.slice(2), {
	streams: process,
	environment: process.env,
	version: packageJson.version,
	host: { helper: join(__dirname, 'engine.cjs') },
	interruptible,
}).then(code => {
	process.exitCode = code;
});

/** The first interrupt asks the work to end; it may be past the point where it can. The second ends the waiting, not the work. */
function interruptible(): { signal: AbortSignal } & Disposable {
	const controller = new AbortController();
	const onInterrupt = () => (controller.signal.aborted ? process.exit(130) : controller.abort());
	process.on('SIGINT', onInterrupt);
	return { signal: controller.signal, [Symbol.dispose]: () => void process.off('SIGINT', onInterrupt) };
}
