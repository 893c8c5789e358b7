/** An event with listeners: as VS Code's, for what knows no VS Code. */
export class Emitter<T> {
	readonly #listeners = new Set<(value: T) => void>();

	readonly event = (listener: (value: T) => void): { dispose(): void } => {
		this.#listeners.add(listener);
		return { dispose: () => void this.#listeners.delete(listener) };
	};

	fire(value: T): void {
		for (const listener of [...this.#listeners]) listener(value);
	}

	dispose(): void {
		this.#listeners.clear();
	}
}
