/**
 * Random histories, and every two moments of them compared in every way: by changed clusters, by walking with and without
 * identities, and by the kernel. All have to agree, record for record.
 *
 * A few run by default. `STRATA_PROPERTY_RUNS=200` runs as many, from `STRATA_PROPERTY_SEED` on.
 */
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { test } from 'node:test';
import { Ext4 } from '../../../src/engine/filesystem/ext4/ext4.js';
import { FileSource } from '../../../src/engine/io/file.js';
import { SliceSource } from '../../../src/engine/io/slice.js';
import { LiveExt4, type LiveExt4Options } from '../../oracles/live-ext4.js';
import { listFilesystem, withDirectoriesOf, type Listing } from '../../oracles/listing.js';
import { Random, RandomHistory } from './random-history.js';
import { assertExact } from './truth.js';

const RUNS = process.env['STRATA_PROPERTY_RUNS'];
const FIRST_SEED = Number(process.env['STRATA_PROPERTY_SEED'] ?? 1);
/** Without being asked for a number of runs, no run begins after this. */
const MAX_MILLISECONDS = 75_000;
const SNAPSHOTS = 4;

const FILESYSTEMS: readonly (readonly string[])[] = [
	[],
	['-b', '1024'],
	['-O', 'inline_data', '-I', '256'],
	['-O', 'inline_data,ea_inode', '-b', '1024', '-I', '512'],
	['-O', 'bigalloc', '-C', '16384'],
	['-O', '^extent,^64bit,^flex_bg,^metadata_csum,uninit_bg', '-b', '1024'],
	['-O', 'meta_bg,^resize_inode', '-b', '1024'],
	['-O', 'orphan_file', '-J', 'size=4'],
];
const JOURNALS: readonly { readonly mkfs?: string; readonly mount?: string; readonly fsyncPercent: number }[] = [
	{ fsyncPercent: 10 },
	{ mount: 'data=journal', fsyncPercent: 10 },
	{ mkfs: 'fast_commit', mount: 'commit=300', fsyncPercent: 80 },
	{ mount: 'commit=300,nodelalloc,strictatime', fsyncPercent: 30 },
	// What a crash leaves may contradict itself; all ways have to read it alike.
	{ mkfs: '^has_journal', fsyncPercent: 30 },
];
const IMAGES: readonly (string | undefined)[] = [
	undefined,
	'cluster_size=4096',
	'cluster_size=512',
	'extended_l2=on',
	'cluster_size=1M',
	'compat=0.10',
];

const count = RUNS === undefined ? 8 : Number(RUNS);
const started = Date.now();
for (let i = 0; i < count; i++) {
	const seed = FIRST_SEED + i;
	test(`seed ${seed}`, async context => {
		if (RUNS === undefined && Date.now() - started > MAX_MILLISECONDS) {
			context.diagnostic('not run: the time that the test gives itself is over');
			return;
		}
		await runHistory(seed);
	});
}

async function runHistory(seed: number): Promise<void> {
	const random = new Random(seed * 7919);
	// The journal goes round with the seeds, so that a few of them have had each.
	const journal = JOURNALS[seed % JOURNALS.length]!; // OK: inside.
	const picked = random.pick(FILESYSTEMS);
	// Linux 6.18 logs the block that inline data moves to, and no revoke when it is freed: recovery writes the old bytes
	// over the file that has the block by then. What is read here is the same, but not what the mount showed.
	const isLossy = journal.mkfs === 'fast_commit' && picked.some(arg => arg.includes('inline_data'));
	const hasJournal = journal.mkfs !== '^has_journal';
	const mkfs = isLossy || (!hasJournal && picked.includes('-J')) ? [] : picked;
	const imageOptions = random.pick(IMAGES);
	const options: LiveExt4Options = {
		sizeMiB: 48,
		partitioned: random.chance(30),
		mkfs: journal.mkfs === undefined ? mkfs : withFeature(mkfs, journal.mkfs),
		...(journal.mount === undefined ? {} : { mountOptions: journal.mount }),
		...(imageOptions === undefined ? {} : { imageOptions }),
	};
	await using live = LiveExt4.create(options);
	await live.mount();
	const extents = !mkfs.some(arg => arg.includes('^extent'));
	// A fast commit has an inode without its attributes. Recovery leaves there what an older file of that number had, so a
	// mount after it shows attributes that the mount before it did not.
	const xattrs = journal.mkfs !== 'fast_commit';
	const { fsyncPercent } = journal;
	const history = new RandomHistory(random, live.mountpoint, { extents, xattrs, fsyncPercent });
	history.run(60);
	const names: string[] = [];
	for (let i = 0; i < SNAPSHOTS; i++) {
		if (random.chance(30)) execFileSync('sync', ['-f', live.mountpoint]);
		await live.snapshot(`s${i}`);
		names.push(`s${i}`);
		history.run(random.pick([1, 5, 20, 60]));
	}
	history.close();
	await live.unmount();
	const states: (string | undefined)[] = [...names, undefined];
	const listings = new Map<string | undefined, Listing>();
	for (const name of hasJournal ? states : []) {
		const shown = live.kernelListing(name);
		listings.set(name, journal.mkfs === 'fast_commit' ? adaptDirectories(live, name, shown) : shown);
	}
	const top = options.partitioned ? '/p1' : '/disk';
	const message = `seed ${seed}, ${JSON.stringify(options)}`;
	try {
		for (const a of states) {
			for (const b of states) {
				if (a === b) continue;
				assertExact(live.image, [a, b], {
					// OK: made above.
					...(hasJournal ? { before: listings.get(a)!, after: listings.get(b)! } : {}),
					top,
					message,
					// Values of attributes that have inodes of their own may need a walk; so may fast commits, which leave
					// made directories without blocks and counts of links as they were.
					...(!hasJournal || mkfs.some(arg => arg.includes('ea_inode')) || journal.mkfs === 'fast_commit'
						? {}
						: { method: 'fast' as const }),
				});
			}
		}
	} catch (error) {
		if (process.env['STRATA_PROPERTY_KEEP']) {
			execFileSync('cp', [live.image, `/tmp/strata-property-${seed}.qcow2`]);
		}
		if (error instanceof Error) error.message = `${message}\n${error.message}`;
		throw error;
	}
}

function adaptDirectories(live: LiveExt4, state: string | undefined, shown: Listing): Listing {
	const raw = live.rawCopy(state);
	using disk = FileSource.open(raw);
	const size = disk.size - 2 * live.offset;
	const adapted = withDirectoriesOf(listFilesystem(Ext4.open(new SliceSource(disk, live.offset, size))), shown);
	rmSync(raw);
	return adapted;
}

function withFeature(mkfs: readonly string[], feature: string): readonly string[] {
	const at = mkfs.indexOf('-O');
	return at < 0 ? [...mkfs, '-O', feature] : mkfs.map((arg, i) => (i === at + 1 ? `${arg},${feature}` : arg));
}
