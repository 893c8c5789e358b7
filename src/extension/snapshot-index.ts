/** Finds a timeline's snapshots by key: a search through ten thousand for each of ten thousand rows would take minutes. */
import type { TimelineRecord } from '../shared/engine-api.js';
import type { SnapshotRecord } from '../shared/records.js';

/** Timelines are never changed, so an index holds for as long as its timeline lives. */
const indexes = new WeakMap<TimelineRecord, ReadonlyMap<string, number>>();

/** The snapshot with that key; `undefined` when there is none (any more), or no key. */
export function snapshotOf(timeline: TimelineRecord, key: string | null): SnapshotRecord | undefined {
	const place = key === null ? undefined : indexOf(timeline).get(key);
	return place === undefined ? undefined : timeline.snapshots[place];
}

/** The snapshot below it in the list: the one that was taken before it. */
export function snapshotBefore(timeline: TimelineRecord, key: string): SnapshotRecord | undefined {
	const place = indexOf(timeline).get(key);
	return place === undefined ? undefined : timeline.snapshots[place + 1];
}

function indexOf(timeline: TimelineRecord): ReadonlyMap<string, number> {
	let index = indexes.get(timeline);
	if (!index) {
		index = new Map(timeline.snapshots.map(({ key }, place) => [key, place]));
		indexes.set(timeline, index);
	}
	return index;
}
