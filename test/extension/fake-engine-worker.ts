/** A worker thread with a small engine, to test what carries the engine. Bundled by the test. */
import { parentPort } from 'node:worker_threads';
import { serve } from '../../src/engine/worker/serve.js';
import { EngineError } from '../../src/engine/util/errors.js';
import { cancelled } from '../../src/engine/util/work.js';
import { change, comparison, engineWith, source } from './fake-engine.js';

const engine = engineWith({
	listSources: () => Promise.resolve([source()]),
	// Computes without ever yielding, as the real engine does: only the shared word can end it.
	discover: (_options, call) => {
		for (let i = 0; ; i++) {
			call?.onProgress?.({ step: 'Looking', done: i, unit: 'files' });
			if (call?.signal?.aborted) return Promise.reject(cancelled());
		}
	},
	read: (_state, path) => Promise.resolve({ bytes: new Uint8Array(100_000).fill(path.length), size: 100_000 }),
	info: () =>
		Promise.reject(
			new EngineError('ERR_CORRUPT', 'qcow2: l1_size is 7', { format: 'qcow2', field: 'l1_size', offset: 36 }),
		),
	stat: () => {
		throw new TypeError('a bug');
	},
	generation: () => process.exit(3),
	compare: () => Promise.resolve(comparison(Array.from({ length: 2500 }, (_, i) => change(`/p1/${i}`)))),
	// Waits for something that is not a loop: the event must reach it.
	settle: (_source, call) =>
		new Promise((_, reject) => call!.signal!.addEventListener('abort', () => reject(cancelled()))),
});

serve(engine, parentPort!);
