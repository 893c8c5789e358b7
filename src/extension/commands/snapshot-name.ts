/** Names of new snapshots. Knows no VS Code but its words. */
import { l10n } from 'vscode';
import type { TimelineRecord } from '../../shared/engine-api.js';

const MAX_NAME_BYTES = 200;

/** "after apt install nginx" when that was just done, else "2026-11-27 17:52"; a number behind it when it is taken. */
export function proposedLabel(timeline: TimelineRecord, now: Date, install?: string): string {
	const two = (value: number) => String(value).padStart(2, '0');
	const day = `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}`;
	const moment = `${day} ${two(now.getHours())}:${two(now.getMinutes())}`;
	const label = install === undefined ? moment : l10n.t('after {0}', install);
	for (let i = 2; ; i++) {
		const candidate = i === 2 ? label : `${label} (${i - 1})`;
		if (!isTaken(timeline, candidate)) return candidate;
	}
}

export function nameProblem(timeline: TimelineRecord, text: string): string | undefined {
	if (text.trim() === '') return l10n.t('A snapshot needs a name.');
	if (MAX_NAME_BYTES < Buffer.byteLength(text)) return l10n.t('A name has at most {0} bytes.', MAX_NAME_BYTES);
	if (/^\d+$/.test(text)) return l10n.t('A name of digits alone would be taken for a number of the image.');
	if (['current', 'base'].includes(text)) return l10n.t('This word is reserved.');
	if (isTaken(timeline, text)) return l10n.t('There is already a snapshot with this name.');
	return undefined;
}

function isTaken(timeline: TimelineRecord, name: string): boolean {
	return timeline.snapshots.some(snapshot => snapshot.name === name || snapshot.tag === name);
}
