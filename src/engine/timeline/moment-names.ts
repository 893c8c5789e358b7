/** What a snapshot is called, and when it was made, as people read it. */
import type { ImageSnapshot } from '../image/image.js';
import { rawFromBytes, textFromRaw } from '../util/names.js';
import type { JournalState } from './journal.js';
import type { Moment } from './machine.js';

/** The label that a person gave, else the image's own name; as text. */
export function nameOf(moment: Moment, journal: JournalState): string {
	const label = journal.labels.get(moment.key);
	return textFromRaw(label === undefined ? moment.rawName : rawFromBytes(Buffer.from(label, 'utf8')));
}

/** ISO 8601 with nine digits, in UTC. What a hostile table says is cut to a time that exists. */
export function timeOf(snapshot: ImageSnapshot): string {
	const seconds = new Date(snapshot.dateSec * 1000).toISOString().slice(0, 19);
	return `${seconds}.${String(Math.min(snapshot.dateNsec, 999_999_999)).padStart(9, '0')}Z`;
}
