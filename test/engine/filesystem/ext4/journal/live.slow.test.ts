import assert from 'node:assert/strict';
import { copyFileSync, rmSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { Ext4 } from '../../../../../src/engine/filesystem/ext4/ext4.js';
import { FileSource } from '../../../../../src/engine/io/file.js';
import { SliceSource } from '../../../../../src/engine/io/slice.js';
import { compareListings, listFilesystem } from '../../../../oracles/listing.js';
import type { Listing } from '../../../../oracles/listing.js';
import { listRaw, LiveExt4 } from '../../../../oracles/live-ext4.js';
import type { LiveExt4Options } from '../../../../oracles/live-ext4.js';
import { randomFrom, Workload } from '../../../../oracles/workload.js';
import type { WorkloadOptions } from '../../../../oracles/workload.js';

interface Case {
	readonly name: string;
	readonly live: LiveExt4Options;
	readonly workload?: WorkloadOptions;
	/** Steps between two snapshots, and snapshots. */
	readonly steps: number;
	readonly snapshots: number;
	/** e2fsck of this version does the same as the kernel. */
	readonly e2fsck?: boolean;
}

const CASES: readonly Case[] = [
	{ name: 'ordered, 4 KiB blocks, partitioned', live: { mkfs: ['-b', '4096'], partitioned: true }, steps: 150, snapshots: 4, e2fsck: true }, // prettier-ignore
	{ name: 'data=journal', live: { mkfs: ['-b', '4096'], mountOptions: 'data=journal' }, steps: 120, snapshots: 4, e2fsck: true }, // prettier-ignore
	{ name: 'journal_async_commit', live: { mkfs: ['-b', '4096'], mountOptions: 'data=writeback,journal_async_commit' }, steps: 120, snapshots: 4, e2fsck: true }, // prettier-ignore
	{ name: 'checksums v1: no metadata_csum, journal_checksum', live: { mkfs: ['-b', '4096', '-O', '^metadata_csum'], mountOptions: 'data=journal,journal_checksum' }, steps: 120, snapshots: 3, e2fsck: true }, // prettier-ignore
	{ name: '1 KiB blocks, a journal of 1 MiB that wraps', live: { mkfs: ['-b', '1024', '-J', 'size=1'] }, steps: 250, snapshots: 4, e2fsck: true }, // prettier-ignore
	{ name: 'data=journal in a small journal: revokes and wraps', live: { mkfs: ['-b', '1024', '-J', 'size=2', '-O', '^64bit,^metadata_csum'], mountOptions: 'data=journal' }, steps: 250, snapshots: 4, e2fsck: true }, // prettier-ignore
];

const SEED = Number(process.env['STRATA_SEED'] ?? 1);

function compare(expected: Listing, actual: Listing): void {
	assert.deepEqual(compareListings(expected, actual), []);
}

function listOurs(raw: string, offset: number): { listing: Listing; filesystem: Ext4 } {
	const file = FileSource.open(raw);
	const filesystem = Ext4.open(new SliceSource(file, offset, file.size - 2 * offset));
	return { listing: listFilesystem(filesystem), filesystem };
}

async function runCase({ live: options, workload, steps, snapshots, e2fsck }: Case): Promise<void> {
	await using live = LiveExt4.create(options);
	await live.mount();
	const load = new Workload(live.mountpoint, randomFrom(SEED), workload);
	for (let n = 0; n < snapshots; n++) {
		load.run(steps);
		await live.snapshot(`s${n}`);
	}
	load.closeOrphans();
	await live.unmount();

	let replayed = 0;
	for (let n = 0; n < snapshots; n++) {
		const raw = live.rawCopy(`s${n}`);
		const ours = listOurs(raw, live.offset);
		replayed += ours.filesystem.replay?.blocks.size ?? 0;
		assert.deepEqual(ours.filesystem.problems, [], `s${n}`);
		if (e2fsck && n === snapshots - 1) {
			const copy = `${raw}.e2fsck`;
			copyFileSync(raw, copy);
			spawnSync('e2fsck', ['-fy', live.offset === 0 ? copy : `${copy}?offset=${live.offset}`]);
			compare(listRaw(copy, { offset: live.offset }), ours.listing);
			rmSync(copy);
		}
		compare(listRaw(raw, { offset: live.offset, recover: true }), ours.listing);
		rmSync(raw);
	}
	assert.ok(replayed > 0, 'no snapshot needed a replay: the test shows nothing');
}

describe(`snapshots of a mounted filesystem show what the kernel's recovery shows (seed ${SEED})`, () => {
	for (const one of CASES) test(one.name, () => runCase(one));
});
