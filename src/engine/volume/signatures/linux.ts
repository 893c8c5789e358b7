/**
 * Filesystems that are at home on Linux. Each is told by its magic number and by one or two fields that a stray magic
 * number would not have; none is verified here: that is its reader's work.
 *
 * Sources: the kernel's documentation and headers of each filesystem (names of fields are theirs). Oracle: blkid.
 */
import { isPowerOfTwoBetween, labelOf, uuidOf, wideLabelOf, type Matcher } from './probe.js';

const EXT_COMPAT_HAS_JOURNAL = 0x4;
const EXT_INCOMPAT_JOURNAL_DEV = 0x8;
/** FILETYPE, META_BG: what ext2 knows. */
const EXT2_INCOMPAT = 0x2 | 0x10;
/** FILETYPE, RECOVER, META_BG: what ext3 knows. */
const EXT3_INCOMPAT = 0x2 | 0x4 | 0x10;
/** SPARSE_SUPER, LARGE_FILE, BTREE_DIR: what ext2 and ext3 know. */
const EXT3_RO_COMPAT = 0x1 | 0x2 | 0x4;

/** ext2, ext3 and ext4 are one format; which it is called depends on the features that are set. */
export const ext: Matcher = probe => {
	const superblock = probe.at(1024, 1024);
	if (!superblock || superblock.readUInt16LE(0x38) !== 0xef53) return undefined; // s_magic
	const compat = superblock.readUInt32LE(0x5c);
	const incompat = superblock.readUInt32LE(0x60);
	const roCompat = superblock.readUInt32LE(0x64);
	const hasJournal = (compat & EXT_COMPAT_HAS_JOURNAL) !== 0;
	let type = 'ext4';
	if ((incompat & EXT_INCOMPAT_JOURNAL_DEV) !== 0) type = 'jbd';
	else if ((roCompat & ~EXT3_RO_COMPAT) === 0) {
		if (hasJournal && (incompat & ~EXT3_INCOMPAT) === 0) type = 'ext3';
		if (!hasJournal && (incompat & ~EXT2_INCOMPAT) === 0) type = 'ext2';
	}
	return { type, label: labelOf(superblock.subarray(0x78, 0x88)), uuid: uuidOf(superblock.subarray(0x68, 0x78)) };
};

export const xfs: Matcher = probe => {
	const superblock = probe.at(0, 512);
	if (!superblock || !probe.has(0, 'XFSB')) return undefined;
	if (!isPowerOfTwoBetween(superblock.readUInt32BE(4), 512, 65536)) return undefined; // sb_blocksize
	return { type: 'xfs', label: labelOf(superblock.subarray(108, 120)), uuid: uuidOf(superblock.subarray(32, 48)) };
};

export const btrfs: Matcher = probe => {
	const superblock = probe.at(0x10000, 1024);
	if (!superblock || !probe.has(0x10040, '_BHRfS_M')) return undefined;
	return { type: 'btrfs', label: labelOf(superblock.subarray(299, 555)), uuid: uuidOf(superblock.subarray(32, 48)) };
};

export const f2fs: Matcher = probe => {
	const superblock = probe.at(1024, 1152);
	if (superblock?.readUInt32LE(0) !== 0xf2f52010) return undefined;
	// Version 1.0 had neither.
	if (superblock.readUInt16LE(4) === 1 && superblock.readUInt16LE(6) === 0) {
		return { type: 'f2fs', label: '', uuid: '' };
	}
	return {
		type: 'f2fs',
		label: wideLabelOf(superblock.subarray(124, 124 + 1024)),
		uuid: uuidOf(superblock.subarray(108, 124)),
	};
};

export const jfs: Matcher = probe => {
	const superblock = probe.at(32768, 184);
	if (!superblock || !probe.has(32768, 'JFS1')) return undefined;
	const blockSizeLog = superblock.readUInt16LE(20); // s_l2bsize
	if (blockSizeLog > 31 || superblock.readUInt32LE(16) !== 2 ** blockSizeLog) return undefined;
	return { type: 'jfs', label: labelOf(superblock.subarray(152, 168)), uuid: uuidOf(superblock.subarray(136, 152)) };
};

export const reiserfs: Matcher = probe => {
	for (const offset of [65536, 8192]) {
		const superblock = probe.at(offset, 204);
		const magic = superblock?.toString('latin1', 52, 61) ?? '';
		if (!superblock || !/^(ReIsErFs|ReIsEr[23]Fs)/.test(magic)) continue;
		if (superblock.readUInt16LE(44) < 1024) continue; // s_blocksize
		if (magic.startsWith('ReIsErFs')) return { type: 'reiserfs', label: '', uuid: '' };
		return {
			type: 'reiserfs',
			label: labelOf(superblock.subarray(100, 116)),
			uuid: uuidOf(superblock.subarray(84, 100)),
		};
	}
	return undefined;
};

export const squashfs: Matcher = probe => {
	const superblock = probe.at(0, 96);
	if (!superblock) return undefined;
	const magic = superblock.toString('latin1', 0, 4);
	if (magic !== 'hsqs' && magic !== 'sqsh') return undefined;
	const major = magic === 'hsqs' ? superblock.readUInt16LE(28) : superblock.readUInt16BE(28);
	return { type: major < 4 ? 'squashfs3' : 'squashfs', label: '', uuid: '' };
};

export const erofs: Matcher = probe => {
	const superblock = probe.at(1024, 128);
	if (superblock?.readUInt32LE(0) !== 0xe0f5e1e2) return undefined;
	return { type: 'erofs', label: labelOf(superblock.subarray(64, 80)), uuid: uuidOf(superblock.subarray(48, 64)) };
};

/** Magic at the end of the first page of swap space, whatever the page's size was; and its state while hibernated. */
const SWAP_MAGICS = ['SWAP-SPACE', 'SWAPSPACE2'];
const SUSPEND_MAGICS = ['S1SUSPEND', 'S2SUSPEND', 'ULSUSPEND', 'LINHIB0001', '\xed\xc3\x02\xe9\x98\x56\xe5\x0c'];

export const swap: Matcher = probe => {
	for (const pageSize of [4096, 8192, 16384, 32768, 65536]) {
		const magic = probe.at(pageSize - 10, 10)?.toString('latin1');
		if (magic === undefined) break;
		const suspended = SUSPEND_MAGICS.some(known => magic.startsWith(known));
		if (!suspended && !SWAP_MAGICS.includes(magic)) continue;
		const header = probe.at(1024, 256);
		const type = suspended ? 'swsuspend' : 'swap';
		if (!header) return { type, label: '', uuid: '' };
		// In an old swap space, or one of the other byte order without these fields, code or garbage lies here.
		const hasNames = [1, 0x01000000].includes(header.readUInt32LE(0)) && magic !== 'SWAP-SPACE';
		return {
			type,
			label: hasNames ? labelOf(header.subarray(28, 44)) : '',
			uuid: hasNames ? uuidOf(header.subarray(12, 28)) : '',
		};
	}
	return undefined;
};
