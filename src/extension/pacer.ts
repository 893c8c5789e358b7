/** For rows that VS Code asks for by the thousand, all at once. */

/** Half of a frame: whoever waits for the extension host does not notice. */
const SLICE_MS = 8;

/** Does small pieces of work at once, as long as they fit into a slice of time; the rest after others had their turn. */
export class Pacer {
	/** When the slice began that goes on; `undefined` between two turns of the event loop. */
	#began: number | undefined;
	#nextTurn: Promise<void> = Promise.resolve();

	/** In the order of the calls. What `work` throws is thrown, or rejects. */
	make<T>(work: () => T): T | Promise<T> {
		const now = performance.now();
		if (this.#began === undefined) {
			this.#began = now;
			this.#nextTurn = new Promise(resolve =>
				setImmediate(() => {
					this.#began = undefined;
					resolve();
				}),
			);
		}
		if (now - this.#began < SLICE_MS) return work();
		return this.#nextTurn.then(() => this.make(work));
	}
}
