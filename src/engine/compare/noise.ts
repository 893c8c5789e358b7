/** Noise rules: patterns for paths that change all the time and mean nothing (logs, caches). Off unless asked for. */
import ignore from 'ignore';
import { EngineError } from '../util/errors.js';

/**
 * What a sensible rule set hides. Offered, never applied unasked: a log can be exactly what someone is looking for.
 * Patterns are .gitignore's, against the path inside the volume.
 */
export const DEFAULT_NOISE: readonly string[] = [
	'/var/log/',
	'/var/cache/',
	'/var/tmp/',
	'/tmp/',
	'/run/',
	'/var/lib/apt/lists/',
	'/var/lib/systemd/random-seed',
	'/var/lib/systemd/timers/',
	'/var/lib/logrotate/',
	'/root/.bash_history',
	'/home/*/.bash_history',
	'/home/*/.cache/',
	'/root/.cache/',
	'/etc/ld.so.cache',
	'__pycache__/',
	'/swapfile',
	'/lost+found/',
];

/**
 * A test for paths. The first component of a path (the volume, `p1`; `disk2/p1` with several disks) is left out before
 * the patterns are tried.
 *
 * @param volumes text paths of the volumes, `/p1`.
 * @throws EngineError `ERR_USAGE` when a pattern cannot be understood.
 */
export function noiseFilter(patterns: readonly string[], volumes: readonly string[]): (path: string) => boolean {
	if (patterns.length === 0) return () => false;
	const rules = ignore({ ignorecase: false, allowRelativePaths: true });
	for (const pattern of patterns) {
		try {
			rules.add(pattern);
		} catch (cause) {
			throw new EngineError('ERR_USAGE', `noise rule "${pattern}" is no pattern`, {}, { cause });
		}
	}
	// Longest first, so that "/disk1/p10" is not taken for "/disk1/p1".
	const tops = [...volumes].sort((a, b) => b.length - a.length);
	return path => {
		const top = tops.find(volume => path === volume || path.startsWith(`${volume}/`));
		const inside = path.slice((top ?? '').length + 1);
		return inside !== '' && rules.ignores(inside);
	};
}
