/** A file tree in memory, from a description: for tests of what works on any tree. */
import { MemorySource } from '../../src/engine/io/memory.js';
import type { ByteSource } from '../../src/engine/io/source.js';
import type { FileKind, Inode, Xattr } from '../../src/engine/filesystem/filesystem.js';
import type { FileTree, TreeEntry } from '../../src/engine/tree/file-tree.js';
import { EngineError } from '../../src/engine/util/errors.js';
import type { RawPath } from '../../src/engine/util/names.js';

export interface MemoryFile {
	readonly kind?: FileKind;
	readonly content?: string | Uint8Array;
	readonly mode?: number;
	readonly uid?: number;
	readonly gid?: number;
	readonly mtimeSec?: number;
	readonly target?: string;
	readonly device?: { major: number; minor: number };
	readonly xattrs?: Readonly<Record<string, string>>;
	readonly inode?: number;
	readonly generation?: number;
	readonly links?: number;
	/** Reading it fails with this. */
	readonly broken?: EngineError;
}

/** Paths (`/p1/etc/hosts`) to files; folders that are not named come by themselves. A string is a regular file's content. */
export class MemoryTree implements FileTree {
	readonly #files = new Map<RawPath, MemoryFile & { readonly number: number }>();

	constructor(files: Readonly<Record<RawPath, MemoryFile | string>>) {
		let number = 1;
		const add = (path: RawPath, file: MemoryFile) => {
			if (!this.#files.has(path) || file.kind !== 'directory' || file.mode !== undefined) {
				this.#files.set(path, { ...file, number: file.inode ?? ++number });
			}
		};
		add('/', { kind: 'directory' });
		for (const [path, file] of Object.entries(files)) {
			const parts = path.split('/').slice(1, -1);
			parts.forEach((_, i) => add(`/${parts.slice(0, i + 1).join('/')}`, { kind: 'directory' }));
			add(path, typeof file === 'string' ? { content: file } : file);
		}
	}

	stat(path: RawPath): TreeEntry {
		const file = this.#file(path);
		return {
			path,
			name: path.slice(path.lastIndexOf('/') + 1),
			kind: file.kind ?? 'file',
			inode: inodeOf(file),
			volume: undefined,
			problem: undefined,
		};
	}

	list(path: RawPath): readonly TreeEntry[] {
		const file = this.#file(path);
		if (file.broken) throw file.broken;
		if (file.kind !== 'directory') throw new EngineError('ERR_NOT_A_DIRECTORY', `${path} is no directory`);
		const prefix = path === '/' ? '/' : `${path}/`;
		return [...this.#files.keys()]
			.filter(key => key !== '/' && key.startsWith(prefix) && !key.slice(prefix.length).includes('/'))
			.sort()
			.map(key => this.stat(key));
	}

	openFile(path: RawPath): ByteSource {
		const file = this.#file(path);
		if (file.broken) throw file.broken;
		if (file.kind === 'directory') throw new EngineError('ERR_IS_A_DIRECTORY', `${path} is a directory`);
		return new MemorySource(bytesOf(file));
	}

	readLink(path: RawPath): string {
		return this.#file(path).target ?? '';
	}

	xattrs(path: RawPath): readonly Xattr[] {
		return Object.entries(this.#file(path).xattrs ?? {})
			.sort(([a], [b]) => (a < b ? -1 : 1))
			.map(([name, value]) => ({ name, value: Buffer.from(value, 'latin1') }));
	}

	[Symbol.dispose](): void {
		// Nothing is held.
	}

	#file(path: RawPath): MemoryFile & { readonly number: number } {
		const file = this.#files.get(path);
		if (!file) throw new EngineError('ERR_NOT_FOUND', `no ${path}`, { path });
		return file;
	}
}

function bytesOf(file: MemoryFile): Uint8Array {
	return typeof file.content === 'string' ? Buffer.from(file.content, 'utf8') : (file.content ?? new Uint8Array());
}

function inodeOf(file: MemoryFile & { readonly number: number }): Inode {
	const kind = file.kind ?? 'file';
	const time = { sec: file.mtimeSec ?? 1_600_000_000, nsec: 0 };
	return {
		number: file.number,
		generation: file.generation ?? 0,
		kind,
		size: kind === 'symlink' ? (file.target ?? '').length : kind === 'directory' ? 4096 : bytesOf(file).byteLength,
		mode: file.mode ?? (kind === 'directory' ? 0o755 : 0o644),
		uid: file.uid ?? 0,
		gid: file.gid ?? 0,
		links: file.links ?? 1,
		atime: time,
		mtime: time,
		ctime: time,
		crtime: undefined,
		device: file.device,
		attributes: [],
		problem: undefined,
	};
}
