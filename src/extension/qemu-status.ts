import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { Emitter } from './emitter.js';

/**
 * Whether QEMU's program for images is there. Browsing and comparing work without it; taking, rolling back and
 * deleting need it. Looked for when a view is first seen and when the setting changes, never at activation.
 */
export class QemuStatus {
	readonly #changed = new Emitter<boolean>();
	readonly onDidChange = this.#changed.event;
	#found: boolean | undefined;

	/** @param configured the setting's value, or '' for the PATH. */
	constructor(private readonly configured: () => string) {}

	/** `undefined` until somebody looked. */
	get found(): boolean | undefined {
		return this.#found;
	}

	async check(): Promise<boolean> {
		const path = this.configured();
		const names = process.platform === 'win32' ? ['qemu-img.exe'] : ['qemu-img'];
		const folders = (process.env['PATH'] ?? '').split(delimiter).filter(folder => folder !== '');
		const candidates = path === '' ? folders.flatMap(folder => names.map(name => join(folder, name))) : [path];
		const found = (await Promise.all(candidates.map(isExecutable))).includes(true);
		if (found !== this.#found) {
			this.#found = found;
			this.#changed.fire(found);
		}
		return found;
	}
}

async function isExecutable(path: string): Promise<boolean> {
	try {
		await access(path, constants.X_OK);
		return true;
	} catch {
		return false; // OK: whatever the reason, it cannot be run.
	}
}

/** The one line that installs it. */
export function installAdvice(platform: NodeJS.Platform): string {
	switch (platform) {
		case 'darwin':
			return 'brew install qemu';
		case 'win32':
			return 'winget install SoftwareFreedomConservancy.QEMU';
		default:
			return 'sudo apt-get install qemu-utils qemu-system-common';
	}
}
