/**
 * `dist/engine.cjs`: the engine as a worker thread of the extension host. Run as a program (`node engine.cjs verb`) it
 * is the helper that carries out one verb and outlives whoever asked for it; with `freeze-guard`, the one that thaws a guest.
 */
import { argv, exit, stderr } from 'node:process';
import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import type { WorkerSetup } from '../../shared/worker-protocol.js';
import { GUARD_ARGUMENT, runFreezeGuard } from '../machine/running/freeze-guard.js';
import { createEngine } from '../timeline/engine.js';
import { serve } from './serve.js';
import { runVerbHelper } from './verb-helper.js';

if (!isMainThread && parentPort) {
	const setup = workerData as WorkerSetup; // OK: engine-client.ts, the only one that starts this thread, gives it.
	const engine = createEngine({
		...(setup.home === undefined ? {} : { home: setup.home }),
		...(setup.qemuImg === undefined ? {} : { tools: { qemuImg: setup.qemuImg } }),
		keepSafetySnapshots: setup.keepSafetySnapshots,
		trusted: setup.trusted,
		helper: __filename,
	});
	serve(engine, parentPort);
} else if (argv[2] === 'verb') {
	void runVerbHelper();
} else if (argv[2] === GUARD_ARGUMENT) {
	void runFreezeGuard();
} else {
	stderr.write('strata: this program is started by Strata itself; run `strata`\n');
	exit(2);
}
