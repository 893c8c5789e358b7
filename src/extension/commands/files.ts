/** Opening, finding, restoring and naming files of snapshots. */
import * as vscode from 'vscode';
import { VIEWS } from '../contributions.js';
import type { DocumentAddress } from '../documents/addresses.js';
import { bytesUri, properties, rendered, resolveFile } from '../documents/resolver.js';
import { MAX_FILE_BYTES } from '../documents/resolver.js';
import { info, pickBySearch, progress, quiet, warn } from '../notify.js';
import type { Services } from '../services.js';
import { nameOf } from '../sources/rows.js';
import { addressOf, refOf } from '../state-name.js';
import { filesText, sizeText } from '../words.js';
import type { FileVersions } from '../versions/versions-view.js';
import { copyToUri } from './restore-by-fs.js';
import { fileFor, stateFor } from './targets.js';

const HEX_EDITOR = 'ms-vscode.hexeditor';
const MAX_FOUND = 200;

export async function openFile(services: Services, address: DocumentAddress): Promise<void> {
	const uri = await resolveFile(services.engine, address.state, address.path);
	await vscode.commands.executeCommand('vscode.open', vscode.Uri.from(uri));
}

/** With the Hex Editor where it is installed, else as a listing of the first bytes. */
export async function openBytes(services: Services, argument: unknown): Promise<void> {
	const address = await needFile(services, argument);
	if (!address) return;
	const { state, path } = address;
	if (vscode.extensions.getExtension(HEX_EDITOR)) {
		const { size } = await services.engine.stat(refOf(state), path);
		if (size <= MAX_FILE_BYTES) {
			await vscode.commands.executeCommand(
				'vscode.openWith',
				vscode.Uri.from(bytesUri(state, path)),
				'hexEditor.hexedit',
			);
			return;
		}
	}
	await vscode.commands.executeCommand('vscode.open', vscode.Uri.from(rendered(state, path, 'bytes')));
}

/** The button of an explanation: the file in the text editor, whatever its lines are. */
export async function openAnyway(services: Services, argument: unknown): Promise<void> {
	const address = fileFor(services, argument);
	if (!address) return;
	const { state, path } = address;
	const { size } = await services.engine.stat(refOf(state), path);
	if (MAX_FILE_BYTES < size) {
		await warn(
			vscode.l10n.t(
				'{0} has {1}: too large for the editor. Restore it to this computer instead.',
				nameOf(path),
				sizeText(size),
			),
		);
		return;
	}
	await vscode.commands.executeCommand('vscode.open', vscode.Uri.from(bytesUri(state, path)));
}

export async function openProperties(services: Services, argument: unknown): Promise<void> {
	const address = await needFile(services, argument);
	if (address)
		await vscode.commands.executeCommand('vscode.open', vscode.Uri.from(properties(address.state, address.path)));
}

export async function goToFile(services: Services, argument: unknown): Promise<void> {
	const title = vscode.l10n.t('Go to File in Snapshot');
	const target = await stateFor(services, argument, title);
	if (!target) return;
	const found = await pickBySearch(
		title,
		vscode.l10n.t('Words of the file name in "{0}"', target.state.label),
		async (text, signal) => {
			if (text.trim() === '') return [];
			const records = await services.engine.find(refOf(target.state), text, MAX_FOUND, { signal });
			return records.map(({ path, type }) => ({
				label: nameOf(path),
				description: path.slice(0, path.lastIndexOf('/')) || '/',
				icon: type === 'directory' ? 'folder' : 'file',
				value: path,
			}));
		},
	);
	if (found !== undefined) await openFile(services, { state: target.state, path: found });
}

export async function showFileVersions(services: Services, versions: FileVersions, argument: unknown): Promise<void> {
	const address = await needFile(services, argument);
	if (address) versions.show(address);
}

/** Copies files and folders out of a snapshot, into a folder of this computer or of wherever the dialog leads. */
export async function restoreToHost(
	services: Services,
	argument: unknown,
	selection: readonly unknown[],
): Promise<void> {
	const several = selection.map(item => fileFor(services, item)).filter(item => item !== undefined);
	const one = several.length > 0 ? undefined : await needFile(services, argument);
	const addresses = one ? [one] : several;
	const [first] = addresses;
	if (!first) return;
	const paths = addresses.map(({ path }) => path);
	const [folder] =
		(await vscode.window.showOpenDialog({
			canSelectFiles: false,
			canSelectFolders: true,
			openLabel: vscode.l10n.t('Restore Here'),
			title: vscode.l10n.t('Restore to Host'),
		})) ?? [];
	if (!folder) return;
	const what = paths.length === 1 ? nameOf(first.path) : filesText(paths.length);
	const title = vscode.l10n.t('Restoring {0}', what);
	const result = await progress(title, call =>
		folder.scheme === 'file'
			? services.engine.restore(refOf(first.state), paths, { to: folder.fsPath }, call)
			: copyToUri(services.engine, refOf(first.state), paths, folder, call),
	);
	if (!result) return;
	const open = vscode.l10n.t('Open Folder');
	const done = vscode.l10n.t(
		'{0} restored from "{1}", {2}.',
		filesText(result.files),
		first.state.label,
		sizeText(result.bytes),
	);
	if (result.skipped.length > 0) {
		const showLog = vscode.l10n.t('Show Log');
		for (const { path, reason } of result.skipped) services.log.warn(`restore: ${path}: ${reason}`);
		const left = vscode.l10n.t('{0} left out or changed; the log says which and why.', result.skipped.length);
		if ((await warn(`${done} ${left}`, showLog)) === showLog) services.log.show();
		return;
	}
	if ((await info(done, open)) === open) await vscode.commands.executeCommand('revealFileInOS', folder);
}

/** The path inside the source, as the command line takes it. */
export async function copyPath(services: Services, argument: unknown): Promise<void> {
	const address = await needFile(services, argument);
	if (!address) return;
	await vscode.env.clipboard.writeText(address.path);
	quiet(vscode.l10n.t('Copied {0}', address.path));
}

/** "dev@before-install /p1/etc/hosts", to be pasted behind `strata cat`. */
export async function copyAddress(services: Services, argument: unknown): Promise<void> {
	const address = fileFor(services, argument);
	const target = address ? undefined : await stateFor(services, argument, vscode.l10n.t('Copy Address'));
	const state = address?.state ?? target?.state;
	if (!state) return;
	const text = [addressOf(state), ...(address ? [address.path] : [])].map(quoted).join(' ');
	await vscode.env.clipboard.writeText(text);
	quiet(vscode.l10n.t('Copied {0}', text));
}

async function needFile(services: Services, argument: unknown): Promise<DocumentAddress | undefined> {
	const address = fileFor(services, argument);
	if (!address) {
		const goTo = vscode.l10n.t('Go to File in Snapshot…');
		const message = vscode.l10n.t('Choose a file of a snapshot first, in Sources or in an editor.');
		if ((await info(message, goTo)) === goTo) await goToFile(services, undefined);
		else await vscode.commands.executeCommand(`${VIEWS.sources}.focus`);
	}
	return address;
}

/** One word of a POSIX shell. */
function quoted(text: string): string {
	return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
