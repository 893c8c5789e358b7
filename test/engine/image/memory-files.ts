import type { HostFile, HostFiles } from '../../../src/engine/io/host-files.js';
import { MemorySource } from '../../../src/engine/io/memory.js';
import { EngineError } from '../../../src/engine/util/errors.js';

/** Files in memory, by absolute path. Counts how many are open. */
export class MemoryFiles implements HostFiles {
	opened = 0;

	constructor(readonly files: Record<string, Uint8Array>) {}

	open(path: string): HostFile {
		this.realPath(path);
		this.opened++;
		return new MemoryFile(path, this);
	}

	realPath(path: string): string {
		if (!Object.hasOwn(this.files, path)) throw new EngineError('ERR_NOT_FOUND', `no file ${path}`, { file: path });
		return path;
	}
}

class MemoryFile extends MemorySource implements HostFile {
	readonly #stamps = new Map<Uint8Array, number>();
	#isOpen = true;

	constructor(
		readonly path: string,
		private readonly owner: MemoryFiles,
	) {
		super(owner.files[path]!);
	}

	/** Another array is another file; bytes written into the same array are not seen, as within one tick of a clock. */
	stamp(): string {
		const bytes = this.owner.files[this.path];
		if (!bytes) return 'gone';
		if (!this.#stamps.has(bytes)) this.#stamps.set(bytes, this.#stamps.size);
		return String(this.#stamps.get(bytes));
	}

	override [Symbol.dispose](): void {
		if (this.#isOpen) this.owner.opened--;
		this.#isOpen = false;
	}
}
