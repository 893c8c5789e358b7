/** From image files to a registered machine: by picker, drop, the Explorer's menu, or a search. */
import * as vscode from 'vscode';
import type { CallOptions, DiskSpec, SourceRecord } from '../../shared/engine-api.js';
import { StrataError } from '../engine-error.js';
import { info, pick, progress, quiet, warn } from '../notify.js';
import type { Services } from '../services.js';
import { sizeText } from '../words.js';

export async function addByPicker(services: Services): Promise<void> {
	const uris = await vscode.window.showOpenDialog({
		canSelectMany: true,
		openLabel: vscode.l10n.t('Add Machine'),
		title: vscode.l10n.t('Disk images of one machine'),
		filters: {
			[vscode.l10n.t('Disk images')]: ['qcow2', 'qcow', 'img', 'raw', 'disk'],
			[vscode.l10n.t('All files')]: ['*'],
		},
	});
	if (uris && uris.length > 0) await addImages(services, uris);
}

/** @param withoutUri files that came from a browser's own computer, and have no path here. */
export async function addDropped(services: Services, uris: readonly vscode.Uri[], withoutUri: number): Promise<void> {
	const here = uris.filter(uri => uri.scheme === 'file' || uri.scheme === 'vscode-remote');
	if (here.length < uris.length || (uris.length === 0 && withoutUri > 0)) {
		const place = vscode.env.remoteName ?? vscode.l10n.t('another computer');
		await warn(
			vscode.l10n.t('This file is on your own computer; Strata runs on {0}. Copy it there or give its path.', place),
		);
	}
	if (here.length > 0) await addImages(services, here);
}

export async function addImages(services: Services, uris: readonly vscode.Uri[]): Promise<void> {
	if (uris.some(uri => uri.scheme !== 'file' && uri.scheme !== 'vscode-remote')) {
		await warn(vscode.l10n.t('Strata reads images that are files on the computer it runs on.'));
		return;
	}
	const paths = uris.map(uri => uri.fsPath);
	for (const group of await asMachines(paths)) {
		const added = await addDisks(services, group);
		if (added) quiet(vscode.l10n.t('{0} was added', added.name));
	}
}

/** Adds one machine, asking what has to be asked. @returns `undefined` when the person declined. */
export async function addDisks(services: Services, paths: readonly string[]): Promise<SourceRecord | undefined> {
	const disks = paths.map((path): DiskSpec => ({ path }));
	const add = async (specs: readonly DiskSpec[], allowOutside: boolean): Promise<SourceRecord | undefined> => {
		try {
			return await progress(vscode.l10n.t('Adding {0}', paths[0]!), (call: CallOptions) =>
				services.engine.addMachine({ disks: specs, allowOutside }, call),
			);
		} catch (error) {
			if (StrataError.is(error, 'ERR_REFUSED') && !allowOutside) return await askOutside(specs, error);
			const unclear = StrataError.is(error, 'ERR_USAGE', 'ERR_AMBIGUOUS') && error.details['field'] === 'format';
			if (unclear && specs.some(({ format }) => format === undefined)) return await askRaw(specs, error, allowOutside);
			throw error;
		}
	};
	const askOutside = async (specs: readonly DiskSpec[], error: StrataError) => {
		const allow = vscode.l10n.t('Allow');
		const answer = await warn(error.message, allow);
		return answer === allow ? await add(specs, true) : undefined;
	};
	const askRaw = async (specs: readonly DiskSpec[], error: StrataError, allowOutside: boolean) => {
		const asRaw = vscode.l10n.t('Read as Raw Disk');
		const answer = await warn(error.message, asRaw);
		if (answer !== asRaw) return undefined;
		return await add(
			specs.map(({ path, format }): DiskSpec => ({ path, format: format ?? 'raw' })),
			allowOutside,
		);
	};
	const added = await add(disks, false);
	await services.sources.refresh();
	return added;
}

/** *Find Disk Images…*: the known places first; a folder only when asked. */
export async function findImages(services: Services): Promise<void> {
	const known = vscode.l10n.t('Known Places');
	const where = await pick(
		vscode.l10n.t('Find Disk Images'),
		[
			{
				label: known,
				icon: 'search',
				description: vscode.l10n.t('libvirt, GNOME Boxes, Lima, Colima, Multipass, podman machine, UTM, Vagrant'),
				value: 'known' as const,
			},
			...(vscode.workspace.workspaceFolders?.some(({ uri }) => uri.scheme === 'file')
				? [{ label: vscode.l10n.t('Open Folders'), icon: 'root-folder', value: 'workspace' as const }]
				: []),
			{ label: vscode.l10n.t('Folder…'), icon: 'folder-opened', value: 'folder' as const },
		],
		vscode.l10n.t('Where to look'),
	);
	if (where === undefined) return;
	const folders = where === 'known' ? [] : await foldersToSearch(where);
	if (!folders) return;
	const found = await progress(vscode.l10n.t('Looking for disk images'), call =>
		services.engine.discover({ folders, knownPlaces: where === 'known' }, call),
	);
	if (!found) return;
	const machines = found.filter(({ disks }) => disks.length > 0);
	if (machines.length === 0) {
		const another = vscode.l10n.t('Search a Folder…');
		if ((await info(vscode.l10n.t('No disk images were found.'), another)) === another) await findImages(services);
		return;
	}
	const chosen = await pick(
		vscode.l10n.t('Add Machine'),
		machines.map(machine => ({
			label: machine.name,
			icon: machine.registeredAs === null ? 'vm' : 'check',
			description: [
				machine.registeredAs === null ? '' : vscode.l10n.t('added as {0}', machine.registeredAs),
				machine.disks.map(({ format, size }) => `${format} ${sizeText(size)}`).join(', '),
				snapshotsText(machine.disks[0]!.snapshots), // OK: machines without disks were left out.
			]
				.filter(part => part !== '')
				.join(' · '),
			detail: machine.disks.map(({ path }) => path).join(', '),
			value: machine,
		})),
		vscode.l10n.t('{0} found', machines.length),
	);
	if (!chosen || chosen.registeredAs !== null) return;
	const added = await addDisks(
		services,
		chosen.disks.map(({ path }) => path),
	);
	if (added) quiet(vscode.l10n.t('{0} was added', added.name));
}

async function foldersToSearch(where: 'workspace' | 'folder'): Promise<string[] | undefined> {
	if (where === 'workspace') {
		const folders = vscode.workspace.workspaceFolders ?? [];
		return folders.filter(({ uri }) => uri.scheme === 'file').map(({ uri }) => uri.fsPath);
	}
	const uris = await vscode.window.showOpenDialog({
		canSelectFolders: true,
		canSelectFiles: false,
		openLabel: vscode.l10n.t('Search'),
	});
	return uris?.map(uri => uri.fsPath);
}

/** Several files at once are the disks of one machine, or several machines: only the person knows. */
async function asMachines(paths: readonly string[]): Promise<readonly (readonly string[])[]> {
	if (paths.length < 2) return paths.map(path => [path]);
	const answer = await pick(vscode.l10n.t('Add {0} Images', paths.length), [
		{ label: vscode.l10n.t('One machine with {0} disks', paths.length), icon: 'vm', value: 'one' as const },
		{ label: vscode.l10n.t('{0} machines', paths.length), icon: 'server-environment', value: 'many' as const },
	]);
	if (answer === undefined) return [];
	return answer === 'one' ? [paths] : paths.map(path => [path]);
}

function snapshotsText(count: number): string {
	if (count === 0) return '';
	return count === 1 ? vscode.l10n.t('1 snapshot') : vscode.l10n.t('{0} snapshots', count);
}
