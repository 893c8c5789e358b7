import * as vscode from 'vscode';
import type { CallOptions, EngineApi, RestoreResult, StateRef } from '../../shared/engine-api.js';
import type { ListRecord } from '../../shared/records.js';
import { StrataError } from '../engine-error.js';
import { MAX_FILE_BYTES } from '../documents/resolver.js';
import { nameOf } from '../sources/rows.js';
import { uriPathFromText } from '../uri.js';

const PAGE = 1000;

/**
 * Copies through VS Code's own file systems, where the folder is not on the computer that Strata runs on (a browser's
 * computer, a virtual workspace). Links, owners and special files have no place there; each is told as left out.
 */
export async function copyToUri(
	engine: Pick<EngineApi, 'stat' | 'list' | 'read'>,
	state: StateRef,
	paths: readonly string[],
	folder: vscode.Uri,
	call: CallOptions,
): Promise<RestoreResult> {
	const totals = { files: 0, directories: 0, links: 0, bytes: 0 };
	const skipped: { path: string; reason: string }[] = [];

	async function copy(record: ListRecord, into: vscode.Uri): Promise<void> {
		if (call.signal?.aborted) throw new StrataError('ERR_CANCELLED', 'cancelled');
		const name = uriPathFromText(nameOf(record.path));
		if (!isSafe(name)) {
			skipped.push({ path: record.path, reason: vscode.l10n.t('its name cannot be used here') });
			return;
		}
		const target = vscode.Uri.joinPath(into, name);
		if (record.type === 'directory') {
			await vscode.workspace.fs.createDirectory(target);
			totals.directories++;
			for (let offset = 0, total = 1; offset < total; offset += PAGE) {
				const page = await engine.list(state, record.path, { offset, limit: PAGE });
				total = page.total;
				for (const entry of page.entries) await copy(entry, target);
			}
		} else if (record.type !== 'file') {
			skipped.push({ path: record.path, reason: vscode.l10n.t('only files and folders can be written there') });
		} else if (MAX_FILE_BYTES < record.size) {
			skipped.push({ path: record.path, reason: vscode.l10n.t('too large to be written there') });
		} else {
			const { bytes } = await engine.read(state, record.path, undefined, call);
			// As everywhere: what is there already is not replaced.
			if (await exists(target)) {
				skipped.push({
					path: record.path,
					reason: vscode.l10n.t('the name is taken; what is there was left as it is'),
				});
				return;
			}
			await vscode.workspace.fs.writeFile(target, bytes);
			totals.files++;
			totals.bytes += bytes.byteLength;
			call.onProgress?.({ step: vscode.l10n.t('Copying'), done: totals.files, unit: 'files' });
		}
	}

	for (const path of paths) await copy(await engine.stat(state, path, call), folder);
	return { ...totals, skipped };
}

async function exists(uri: vscode.Uri): Promise<boolean> {
	try {
		await vscode.workspace.fs.stat(uri);
		return true;
	} catch (error) {
		if (error instanceof vscode.FileSystemError && error.code === 'FileNotFound') return false;
		throw error;
	}
}

/** One component, that no file system takes for a way out of the folder. */
function isSafe(name: string): boolean {
	// Control characters are what this refuses.
	return name !== '' && name !== '.' && name !== '..' && !/[/\\:\u0000-\u001f\uef00-\uefff]/u.test(name);
}
