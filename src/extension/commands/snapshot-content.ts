/** What a snapshot of a running machine holds, and what that means for a rollback, in words. Knows no VS Code but its words. */
import { l10n } from 'vscode';
import type { MachineConnection, SourceRecord } from '../../shared/engine-api.js';
import type { Toggle } from '../toggled-input.js';

/** One of three: what is saved with memory needs no freezing. */
export type SnapshotContent = 'disk' | 'memory' | 'validated';

/** It runs, and it is known how to reach it: snapshots are made by the QEMU that runs it. */
export function isReachable({ status, connection }: Pick<SourceRecord, 'status' | 'connection'>): boolean {
	return status === 'inUse' && canBeReached(connection);
}

export function canBeReached(connection: MachineConnection | undefined): boolean {
	return connection?.qmp !== undefined || connection?.libvirt !== undefined;
}

/** What was chosen last time, as far as it can be had now. */
export function knownContent(stored: string | undefined, connection: MachineConnection | undefined): SnapshotContent {
	if (stored === 'memory') return stored;
	return stored === 'validated' && connection?.agent !== undefined ? stored : 'disk';
}

export function contentLook(
	chosen: SnapshotContent,
	connection: MachineConnection | undefined,
): { readonly prompt: string; readonly toggles: readonly Toggle<SnapshotContent>[] } {
	const noAgent = l10n.t(
		'Only the guest agent can freeze the guest, and its socket is not known: name it with "Connect to Running Machine".',
	);
	return {
		prompt: [contentWords(chosen), meaning(chosen)].join(' '),
		toggles: [
			{
				icon: 'chip',
				label: l10n.t('Memory: keep RAM and devices too'),
				isChecked: chosen === 'memory',
				next: chosen === 'memory' ? 'disk' : 'memory',
			},
			{
				icon: 'verified',
				label: l10n.t("Validated: freeze the guest's filesystems for the moment"),
				isChecked: chosen === 'validated',
				next: chosen === 'validated' ? 'disk' : 'validated',
				...(connection?.agent === undefined ? { refusal: noAgent } : {}),
			},
		],
	};
}

function contentWords(chosen: SnapshotContent): string {
	switch (chosen) {
		case 'disk':
			return l10n.t('Disk only · not validated.');
		case 'memory':
			return l10n.t('Disk and memory · not validated: what is in memory is part of it, so nothing needs freezing.');
		case 'validated':
			return l10n.t("Disk only · validated: the guest's filesystems are frozen for the moment.");
	}
}

function meaning(chosen: SnapshotContent): string {
	return chosen === 'memory'
		? l10n.t('The running machine can be rolled back to it.')
		: l10n.t('A rollback to a snapshot without memory needs the machine to be shut down.');
}
