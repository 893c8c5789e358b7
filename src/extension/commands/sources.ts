/** Adding, finding, removing and locating machines. */
import * as vscode from 'vscode';
import type { DiskSpec } from '../../shared/engine-api.js';
import { VIEWS } from '../contributions.js';
import { confirm, progress, quiet } from '../notify.js';
import type { Services } from '../services.js';
import { addByPicker, addImages } from '../sources/add-machine.js';
import { addExample, compareLastTwo, hideExample } from '../sources/example.js';
import { machineFor } from './targets.js';

/** From the palette or the view: a picker. From the Explorer: the files that are selected there. */
export async function addMachine(services: Services, argument: unknown, selection: readonly unknown[]): Promise<void> {
	const uris = selection.filter(item => item instanceof vscode.Uri);
	if (uris.length > 0) await addImages(services, uris);
	else if (argument instanceof vscode.Uri) await addImages(services, [argument]);
	else return await addByPicker(services);
	await vscode.commands.executeCommand(`${VIEWS.sources}.focus`);
}

export async function openExample(services: Services): Promise<void> {
	await services.sources.load();
	const record = await addExample(services);
	await vscode.commands.executeCommand(`${VIEWS.sources}.focus`);
	await compareLastTwo(services, record);
}

export async function removeSource(services: Services, argument: unknown): Promise<void> {
	const machine = await machineFor(services, argument, vscode.l10n.t('Remove from Strata'));
	if (!machine) return;
	const { record } = machine;
	const answer = await confirm({
		message: vscode.l10n.t('Remove {0} from Strata?', record.name),
		detail: vscode.l10n.t(
			'The images, their snapshots and the journal stay where they are. Add the image again to bring it back.',
		),
		harmless: vscode.l10n.t('Keep'),
		destructive: vscode.l10n.t('Remove'),
	});
	if (answer !== 'destructive') return;
	await services.engine.removeSource(record.id);
	if (record.example) await hideExample(services);
	if (services.base.base?.source === record.id) services.base.select(undefined);
	if (services.comparison.outcomes.some(({ pair: { a, b } }) => a.source === record.id || b.source === record.id)) {
		services.comparison.close();
	}
	await services.sources.refresh();
	quiet(vscode.l10n.t('{0} was removed', record.name));
}

/** The image lies elsewhere now. */
export async function locateSource(services: Services, argument: unknown): Promise<void> {
	const machine = await machineFor(services, argument, vscode.l10n.t('Locate Image'));
	if (!machine) return;
	const { record } = machine;
	const disks: DiskSpec[] = [];
	for (const disk of record.disks) {
		const [uri] =
			(await vscode.window.showOpenDialog({
				title: vscode.l10n.t('Where is {0} now?', disk.path),
				openLabel: vscode.l10n.t('Use This Image'),
			})) ?? [];
		if (!uri) return;
		disks.push({ ...disk, path: uri.fsPath });
	}
	await progress(vscode.l10n.t('Checking {0}', record.name), call =>
		services.engine.relocateSource(record.id, disks, call),
	);
	await services.sources.refresh();
	await services.sources.reload(record.id);
}
