/** What the *Disk Image* editor says, from what the engine found. Knows no VS Code but its words. */
import { l10n } from 'vscode';
import type { TimelineRecord } from '../../shared/engine-api.js';
import type { DiskImageModel, Word } from '../../shared/disk-image-protocol.js';
import type { InfoRecord } from '../../shared/records.js';
import { messageOf } from '../engine-error.js';
import { plain } from '../plain.js';
import { nameOf, snapshotRow } from '../sources/rows.js';
import { exactTime, sizeText } from '../words.js';

/** @param timeline or why there is none. */
export function imageModel(
	path: string,
	info: InfoRecord,
	timeline: unknown,
	registeredAs: string | null,
): DiskImageModel {
	const disk = info.disks[0];
	const read = isTimeline(timeline) ? timeline : undefined;
	const notes = [
		...(info.inUse
			? [l10n.t('A hypervisor holds this image: its snapshots can be read, its current state cannot.')]
			: []),
		...info.unsupported,
		...info.notes,
		...(read?.readOnlyReason ? [read.readOnlyReason] : []),
		...(read ? [] : [messageOf(timeline)]),
	];
	return {
		title: plain(path.split(/[\\/]/).at(-1) ?? path),
		summary: [
			{ name: l10n.t('Format'), value: info.format },
			{ name: l10n.t('Size of the disk'), value: sizeText(info.size) },
			...(disk ? [{ name: l10n.t('Size of the file'), value: sizeText(disk.fileSize) }] : []),
			...(disk?.scheme ? [{ name: l10n.t('Partition table'), value: disk.scheme }] : []),
			...(registeredAs === null ? [] : [{ name: l10n.t('In Strata'), value: plain(registeredAs) }]),
		],
		chain: info.disks.flatMap(({ files }) =>
			files.map(file => ({
				path: plain(file.path),
				role: file.role,
				facts: `${file.format} · ${sizeText(file.fileSize)}`,
			})),
		),
		volumes: info.volumes.map(volume => ({
			name: nameOf(volume.path),
			type: plain([volume.type, volume.label || volume.partitionName].filter(Boolean).join(' ')),
			size: sizeText(volume.size),
			note: plain(volume.problem ?? (volume.readable ? '' : l10n.t('not readable'))),
		})),
		snapshots: (read?.snapshots ?? []).map(snapshot => ({
			name: plain(snapshot.name),
			time: exactTime(snapshot.time),
			facts: read ? plain(snapshotRow(read, snapshot).description) : '',
		})),
		notes: notes.map(plain),
		registeredAs,
		words: words(),
	};
}

function words(): Record<Word, string> {
	return {
		chain: l10n.t('Files'),
		volumes: l10n.t('Volumes'),
		snapshots: l10n.t('Snapshots'),
		notes: l10n.t('Notes'),
		add: l10n.t('Add to Strata'),
		show: l10n.t('Show in Sources'),
		noSnapshots: l10n.t('This image has no snapshots.'),
		noVolumes: l10n.t('No volumes were found.'),
	};
}

function isTimeline(value: unknown): value is TimelineRecord {
	return typeof value === 'object' && value !== null && 'snapshots' in value;
}
