/** `strata:`, the files of every snapshot, read-only. */
import * as vscode from 'vscode';
import type { EngineApi } from '../../shared/engine-api.js';
import type { FileKind, ListRecord } from '../../shared/records.js';
import { StrataError, messageOf } from '../engine-error.js';
import { nameOf } from '../sources/rows.js';
import { refOf } from '../state-name.js';
import { parseFileUri, type FileAddress } from '../uri.js';
import { MAX_FILE_BYTES } from './resolver.js';

const LISTING_PAGE = 10_000;

export class SnapshotFileSystem implements vscode.FileSystemProvider {
	readonly #changed = new vscode.EventEmitter<vscode.FileChangeEvent[]>();
	readonly onDidChangeFile = this.#changed.event;

	constructor(
		private readonly engine: Pick<EngineApi, 'stat' | 'list' | 'read'>,
		private readonly log: Pick<vscode.LogOutputChannel, 'warn'>,
	) {}

	/** Documents of a current state that may have changed: the editor reads them anew. */
	touch(uris: readonly vscode.Uri[]): void {
		if (uris.length > 0) this.#changed.fire(uris.map(uri => ({ type: vscode.FileChangeType.Changed, uri })));
	}

	/** The store of sources polls; there is nothing to watch file by file. */
	watch(): vscode.Disposable {
		return new vscode.Disposable(() => undefined);
	}

	async stat(uri: vscode.Uri): Promise<vscode.FileStat> {
		const address = addressOf(uri);
		const record = await this.#ask(uri, () => this.engine.stat(refOf(address), address.path));
		return toStat(record);
	}

	async readDirectory(uri: vscode.Uri): Promise<[string, vscode.FileType][]> {
		const address = addressOf(uri);
		return await this.#ask(uri, async () => {
			const names: [string, vscode.FileType][] = [];
			for (;;) {
				const page = { offset: names.length, limit: LISTING_PAGE };
				const { entries, total } = await this.engine.list(refOf(address), address.path, page);
				names.push(...entries.map((entry): [string, vscode.FileType] => [nameOf(entry.path), fileType(entry.type)]));
				if (entries.length === 0 || total <= names.length) return names;
			}
		});
	}

	async readFile(uri: vscode.Uri): Promise<Uint8Array> {
		const address = addressOf(uri);
		return await this.#ask(uri, async () => {
			// VS Code asks for the bytes before it looks at the size.
			const { size } = await this.engine.stat(refOf(address), address.path);
			if (MAX_FILE_BYTES < size) {
				throw new StrataError('ERR_LIMIT', `${size} bytes are more than an editor can show (${MAX_FILE_BYTES})`);
			}
			return (await this.engine.read(refOf(address), address.path)).bytes;
		});
	}

	createDirectory(uri: vscode.Uri): never {
		throw vscode.FileSystemError.NoPermissions(uri);
	}

	writeFile(uri: vscode.Uri): never {
		throw vscode.FileSystemError.NoPermissions(uri);
	}

	delete(uri: vscode.Uri): never {
		throw vscode.FileSystemError.NoPermissions(uri);
	}

	rename(uri: vscode.Uri): never {
		throw vscode.FileSystemError.NoPermissions(uri);
	}

	/** VS Code shows a pane of its own for an error, without its text: the log says why. */
	async #ask<T>(uri: vscode.Uri, question: () => Promise<T>): Promise<T> {
		try {
			return await question();
		} catch (error) {
			const code = StrataError.is(error) ? error.code : '';
			if (code !== 'ERR_NOT_FOUND') this.log.warn(`${uri.toString(true)}: ${code} ${messageOf(error)}`);
			throw toFileSystemError(uri, error);
		}
	}
}

function addressOf(uri: vscode.Uri): FileAddress {
	const address = parseFileUri(uri);
	if (!address) throw vscode.FileSystemError.FileNotFound(uri);
	return address;
}

function toStat(record: ListRecord): vscode.FileStat {
	const mtime = Date.parse(record.mtime);
	return {
		type: fileType(record.type),
		ctime: 0,
		mtime: Number.isNaN(mtime) ? 0 : mtime,
		size: record.size,
		permissions: vscode.FilePermission.Readonly,
	};
}

function fileType(kind: FileKind): vscode.FileType {
	switch (kind) {
		case 'file':
			return vscode.FileType.File;
		case 'directory':
			return vscode.FileType.Directory;
		case 'symlink':
			return vscode.FileType.SymbolicLink;
		default:
			return vscode.FileType.Unknown;
	}
}

export function toFileSystemError(uri: vscode.Uri, error: unknown): vscode.FileSystemError {
	const code = StrataError.is(error) ? error.code : '';
	switch (code) {
		case 'ERR_NOT_FOUND':
			return vscode.FileSystemError.FileNotFound(uri);
		case 'ERR_NOT_A_DIRECTORY':
			return vscode.FileSystemError.FileNotADirectory(uri);
		case 'ERR_IS_A_DIRECTORY':
			return vscode.FileSystemError.FileIsADirectory(uri);
		default:
			return vscode.FileSystemError.Unavailable(messageOf(error));
	}
}
