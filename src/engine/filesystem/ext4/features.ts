/**
 * The feature bits of ext2, ext3 and ext4, by the names that `mke2fs -O` and `dumpe2fs` use.
 *
 * *compat*: a reader may ignore them. *ro_compat*: a reader may ignore them, a writer may not. *incompat*: who does not
 * know one must not touch the filesystem.
 *
 * Source: Linux, Documentation/filesystems/ext4/super.rst (s_feature_compat, s_feature_incompat, s_feature_ro_compat).
 */

export const COMPAT = {
	dir_prealloc: 0x1,
	imagic_inodes: 0x2,
	has_journal: 0x4,
	ext_attr: 0x8,
	resize_inode: 0x10,
	dir_index: 0x20,
	lazy_bg: 0x40,
	exclude_inode: 0x80,
	snapshot_bitmap: 0x100,
	sparse_super2: 0x200,
	fast_commit: 0x400,
	stable_inodes: 0x800,
	orphan_file: 0x1000,
} as const;

export const INCOMPAT = {
	compression: 0x1,
	filetype: 0x2,
	needs_recovery: 0x4,
	journal_dev: 0x8,
	meta_bg: 0x10,
	extent: 0x40,
	'64bit': 0x80,
	mmp: 0x100,
	flex_bg: 0x200,
	ea_inode: 0x400,
	dirdata: 0x1000,
	metadata_csum_seed: 0x2000,
	large_dir: 0x4000,
	inline_data: 0x8000,
	encrypt: 0x10000,
	casefold: 0x20000,
} as const;

export const RO_COMPAT = {
	sparse_super: 0x1,
	large_file: 0x2,
	btree_dir: 0x4,
	huge_file: 0x8,
	uninit_bg: 0x10,
	dir_nlink: 0x20,
	extra_isize: 0x40,
	has_snapshot: 0x80,
	quota: 0x100,
	bigalloc: 0x200,
	metadata_csum: 0x400,
	replica: 0x800,
	read_only: 0x1000,
	project: 0x2000,
	shared_blocks: 0x4000,
	verity: 0x8000,
	orphan_present: 0x10000,
} as const;

/** Read by nobody: `compression` never left a patch, `dirdata` is Lustre's; `journal_dev` marks a journal, not a filesystem. */
const UNREAD: readonly (keyof typeof INCOMPAT)[] = ['compression', 'dirdata', 'journal_dev'];

/** What an ext3 driver knows; whoever has more is ext4. */
const EXT3_INCOMPAT = INCOMPAT.filetype | INCOMPAT.needs_recovery | INCOMPAT.meta_bg;
const EXT3_RO_COMPAT = RO_COMPAT.sparse_super | RO_COMPAT.large_file | RO_COMPAT.btree_dir;

export interface FeatureWords {
	readonly featureCompat: number;
	readonly featureIncompat: number;
	readonly featureRoCompat: number;
}

/** Names of the bits set in one word; a bit without a name is `unknown bit 0x…`. */
export function featureNames(table: Readonly<Record<string, number>>, word: number): string[] {
	const names = Object.entries(table)
		.filter(([, mask]) => (word & mask) !== 0)
		.map(([name]) => name);
	return [...names, ...unknownBits(table, word)];
}

/** Bits that no name is known for, as text. */
export function unknownBits(table: Readonly<Record<string, number>>, word: number): string[] {
	const known = Object.values(table).reduce((all, mask) => all | mask, 0);
	const names: string[] = [];
	for (let i = 0; i < 32; i++) {
		if ((word & ~known & (1 << i)) !== 0) names.push(`unknown bit 0x${(2 ** i).toString(16)}`);
	}
	return names;
}

/** Names of the incompatible features that are set and cannot be read. */
export function unreadableFeatures(featureIncompat: number): string[] {
	return [
		...UNREAD.filter(name => (featureIncompat & INCOMPAT[name]) !== 0),
		...unknownBits(INCOMPAT, featureIncompat),
	];
}

/** `ext2`, `ext3` or `ext4`, by what a driver of that name would have to know. */
export function filesystemType(words: FeatureWords): 'ext2' | 'ext3' | 'ext4' {
	if ((words.featureIncompat & ~EXT3_INCOMPAT) !== 0 || (words.featureRoCompat & ~EXT3_RO_COMPAT) !== 0) return 'ext4';
	return (words.featureCompat & COMPAT.has_journal) !== 0 ? 'ext3' : 'ext2';
}
