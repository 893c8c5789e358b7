/** Strata's own folder: the list of sources, and the journals of images whose folder cannot be written. */
import { mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { env, platform } from 'node:process';
import type { LibvirtFolders } from '../machine/managed-save.js';
import type { ToolPaths } from '../machine/tools.js';

/** What the timeline needs from whoever runs it. Plain data: it travels to the helper process as JSON. */
export interface Host {
	/** Absolute path of Strata's home. */
	readonly home: string;
	/** Where QEMU's programs are, when the person set it. */
	readonly tools: ToolPaths;
	/** Safety snapshots that are kept in one source; older ones are deleted after a rollback. */
	readonly keepSafetySnapshots: number;
	/** Where libvirt keeps its machines; without it, the known places. */
	readonly libvirtFolders?: readonly LibvirtFolders[];
}

export const DEFAULT_KEEP_SAFETY_SNAPSHOTS = 10;

/** `home` is the setting `strata.home`; the variable STRATA_HOME goes before it. */
export function hostFrom(
	options: { readonly home?: string; readonly tools?: ToolPaths; readonly keepSafetySnapshots?: number } = {},
): Host {
	return {
		home: homeFolder(options.home),
		tools: options.tools ?? {},
		keepSafetySnapshots: Math.max(1, options.keepSafetySnapshots ?? DEFAULT_KEEP_SAFETY_SNAPSHOTS),
	};
}

/** An absolute path. Nothing is created. */
export function homeFolder(setting?: string): string {
	const wanted = [env['STRATA_HOME'], setting].find(path => path !== undefined && path !== '');
	if (wanted !== undefined) return resolve(wanted);
	if (platform === 'win32') return join(env['LOCALAPPDATA'] ?? join(homedir(), 'AppData', 'Local'), 'Strata');
	if (platform === 'darwin') return join(homedir(), 'Library', 'Application Support', 'Strata');
	const data = env['XDG_DATA_HOME'];
	// The XDG base directory specification: a relative path is to be ignored.
	return join(data !== undefined && isAbsolute(data) ? data : join(homedir(), '.local', 'share'), 'strata');
}

/** Private to the user: labels and notes are theirs. */
export function makeHome(home: string): void {
	mkdirSync(home, { recursive: true, mode: 0o700 });
}
