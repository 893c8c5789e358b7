/** The cases, on filesystems and images of every kind that Strata reads, held against the kernel. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import type { DiffResult } from '../../../src/engine/compare/diff.js';
import { LiveExt4, type LiveExt4Options } from '../../oracles/live-ext4.js';
import type { Listing } from '../../oracles/listing.js';
import { CASES, folderOf, type Case } from './cases.js';
import { assertExact, linesOf } from './truth.js';

interface Kind {
	readonly name: string;
	readonly options: LiveExt4Options;
	readonly without?: readonly Case['needs'][];
	/** Snapshots are made while it is mounted and nothing is flushed, so that the journal holds the change. */
	readonly live?: boolean;
	/** Called with the image before it is mounted first. */
	readonly prepareImage?: (image: string) => void;
}

/** What ext4 has and ext3 has not. */
const EXT3 = '^extent,^64bit,^flex_bg,^huge_file,^uninit_bg,^dir_nlink,^extra_isize,^metadata_csum';

const KINDS: readonly Kind[] = [
	{ name: 'ext4 in a GPT partition, unmounted for each snapshot', options: { partitioned: true } },
	{ name: 'ext4, mounted', options: {}, live: true },
	{ name: 'ext4, data=journal, mounted', options: { mountOptions: 'data=journal' }, live: true },
	{ name: 'ext4, fast_commit, mounted', options: { mkfs: ['-O', 'fast_commit'] }, live: true },
	{
		name: 'ext3 with blocks of 1 KiB, indirect blocks and small groups, clusters of 2 MiB',
		options: { mkfs: ['-O', EXT3, '-b', '1024', '-g', '1024', '-N', '4096'], imageOptions: 'cluster_size=2M' },
		without: ['extents'],
	},
	{
		name: 'ext2 with inodes of 128 bytes',
		options: { mkfs: ['-O', `^has_journal,${EXT3}`, '-I', '128', '-b', '4096'] },
		without: ['extents'],
	},
	{
		name: 'inline data and attributes in inodes, subclusters',
		options: { mkfs: ['-O', 'inline_data,ea_inode', '-I', '512'], imageOptions: 'extended_l2=on,cluster_size=128k' },
	},
	{
		name: 'bigalloc, clusters of 512 bytes',
		options: { mkfs: ['-O', 'bigalloc', '-C', '16384'], imageOptions: 'cluster_size=512' },
	},
	{
		name: 'meta_bg without resize_inode, qcow2 version 2',
		options: { mkfs: ['-O', 'meta_bg,^resize_inode', '-b', '1024'], imageOptions: 'compat=0.10' },
	},
	{
		name: 'orphan file, checksums of groups alone',
		options: { mkfs: ['-O', 'orphan_file,^metadata_csum,uninit_bg'] },
	},
	{
		name: 'a chain: an overlay on a compressed backing file',
		options: {},
		prepareImage: image => {
			const base = image.replace('disk.qcow2', 'base.qcow2');
			execFileSync('qemu-img', ['convert', '-c', '-O', 'qcow2', image, base]);
			execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', 'base.qcow2', '-F', 'qcow2', image]);
		},
	},
	{
		name: 'an inode table full of stale inodes, initialised late',
		options: {
			mountOptions: 'init_itable=0',
			prepare: raw => {
				// An older filesystem, full of files; then a new one over it, which leaves the old inodes where they are.
				const mkfs = (...args: string[]): unknown => execFileSync('mke2fs', ['-q', '-F', '-t', 'ext4', ...args, raw]);
				mkfs('-N', '16384', '-d', 'src');
				mkfs('-N', '16384', '-E', 'nodiscard,lazy_itable_init=1');
			},
		},
		live: true,
	},
];

for (const kind of KINDS) {
	suite(kind.name, () => {
		let live: LiveExt4;
		let result: DiffResult;
		const listings = new Map<string, Listing>();
		const cases = CASES.map((one, i) => ({ ...one, folder: folderOf(i) })).filter(
			one => !one.needs || !kind.without?.includes(one.needs),
		);
		const top = kind.options.partitioned ? '/p1' : '/disk';

		before(async () => {
			live = LiveExt4.create({ sizeMiB: 64, ...kind.options });
			kind.prepareImage?.(live.image);
			const snapshot = async (name: string): Promise<void> => {
				if (!kind.live) await live.unmount();
				if (!kind.live) execFileSync('qemu-img', ['snapshot', '-c', name, live.image]);
				else await live.snapshot(name);
				if (!kind.live) await live.mount();
			};
			await live.mount();
			await snapshot('empty');
			for (const one of cases) {
				mkdirSync(join(live.mountpoint, one.folder));
				one.before(join(live.mountpoint, one.folder));
			}
			if (kind.live) execFileSync('sync', ['-f', live.mountpoint]);
			await snapshot('before');
			for (const one of cases) one.after(join(live.mountpoint, one.folder));
			if (kind.live) execFileSync('sync', ['-f', live.mountpoint]);
			await snapshot('after');
			renameSync(join(live.mountpoint, folderOf(0)), join(live.mountpoint, 'moved'));
			await live.unmount();
			for (const name of ['empty', 'before', 'after']) listings.set(name, live.kernelListing(name));
			listings.set('current', live.kernelListing());
		});
		after(() => live[Symbol.asyncDispose]());

		const pair = (a: string, b: string): DiffResult => {
			const name = (state: string) => (state === 'current' ? undefined : state);
			const [left, right] = [listings.get(a)!, listings.get(b)!]; // OK: made above.
			return assertExact(live.image, [name(a), name(b)], {
				before: left,
				after: right,
				top,
				method: 'fast',
				message: kind.name,
			});
		};

		for (const [a, b] of [
			['before', 'after'],
			['after', 'before'],
			['empty', 'after'],
			['after', 'empty'],
			['after', 'current'],
			['current', 'before'],
		] as const) {
			test(`${a} to ${b}: fast, walked with identities, walked with all bytes, and the kernel agree`, () => {
				const found = pair(a, b);
				if (a === 'before' && b === 'after') result = found;
			});
		}
		// What each case is told as does not depend on the filesystem, so it is said once.
		for (const { name, folder, expected } of kind === KINDS[0] ? cases : []) {
			test(name, () => {
				const prefix = `${top}/${folder}/`;
				const lines = linesOf(result.changes).filter(line => line.includes(prefix));
				assert.deepEqual(lines.map(line => line.replaceAll(prefix, '')).sort(), [...expected].sort());
			});
		}
	});
}
