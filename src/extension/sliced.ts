/** Long computations of the extension host in small pieces, so that nothing else in it has to wait. */

/** Well below the 20 ms that a person could notice as a stall of every extension. */
const SLICE_MS = 8;

/** Runs `steps` to its end, and lets others run whenever a slice of time is used up. Yield often. */
export async function inSlices<T>(steps: Generator<undefined, T>): Promise<T> {
	for (;;) {
		const until = performance.now() + SLICE_MS;
		do {
			const step = steps.next();
			if (step.done) return step.value;
		} while (performance.now() < until);
		await new Promise(resolve => setImmediate(resolve));
	}
}

/** The same without a pause. */
export function atOnce<T>(steps: Generator<undefined, T>): T {
	for (;;) {
		const step = steps.next();
		if (step.done) return step.value;
	}
}
