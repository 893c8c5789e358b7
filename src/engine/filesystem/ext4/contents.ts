/** What inodes hold: content of files, targets of links, extended attributes. */
import type { ByteSource } from '../../io/source.js';
import { EngineError, corrupt } from '../../util/errors.js';
import { rawFromBytes, type RawName } from '../../util/names.js';
import type { Inode, Xattr } from '../filesystem.js';
import type { Core } from './core.js';
import { FileContent } from './file.js';
import { InlineContent } from './inline.js';
import { BLOCK, BLOCK_SIZE, FLAG, FLAGS, SIZE_LO, decodeContent } from './inode.js';
import type { Inodes } from './inodes.js';
import { hasXattrs, inlineRest, readXattrs, type XattrPlace } from './xattr.js';

const NO_XATTRS: readonly Xattr[] = [];

export class Contents {
	constructor(
		private readonly core: Core,
		private readonly volume: ByteSource,
		private readonly inodes: Inodes,
	) {}

	openFile({ kind, number }: Inode): ByteSource {
		if (kind === 'directory') throw new EngineError('ERR_IS_A_DIRECTORY', `inode ${number} is a directory`);
		if (kind !== 'file') throw new EngineError('ERR_USAGE', `inode ${number} is a ${kind}: it has no content`);
		return this.#open(number);
	}

	readLink({ kind, number }: Inode): RawName {
		if (kind !== 'symlink') throw new EngineError('ERR_USAGE', `inode ${number} is no symbolic link`);
		const { superblock } = this.core;
		const at = this.inodes.offset(number);
		const raw = this.inodes.raw(number).slice();
		const { size, xattrBlock, allocated, flags } = decodeContent(superblock, number, raw, 0, at);
		const ownBlocks = allocated - (xattrBlock === 0 ? 0 : superblock.clusterSize);
		const isFast = ownBlocks === 0 && (flags & (FLAG.inlineData | FLAG.encrypted)) === 0;
		const most = isFast ? BLOCK_SIZE - 1 : superblock.blockSize;
		if (most < size) corrupt('ext4', `i_size of inode ${number}`, at + SIZE_LO, `at most ${most}`, size);
		if (isFast) return rawFromBytes(raw.subarray(BLOCK, BLOCK + size));
		const target = new Uint8Array(size);
		this.#open(number).read(0, target);
		return rawFromBytes(target);
	}

	xattrs({ number }: Inode): readonly Xattr[] {
		const raw = this.inodes.raw(number);
		// Most inodes have none: a walk over 100,000 should not copy each to find that out.
		return hasXattrs(this.core.superblock, raw) ? readXattrs(this.#xattrPlace(number, raw.slice())) : NO_XATTRS;
	}

	/** What follows the first 60 bytes of content that is kept in an inode. */
	inlineRest(number: number, raw: Uint8Array): Uint8Array {
		return inlineRest(this.#xattrPlace(number, raw));
	}

	#open(number: number): ByteSource {
		const { superblock } = this.core;
		const raw = this.inodes.raw(number).slice();
		const { flags, size } = decodeContent(superblock, number, raw, 0, this.inodes.offset(number));
		if ((flags & FLAG.encrypted) !== 0) {
			const details = { format: 'ext4', field: `i_flags of inode ${number}` };
			throw new EngineError('ERR_ENCRYPTED', `ext4: inode ${number} is encrypted, and there is no key`, details);
		}
		if ((flags & FLAG.inlineData) !== 0) {
			const rest = BLOCK_SIZE < size ? this.inlineRest(number, raw) : new Uint8Array(0);
			return new InlineContent(raw.subarray(BLOCK, BLOCK + BLOCK_SIZE), rest, size);
		}
		const runs = (from: number, to: number) => this.inodes.runs(number, from, to, new Set());
		return new FileContent(this.volume, superblock.blockSize, size, runs);
	}

	#xattrPlace(inode: number, raw: Uint8Array): XattrPlace {
		const { xattrBlock, generation } = decodeContent(this.core.superblock, inode, raw, 0, this.inodes.offset(inode));
		const readValue: XattrPlace['readValue'] = (number, size) => {
			const holder = this.inodes.inode(number);
			const at = this.inodes.offset(number);
			if (holder.kind !== 'file' || (holder.flags & FLAG.eaInode) === 0) {
				corrupt('ext4', `i_flags of inode ${number}`, at + FLAGS, 'an inode of attributes', holder.flags);
			}
			if (holder.size !== size) corrupt('ext4', `i_size of inode ${number}`, at + SIZE_LO, size, holder.size);
			const value = new Uint8Array(size);
			this.#open(number).read(0, value);
			// Lustre's own kind says whose it is, where Linux keeps the value's hash.
			const isLustre = holder.mtime.sec >>> 0 === inode && holder.generation === generation;
			return { value, hash: isLustre ? undefined : holder.atime.sec >>> 0 };
		};
		return { core: this.core, inode, raw, block: xattrBlock, readValue };
	}
}
