/** Times, sizes and counts in words: short for a row, whole for a tooltip and a screen reader. */
import { l10n } from 'vscode';
import type { ComparisonRecord } from '../shared/engine-api.js';
import type { ChangeRecord, FileKind, SnapshotRecord } from '../shared/records.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** "4 min", "3 h", "2 days": as short as a row wants it. */
export function shortAge(iso: string, now = Date.now()): string {
	const age = Math.max(0, now - Date.parse(iso));
	if (Number.isNaN(age)) return l10n.t('time unknown');
	if (age < MINUTE) return l10n.t('now');
	if (age < HOUR) return l10n.t('{0} min', Math.floor(age / MINUTE));
	if (age < DAY) return l10n.t('{0} h', Math.floor(age / HOUR));
	const days = Math.floor(age / DAY);
	if (days === 1) return l10n.t('1 day');
	if (days < 60) return l10n.t('{0} days', days);
	// From here on it is two years, whatever the leap years are.
	return days < 731 ? l10n.t('{0} months', Math.floor(days / 30.4)) : l10n.t('{0} years', Math.floor(days / 365.25));
}

let relativeTime: Intl.RelativeTimeFormat | undefined;
let exactFormat: Intl.DateTimeFormat | undefined;

/** "4 minutes ago": for a sentence. */
export function longAge(iso: string, now = Date.now()): string {
	const age = Math.max(0, now - Date.parse(iso));
	if (Number.isNaN(age)) return l10n.t('at an unknown time');
	if (age < MINUTE) return l10n.t('just now');
	// Made once, and not before it is needed: a formatter costs more than a thousand of its texts.
	const format = (relativeTime ??= new Intl.RelativeTimeFormat(undefined, { numeric: 'always' }));
	if (age < HOUR) return format.format(-Math.floor(age / MINUTE), 'minute');
	if (age < DAY) return format.format(-Math.floor(age / HOUR), 'hour');
	const days = Math.floor(age / DAY);
	if (days < 60) return format.format(-days, 'day');
	return days < 731
		? format.format(-Math.floor(days / 30.4), 'month')
		: format.format(-Math.floor(days / 365.25), 'year');
}

/** The moment itself, in the reader's own zone. */
export function exactTime(iso: string): string {
	const time = new Date(iso);
	if (Number.isNaN(time.getTime())) return iso;
	exactFormat ??= new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
	return exactFormat.format(time);
}

/** "17:52". */
export function clock(time: Date): string {
	return time.toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit', hour12: false });
}

/** Binary units with one decimal: "9.8 GB", "12 MB", "310 B". */
export function sizeText(bytes: number): string {
	const units = ['B', 'KB', 'MB', 'GB', 'TB', 'PB'];
	let value = bytes;
	let unit = 0;
	// 1023.95 would be rounded to 1024.0.
	while (1023.95 <= value && unit < units.length - 1) {
		value /= 1024;
		unit++;
	}
	const number = unit === 0 ? String(value) : value.toFixed(1).replace(/\.0$/, '');
	return `${number} ${units[unit]!}`; // OK: the loop stops at the last unit.
}

export function plural(count: number, one: string, many: string): string {
	return count === 1 ? one : many;
}

export function filesText(count: number): string {
	return plural(count, l10n.t('1 file'), l10n.t('{0} files', count.toLocaleString()));
}

/** "+214 ~37 −5", without the parts that are zero. */
export function countsText(counts: ComparisonRecord['counts']): string {
	const changed = counts.M + counts.T + counts.R + counts.m;
	const parts = [
		counts.A > 0 ? `+${counts.A}` : '',
		changed > 0 ? `~${changed}` : '',
		counts.D > 0 ? `−${counts.D}` : '',
		counts.E > 0 ? l10n.t('{0} unreadable', counts.E) : '',
	].filter(part => part !== '');
	return parts.length > 0 ? parts.join(' ') : l10n.t('no changes');
}

/** The same for a screen reader. */
export function countsSpoken(counts: ComparisonRecord['counts']): string {
	const changed = counts.M + counts.T + counts.R + counts.m;
	return l10n.t('{0} added, {1} changed, {2} removed', counts.A, changed, counts.D);
}

/** Name of a change, as a person says it. */
export function statusWord(status: ChangeRecord['status']): string {
	switch (status) {
		case 'A':
			return l10n.t('added');
		case 'D':
			return l10n.t('deleted');
		case 'M':
			return l10n.t('modified');
		case 'T':
			return l10n.t('type changed');
		case 'R':
			return l10n.t('moved');
		case 'm':
			return l10n.t('metadata changed');
		case 'E':
			return l10n.t('unreadable');
	}
}

/** What differs beside the content: "mode 644 → 600", "owner", "from /p1/old". */
export function changeFacts(change: ChangeRecord): string {
	const facts: string[] = [];
	if (change.status === 'R' && change.from !== undefined) facts.push(l10n.t('from {0}', change.from));
	if (change.status === 'E') facts.push(change.error?.message ?? l10n.t('cannot be read'));
	const [before, after] = change.type;
	if (change.status === 'T' && before && after) facts.push(`${kindWord(before)} → ${kindWord(after)}`);
	for (const field of change.fields) {
		if (field === 'mode' && change.mode?.[0] && change.mode[1]) {
			facts.push(l10n.t('mode {0} → {1}', shortMode(change.mode[0]), shortMode(change.mode[1])));
		} else if (field === 'mode') facts.push(l10n.t('mode'));
		else if (field === 'owner') facts.push(l10n.t('owner'));
		else if (field === 'xattr') facts.push(l10n.t('attributes'));
		else if (field === 'links') facts.push(l10n.t('hard links'));
		else if (field === 'target') facts.push(l10n.t('link target'));
		else if (field === 'device') facts.push(l10n.t('device number'));
		else if (field === 'mtime' && change.status === 'm' && change.fields.length === 1) facts.push(l10n.t('time'));
	}
	return facts.join(' · ');
}

export function kindWord(kind: FileKind): string {
	switch (kind) {
		case 'file':
			return l10n.t('file');
		case 'directory':
			return l10n.t('folder');
		case 'symlink':
			return l10n.t('symbolic link');
		case 'fifo':
			return l10n.t('pipe');
		case 'socket':
			return l10n.t('socket');
		case 'chardev':
			return l10n.t('character device');
		case 'blockdev':
			return l10n.t('block device');
	}
}

export function consistencyWord(snapshot: Pick<SnapshotRecord, 'consistency'>): string {
	switch (snapshot.consistency) {
		case 'offline':
			return l10n.t('taken while the machine was off');
		case 'validated':
			return l10n.t('validated: its filesystems were frozen for it');
		case 'crash':
			return l10n.t('crash-consistent: as after a power cut; the filesystem journal is replayed when it is read');
		case 'unknown':
			return l10n.t('made by another program; it is not known whether the machine was running');
	}
}

/** "0644" → "644"; set-user-ID and the like stay. */
function shortMode(mode: string): string {
	return mode.replace(/^0(?=\d{3})/, '');
}
