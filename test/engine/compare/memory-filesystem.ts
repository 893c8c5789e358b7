/** A filesystem that is written down in a test: for rules that need no disk. */
import type { Dirent, FileKind, Filesystem, Inode, Xattr } from '../../../src/engine/filesystem/filesystem.js';
import { MemorySource } from '../../../src/engine/io/memory.js';
import type { ByteSource } from '../../../src/engine/io/source.js';
import { EngineError } from '../../../src/engine/util/errors.js';

/** One node. What is left out has a usual value; equal `inode`s are hard links. */
export interface Node {
	readonly inode?: number;
	readonly generation?: number;
	readonly kind?: FileKind;
	readonly content?: string;
	readonly mode?: number;
	readonly uid?: number;
	readonly gid?: number;
	readonly links?: number;
	readonly mtime?: number;
	readonly atime?: number;
	readonly ctime?: number;
	readonly target?: string;
	readonly device?: { readonly major: number; readonly minor: number };
	readonly xattrs?: Readonly<Record<string, string>>;
	readonly children?: Readonly<Record<string, Node>>;
	/** Reading the inode, the names or the bytes fails. */
	readonly broken?: 'inode' | 'names' | 'content';
}

interface Made {
	readonly node: Node;
	readonly inode: Inode;
	readonly names: readonly Dirent[];
}

export class MemoryFilesystem implements Filesystem {
	readonly type = 'memory';
	readonly label = '';
	readonly blockSize = 4096;
	readonly rootInode = 2;
	readonly problems = [];
	/** Inodes of files whose bytes were asked for. */
	readonly opened: number[] = [];
	readonly #made = new Map<number, Made>();
	#next = 100;

	constructor(
		root: Readonly<Record<string, Node>>,
		readonly uuid = 'memory',
	) {
		this.#make({ inode: 2, children: root });
	}

	inode(number: number): Inode {
		const made = this.#made.get(number);
		if (!made || made.node.broken === 'inode') throw damage('inode', number);
		return made.inode;
	}

	entries(directory: Inode): Iterable<Dirent> {
		const made = this.#get(directory);
		if (made.node.broken === 'names') throw damage('names', directory.number);
		return made.names;
	}

	lookup(directory: Inode, name: string): number | undefined {
		return this.#get(directory).names.find(entry => entry.name === name)?.inode;
	}

	openFile(inode: Inode): ByteSource {
		this.opened.push(inode.number);
		const { node } = this.#get(inode);
		if (node.broken === 'content') throw damage('content', inode.number);
		return new MemorySource(Buffer.from(node.content ?? '', 'latin1'));
	}

	readLink(inode: Inode): string {
		return this.#get(inode).node.target ?? '';
	}

	xattrs(inode: Inode): readonly Xattr[] {
		return Object.entries(this.#get(inode).node.xattrs ?? {})
			.sort()
			.map(([name, value]) => ({ name, value: Buffer.from(value) }));
	}

	[Symbol.dispose](): void {
		// Nothing is held.
	}

	#get(inode: Inode): Made {
		return this.#made.get(inode.number)!; // OK: only inodes of this filesystem are asked for.
	}

	#make(node: Node): number {
		const number = node.inode ?? this.#next++;
		if (this.#made.has(number)) return number;
		const kind = node.kind ?? (node.children ? 'directory' : node.target === undefined ? 'file' : 'symlink');
		const time = (sec = 1000) => ({ sec, nsec: 0 });
		const inode: Inode = {
			number,
			generation: node.generation ?? 7,
			kind,
			size: node.content?.length ?? node.target?.length ?? 0,
			mode: node.mode ?? (kind === 'directory' ? 0o755 : 0o644),
			uid: node.uid ?? 0,
			gid: node.gid ?? 0,
			links: node.links ?? 1,
			atime: time(node.atime),
			mtime: time(node.mtime),
			ctime: time(node.ctime),
			crtime: undefined,
			device: node.device,
			attributes: [],
			problem: undefined,
		};
		const names: Dirent[] = [];
		this.#made.set(number, { node, inode, names });
		for (const [name, child] of Object.entries(node.children ?? {})) {
			names.push({ name, inode: this.#make(child), kind: undefined });
		}
		return number;
	}
}

function damage(field: string, actual: number): EngineError {
	return new EngineError('ERR_CORRUPT', `broken ${field} of ${actual}`, { format: 'memory', field, actual });
}
