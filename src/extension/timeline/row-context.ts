/** A row of the Snapshot Timeline as the argument of a command of its context menu. */
import type { Services } from '../services.js';
import { stateOf, type NamedState } from '../state-name.js';
import type { TimelineRecord } from '../../shared/engine-api.js';

/** The row's id, when `argument` comes from the timeline's context menu. */
export function timelineRowOf(argument: unknown): string | undefined {
	if (typeof argument !== 'object' || argument === null || !('strataRow' in argument)) return undefined;
	return typeof argument.strataRow === 'string' ? argument.strataRow : undefined;
}

/** What a row's id stands for now; `undefined` when its machine or snapshot is gone. */
export async function stateOfRow(
	services: Services,
	row: string,
): Promise<{ timeline: TimelineRecord; state: NamedState } | undefined> {
	const slash = row.lastIndexOf('/');
	const source = row.slice(0, slash);
	await services.sources.load();
	if (!services.sources.machine(source)) return undefined;
	const timeline = await services.sources.timeline(source);
	const state = stateOf(timeline, row.slice(slash + 1));
	return state && { timeline, state };
}
