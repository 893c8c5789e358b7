/** The rows of *File Versions*. Knows no VS Code but its words. */
import { l10n } from 'vscode';
import type { TimelineRecord } from '../../shared/engine-api.js';
import type { ChangeRecord, HistoryRecord } from '../../shared/records.js';
import { CURRENT, currentLabel } from '../state-name.js';
import type { Row } from '../sources/rows.js';
import { exactTime, longAge, shortAge, sizeText } from '../words.js';

/** One version: a run of states that hold the same content. */
export function versionRow(record: HistoryRecord, shown: boolean, now = Date.now()): Row {
	const names = record.snapshots.map((key, i) => (key === CURRENT ? currentLabel() : (record.names[i] ?? key)));
	const label = names[0] ?? '';
	const others = names.length - 1;
	const words: string[] = [];
	if (record.error) words.push(l10n.t('cannot be read'));
	else if (record.state === 'absent') words.push(l10n.t('does not exist'));
	else words.push(shortAge(record.time, now));
	if (record.state === 'present' && !record.error) words.push(sizeText(record.size));
	if (others > 0) words.push(others === 1 ? l10n.t('same in 1 more') : l10n.t('same in {0} more', others));
	if (shown) words.push(l10n.t('shown'));
	return {
		label,
		description: words.join(' · '),
		spoken: [label, record.state === 'present' ? longAge(record.time, now) : '', ...words].filter(Boolean).join(', '),
		icon:
			record.error !== undefined
				? { name: 'warning', color: 'list.warningForeground' }
				: { name: record.state === 'absent' ? 'circle-slash' : shown ? 'circle-filled' : 'git-commit' },
		tokens: ['version', record.state],
		facts: [
			[l10n.t('In'), names.join(', ')],
			...(record.state === 'present'
				? ([
						[l10n.t('Modified'), exactTime(record.time)],
						[l10n.t('Size'), sizeText(record.size)],
						['SHA-256', record.sha256],
					] as const)
				: []),
			...(record.error ? [[l10n.t('Error'), record.error.message] as const] : []),
		],
	};
}

/**
 * The version before `record`: the one that the parent of its oldest state has. Where no parent is known, the next
 * one in the list, which is the next older one.
 */
export function versionBefore(
	record: HistoryRecord,
	all: readonly HistoryRecord[],
	timeline: TimelineRecord,
): HistoryRecord | undefined {
	const oldest = record.snapshots.at(-1);
	const parent = oldest === CURRENT ? timeline.position : timeline.snapshots.find(({ key }) => key === oldest)?.parent;
	const byParent = parent ? all.find(other => other !== record && other.snapshots.includes(parent)) : undefined;
	return byParent ?? all[all.indexOf(record) + 1];
}

/** The step from one version to the next, as *Changes* would tell it. */
export function changeBetween(path: string, before: HistoryRecord, after: HistoryRecord): ChangeRecord {
	const size = [sizeOf(before), sizeOf(after)] as const;
	const type = [before.type, after.type] as const;
	const status = size[0] === null ? 'A' : size[1] === null ? 'D' : before.type === after.type ? 'M' : 'T';
	return { status, path, fields: ['content'], size, type };
}

function sizeOf(record: HistoryRecord): number | null {
	return record.state === 'present' ? record.size : null;
}
