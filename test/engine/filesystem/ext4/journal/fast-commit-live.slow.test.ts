/**
 * Fast commits of the running kernel against what its mount showed when they were written or, where that was asked for
 * (see live-ext4.ts), against that kernel's own recovery. e2fsck is no oracle here: version 1.47.0 replays
 * fast commits into something else than the kernel does (files that were removed come back in lost+found, sizes change).
 */
import assert from 'node:assert/strict';
import {
	chmodSync,
	chownSync,
	closeSync,
	fsyncSync,
	ftruncateSync,
	linkSync,
	mkdirSync,
	openSync,
	renameSync,
	rmdirSync,
	rmSync,
	symlinkSync,
	unlinkSync,
	utimesSync,
	writeFileSync,
	writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { Ext4 } from '../../../../../src/engine/filesystem/ext4/ext4.js';
import { FileSource } from '../../../../../src/engine/io/file.js';
import { compareListings, listFilesystem } from '../../../../oracles/listing.js';
import type { Listing } from '../../../../oracles/listing.js';
import { LiveExt4, run } from '../../../../oracles/live-ext4.js';
import { randomFrom, Workload } from '../../../../oracles/workload.js';

const SEED = Number(process.env['STRATA_SEED'] ?? 1);

function sync(path: string): void {
	const fd = openSync(path, 'r');
	fsyncSync(fd);
	closeSync(fd);
}

/** Open, change, fsync, close. */
function change(path: string, flags: string, how: (fd: number) => void): void {
	const fd = openSync(path, flags);
	try {
		how(fd);
		fsyncSync(fd);
	} finally {
		closeSync(fd);
	}
}

/** Each works in a folder with: old (20,000 bytes), gone, empty/, hard1 = hard2. Each ends in an fsync. */
const SCENARIOS: Readonly<Record<string, (top: string) => void>> = {
	append: top => change(join(top, 'old'), 'a', fd => writeSync(fd, 'x'.repeat(9000))),
	create: top => change(join(top, 'new'), 'wx', fd => writeSync(fd, 'hello'.repeat(3000))),
	'create empty': top => change(join(top, 'new'), 'wx', () => undefined),
	overwrite: top => change(join(top, 'old'), 'r+', fd => writeSync(fd, Buffer.alloc(5000, 66), 0, 5000, 100)),
	link: top => {
		linkSync(join(top, 'old'), join(top, 'old2'));
		sync(join(top, 'old'));
	},
	unlink: top => {
		unlinkSync(join(top, 'gone'));
		change(join(top, 'old'), 'a', fd => writeSync(fd, 'x'));
	},
	'unlink one of two': top => {
		unlinkSync(join(top, 'hard2'));
		sync(join(top, 'hard1'));
	},
	rename: top => {
		renameSync(join(top, 'old'), join(top, 'renamed'));
		sync(join(top, 'renamed'));
	},
	'rename over': top => {
		renameSync(join(top, 'old'), join(top, 'gone'));
		sync(join(top, 'gone'));
	},
	'atomic save': top => {
		change(join(top, 'old~'), 'wx', fd => writeSync(fd, 'new content'));
		renameSync(join(top, 'old~'), join(top, 'old'));
		sync(join(top, 'old'));
	},
	truncate: top => change(join(top, 'old'), 'r+', fd => ftruncateSync(fd, 5000)),
	'truncate to nothing': top => change(join(top, 'old'), 'r+', fd => ftruncateSync(fd, 0)),
	'truncate and grow again': top =>
		change(join(top, 'old'), 'r+', fd => {
			ftruncateSync(fd, 100);
			fsyncSync(fd);
			writeSync(fd, 'again', 18_000);
		}),
	'grow sparse': top => change(join(top, 'old'), 'r+', fd => ftruncateSync(fd, 500_000)),
	fallocate: top => {
		run('fallocate', ['-l', '300000', join(top, 'old')]);
		sync(join(top, 'old'));
	},
	'fallocate beyond the end': top => {
		run('fallocate', ['-n', '-l', '300000', join(top, 'old')]);
		sync(join(top, 'old'));
	},
	'write into what was allocated': top => {
		run('fallocate', ['-l', '300000', join(top, 'old')]);
		sync(join(top, 'old'));
		change(join(top, 'old'), 'r+', fd => writeSync(fd, 'here', 100_000));
	},
	'punch a hole': top => {
		run('fallocate', ['-p', '-o', '4096', '-l', '8192', join(top, 'old')]);
		sync(join(top, 'old'));
	},
	mkdir: top => {
		mkdirSync(join(top, 'made'));
		mkdirSync(join(top, 'made', 'below'));
		change(join(top, 'made', 'below', 'file'), 'wx', fd => writeSync(fd, 'x'));
	},
	rmdir: top => {
		rmdirSync(join(top, 'empty'));
		change(join(top, 'old'), 'a', fd => writeSync(fd, 'x'));
	},
	'mode, owner and times': top => {
		chmodSync(join(top, 'old'), 0o600);
		chownSync(join(top, 'old'), 70_000, 80_000);
		utimesSync(join(top, 'old'), 1e9, 1.5e9);
		sync(join(top, 'old'));
	},
	'an inode that is used again': top => {
		unlinkSync(join(top, 'gone'));
		change(join(top, 'again'), 'wx', fd => writeSync(fd, 'again'.repeat(100)));
	},
	'several commits': top => {
		change(join(top, 'a'), 'wx', fd => writeSync(fd, 'a'));
		change(join(top, 'b'), 'wx', fd => writeSync(fd, 'b'));
		unlinkSync(join(top, 'a'));
		change(join(top, 'b'), 'a', fd => writeSync(fd, 'bb'));
		renameSync(join(top, 'b'), join(top, 'a'));
		sync(join(top, 'a'));
	},
	'so many names that the directory grows': top => {
		for (let n = 0; n < 60; n++) {
			change(join(top, `a rather long name for a file ${n}`.padEnd(100, '.')), 'wx', fd => writeSync(fd, `${n}`));
		}
	},
	'many extents': top =>
		change(join(top, 'fragments'), 'wx', fd => {
			for (let n = 0; n < 40; n++) {
				writeSync(fd, 'f'.repeat(4096), n * 8192);
				if (n % 10 === 0) fsyncSync(fd);
			}
		}),
	'link, then unlink the first name': top => {
		writeFileSync(join(top, 't1'), 'x');
		linkSync(join(top, 't1'), join(top, 't2'));
		unlinkSync(join(top, 't1'));
		sync(join(top, 't2'));
	},
	// These two make a full commit in Linux 6.18; another kernel may do otherwise.
	symlink: top => {
		symlinkSync('target', join(top, 'link'));
		change(join(top, 'old'), 'a', fd => writeSync(fd, 'x'));
	},
	'extended attribute': top => {
		run('setfattr', ['-n', 'user.a', '-v', 'b', join(top, 'old')]);
		sync(join(top, 'old'));
	},
};

/** Arguments of mke2fs; which of the scenarios. */
const VARIANTS: readonly (readonly [string, readonly string[], RegExp])[] = [
	['4 KiB blocks', ['-b', '4096'], /./],
	['1 KiB blocks', ['-b', '1024'], /append|create$|trunc|punch|mkdir|grows|extents|again/],
	['inline data', ['-b', '4096', '-O', 'inline_data'], /create|save|mkdir|rmdir|grows|commits|unlink/],
];

/**
 * No record holds the time of a directory that got or lost a name: it stays what it was in the last full commit here,
 * and recovery sets it to the moment of mounting. Nor does one hold its count of links: recovery leaves a made directory
 * with one, and its parent with what it had.
 */
function compare(expected: Listing, actual: Listing, filesystem: Ext4): string[] {
	const touched = filesystem.replay?.fastCommit?.touchedDirectories ?? new Set<number>();
	for (const [path, file] of expected) {
		const mine = actual.get(path);
		if (mine && touched.has(file.inode)) expected.set(path, { ...file, mtime: mine.mtime, links: mine.links });
	}
	return compareListings(expected, actual);
}

/** @returns how many records of fast commits there were. */
function check(live: LiveExt4, snapshot: string, folder = ''): number {
	const raw = live.rawCopy(snapshot);
	const prefix = folder === '' ? '' : `/${folder}`;
	try {
		const filesystem = Ext4.open(FileSource.open(raw));
		const from = folder === '' ? 2 : filesystem.lookup(filesystem.inode(2), folder);
		const listing = listFilesystem(filesystem, from);
		assert.deepEqual(filesystem.problems, [], snapshot);
		const expected: Listing = new Map();
		for (const [path, file] of live.kernelListing(snapshot)) {
			if (path === prefix || path.startsWith(`${prefix}/`)) expected.set(path.slice(prefix.length) || '/', file);
		}
		assert.deepEqual(compare(expected, listing, filesystem), [], snapshot);
		return filesystem.replay?.fastCommit?.operations.length ?? 0;
	} finally {
		rmSync(raw);
	}
}

function make(mkfs: readonly string[]): LiveExt4 {
	return LiveExt4.create({ mkfs: [...mkfs, '-O', 'fast_commit', '-J', 'size=8'], sizeMiB: 48 });
}

async function runScenarios(mkfs: readonly string[], wanted: RegExp): Promise<void> {
	await using live = make(mkfs);
	await live.mount();
	const scenarios = Object.entries(SCENARIOS).filter(([name]) => wanted.test(name));
	for (const [n, [, act]] of scenarios.entries()) {
		const top = join(live.mountpoint, `folder ${n}`);
		mkdirSync(top);
		writeFileSync(join(top, 'old'), 'o'.repeat(20_000));
		writeFileSync(join(top, 'gone'), 'g'.repeat(7000));
		mkdirSync(join(top, 'empty'));
		writeFileSync(join(top, 'hard1'), 'h');
		linkSync(join(top, 'hard1'), join(top, 'hard2'));
		run('sync', ['-f', top]); // A full commit: fast ones count from it.
		act(top);
		await live.snapshot(`s${n}`);
	}
	await live.unmount();
	const without: string[] = [];
	for (const [n, [name]] of scenarios.entries()) if (check(live, `s${n}`, `folder ${n}`) === 0) without.push(name);
	const share = 1 - without.length / scenarios.length;
	assert.ok(share > 0.7, `only full commits: ${without.join(', ')}`);
}

async function runRandom(): Promise<void> {
	await using live = make(['-b', '4096']);
	await live.mount();
	const load = new Workload(live.mountpoint, randomFrom(SEED), { syncs: 0.9 });
	let records = 0;
	const count = 8;
	load.run(60);
	for (let n = 0; n < count; n++) {
		run('sync', ['-f', live.mountpoint]);
		load.run(25);
		await live.snapshot(`s${n}`);
	}
	load.closeOrphans();
	await live.unmount();
	for (let n = 0; n < count; n++) records += check(live, `s${n}`);
	assert.ok(records > 0, 'no fast commits: the test shows nothing');
}

describe('fast commits show what the mount showed', () => {
	for (const [variant, mkfs, wanted] of VARIANTS) {
		test(`each kind of record, ${variant}`, () => runScenarios(mkfs, wanted));
	}
	test(`random work with many fsyncs (seed ${SEED})`, runRandom);
});
