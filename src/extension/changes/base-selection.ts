import { Emitter } from '../emitter.js';
import type { NamedState } from '../state-name.js';

const KEY = 'base';

/** The state that *Select as Base* chose. It survives a restart of the window. */
export class BaseSelection {
	readonly #changed = new Emitter<NamedState | undefined>();
	readonly onDidChange = this.#changed.event;

	constructor(
		private readonly memory: { get(key: string): unknown; update(key: string, value: unknown): PromiseLike<void> },
	) {}

	get base(): NamedState | undefined {
		return this.memory.get(KEY) as NamedState | undefined; // OK: nobody else writes this key.
	}

	select(base: NamedState | undefined): void {
		void this.memory.update(KEY, base);
		this.#changed.fire(base);
	}
}
