/** `strata-text:`, text that stands for a file: a rendering, its properties, its first bytes, or why it is not shown. */
import * as vscode from 'vscode';
import type { EngineApi } from '../../shared/engine-api.js';
import { isCancelled } from '../engine-error.js';
import type { SourceStore } from '../sources/source-store.js';
import { refOf } from '../state-name.js';
import { parseTextUri } from '../uri.js';
import { addressOfUri } from './addresses.js';
import { explanationText, failureText } from './explain.js';
import { hexDump } from './hex-dump.js';
import { toFileSystemError } from './file-system.js';

/** Texts that were made a moment ago: VS Code asks for the size, then for the bytes. */
const KEPT = 16;
const HEX_BYTES = 64 * 1024;

export class RenderedFileSystem implements vscode.FileSystemProvider {
	readonly #changed = new vscode.EventEmitter<vscode.FileChangeEvent[]>();
	readonly onDidChangeFile = this.#changed.event;
	readonly #made = new Map<string, { readonly time: number; readonly bytes: Promise<Uint8Array> }>();

	constructor(
		private readonly engine: Pick<EngineApi, 'facts' | 'properties' | 'render' | 'read'>,
		private readonly sources: SourceStore,
	) {}

	touch(uris: readonly vscode.Uri[]): void {
		for (const uri of uris) this.#made.delete(uri.toString());
		if (uris.length > 0) this.#changed.fire(uris.map(uri => ({ type: vscode.FileChangeType.Changed, uri })));
	}

	watch(): vscode.Disposable {
		return new vscode.Disposable(() => undefined);
	}

	async stat(uri: vscode.Uri): Promise<vscode.FileStat> {
		const { time, bytes } = this.#text(uri);
		const size = (await bytes).byteLength;
		return { type: vscode.FileType.File, ctime: 0, mtime: time, size, permissions: vscode.FilePermission.Readonly };
	}

	async readFile(uri: vscode.Uri): Promise<Uint8Array> {
		return await this.#text(uri).bytes;
	}

	readDirectory(uri: vscode.Uri): never {
		throw vscode.FileSystemError.FileNotADirectory(uri);
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

	#text(uri: vscode.Uri) {
		const key = uri.toString();
		const known = this.#made.get(key);
		if (known) return known;
		const bytes = this.#make(uri).then(text => new TextEncoder().encode(text));
		const made = { time: Date.now(), bytes };
		this.#made.set(key, made);
		// A failure is not kept: the next open asks again.
		bytes.catch(() => this.#made.delete(key));
		for (const old of this.#made.keys()) {
			if (this.#made.size <= KEPT) break;
			this.#made.delete(old);
		}
		return made;
	}

	async #make(uri: vscode.Uri): Promise<string> {
		const address = parseTextUri(uri);
		const named = addressOfUri(this.sources, uri);
		if (!address || !named) throw vscode.FileSystemError.FileNotFound(uri);
		const state = refOf(address);
		const { path } = address;
		try {
			switch (address.renderer) {
				case 'properties':
					return await this.engine.properties(state, path);
				case 'explain':
					return explanationText(named.state, path, await this.engine.facts(state, path));
				case 'bytes': {
					const { bytes, size } = await this.engine.read(state, path, { offset: 0, length: HEX_BYTES });
					return hexDump(bytes, size);
				}
				case 'sqlite':
				case 'elf':
				case 'archive':
				case 'binary':
					return await this.engine.render(state, path, address.renderer);
				default:
					throw vscode.FileSystemError.FileNotFound(uri);
			}
		} catch (error) {
			if (error instanceof vscode.FileSystemError) throw error;
			if (isCancelled(error)) throw toFileSystemError(uri, error);
			// Text, not an error: VS Code would show a pane that says nothing.
			return failureText(named.state, path, error);
		}
	}
}
