/** Which safety snapshots are beyond those that are kept. */
import type { Context } from './action.js';
import { readJournal } from './journal.js';
import { Machine } from './machine.js';
import { isSafety, lastRollback } from './snapshots.js';

/** Keys, oldest first. */
export function surplusSafetySnapshots(context: Context): string[] {
	const journal = readJournal(context.lock.journal);
	using machine = Machine.open(context.source);
	const safety = machine.moments.filter(moment => isSafety(moment, journal)).map(({ key }) => key);
	// The newest ones stay; and, however old, the one that undo needs and the one that the current state grew from.
	const needed = new Set([lastRollback(machine, journal)?.safety, journal.position?.key]);
	return safety.slice(0, Math.max(0, safety.length - context.host.keepSafetySnapshots)).filter(key => !needed.has(key));
}
