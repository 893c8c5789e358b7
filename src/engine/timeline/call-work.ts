/** From what a caller of `EngineApi` gives (a signal, a listener) to what the engine asks: `Work`. */
import type { CallOptions } from '../../shared/engine-api.js';
import { cancelled, type Work } from '../util/work.js';

/** At most ten reports a second reach the caller; the first and what comes after a pause always do. */
const REPORT_INTERVAL_MS = 100;

/** `signal.aborted` is read, not listened to: synchronous work hears no events, but a signal may be backed by shared memory. */
export function workFor(call: CallOptions | undefined): Work {
	let last = 0;
	return {
		throwIfCancelled() {
			if (call?.signal?.aborted) throw cancelled();
		},
		report(progress) {
			if (!call?.onProgress) return;
			const now = Date.now();
			if (now - last < REPORT_INTERVAL_MS) return;
			last = now;
			call.onProgress(progress);
		},
	};
}
