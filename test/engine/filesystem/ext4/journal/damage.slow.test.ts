/** Journals of the running kernel, damaged at one place: the kernel mounts them or refuses, and so it must be told here. */
import assert from 'node:assert/strict';
import { closeSync, copyFileSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { describe, test } from 'node:test';
import { Ext4 } from '../../../../../src/engine/filesystem/ext4/ext4.js';
import { FileSource } from '../../../../../src/engine/io/file.js';
import { compareListings, listFilesystem } from '../../../../oracles/listing.js';
import type { Listing } from '../../../../oracles/listing.js';
import { listRaw, LiveExt4 } from '../../../../oracles/live-ext4.js';
import { randomFrom, Workload } from '../../../../oracles/workload.js';

type Kind = 'descriptor' | 'data' | 'revoke' | 'commit';
interface Place {
	readonly kind: Kind;
	/** Bytes, in the raw disk. */
	readonly offset: number;
}

const BLOCK_SIZE = 4096;
const MAGIC = 0xc03b3998;

/** The log's blocks in order, by reading their headers: a second opinion on the engine's walk. Checksums of version 3. */
function placesOf(raw: string, filesystem: Ext4): Place[] {
	const disk = readFileSync(raw);
	const blocks: number[] = [];
	for (const run of filesystem.blockRuns(8)) for (let n = 0; n < run.count; n++) blocks.push(run.physical + n);
	const at = (index: number) => blocks[index]! * BLOCK_SIZE; // OK: the log lies inside the journal.
	const superblock = at(0);
	const first = disk.readUInt32BE(superblock + 20);
	const end = disk.readUInt32BE(superblock + 16);
	let sequence = disk.readUInt32BE(superblock + 24);
	let index = disk.readUInt32BE(superblock + 28);
	const next = () => (index = index + 1 === end ? first : index + 1);
	const places: Place[] = [];
	const isLog = () => disk.readUInt32BE(at(index)) === MAGIC && disk.readUInt32BE(at(index) + 8) === sequence;
	for (; isLog(); next()) {
		const offset = at(index);
		const type = disk.readUInt32BE(offset + 4);
		if (type === 2) {
			places.push({ kind: 'commit', offset });
			sequence++;
		} else if (type === 5) {
			places.push({ kind: 'revoke', offset });
		} else {
			places.push({ kind: 'descriptor', offset });
			for (let tag = offset + 12, flags = 0; (flags & 8) === 0; tag += (flags & 2) === 0 ? 32 : 16) {
				flags = disk.readUInt32BE(tag + 4);
				next();
				places.push({ kind: 'data', offset: at(index) });
			}
		}
	}
	return places;
}

interface Damage {
	readonly name: string;
	readonly kind: Kind;
	/** Which of its kind, counted from the end when negative. */
	readonly which: number;
	readonly write: (block: Buffer) => void;
	/** What mounting does. */
	readonly kernel: 'mounts' | 'fails';
	/** After a failed mount, the kernel has written what is shown here. */
	readonly replaysBefore?: boolean;
	readonly async?: boolean;
}

const flip = (at: number) => (block: Buffer) => block.writeUInt8(block.readUInt8(at) ^ 1, at);

const DAMAGES: readonly Damage[] = [
	{ name: 'none', kind: 'commit', which: -1, write: () => undefined, kernel: 'mounts' },
	{ name: 'last commit block missing', kind: 'commit', which: -1, write: block => block.fill(0), kernel: 'mounts' },
	{ name: 'a commit block in the middle missing', kind: 'commit', which: 1, write: block => block.fill(0), kernel: 'mounts' }, // prettier-ignore
	{ name: 'of the last commit block the header alone', kind: 'commit', which: -1, write: block => block.fill(0xee, 512), kernel: 'mounts' }, // prettier-ignore
	{ name: 'a wrong number in a descriptor', kind: 'descriptor', which: 2, write: flip(11), kernel: 'mounts' },
	{ name: 'a wrong data block', kind: 'data', which: -2, write: flip(100), kernel: 'fails', replaysBefore: true },
	{ name: 'a wrong checksum of the last commit', kind: 'commit', which: -1, write: flip(18), kernel: 'fails', replaysBefore: true }, // prettier-ignore
	{ name: 'a wrong checksum of a commit in the middle', kind: 'commit', which: 1, write: flip(18), kernel: 'fails', replaysBefore: true }, // prettier-ignore
	{ name: 'a wrong checksum of a descriptor', kind: 'descriptor', which: -1, write: flip(20), kernel: 'fails' },
	{ name: 'a wrong checksum of the last commit', kind: 'commit', which: -1, write: flip(18), kernel: 'mounts', async: true }, // prettier-ignore
];

/** Four transactions or more, none of them written back. */
async function makeSnapshot(mountOptions: string): Promise<LiveExt4> {
	const live = LiveExt4.create({ mkfs: ['-b', '4096'], sizeMiB: 32, mountOptions });
	try {
		await live.mount();
		const load = new Workload(live.mountpoint, randomFrom(7), { syncs: 0.8, tools: false, maxWrite: 5000 });
		load.run(60);
		await live.snapshot('s');
		load.closeOrphans();
		return live;
	} catch (error) {
		live.killNow();
		throw error;
	}
}

function mountOrNot(raw: string): Listing | undefined {
	try {
		return listRaw(raw, { recover: true });
	} catch (error) {
		if (error instanceof Error && error.message.startsWith('mount ')) return undefined;
		throw error;
	}
}

async function runDamages(options: string, isAsync: boolean): Promise<void> {
	await using live = await makeSnapshot(options);
	await live.unmount();
	const original = live.rawCopy('s');
	const places = placesOf(original, Ext4.open(FileSource.open(original)));
	assert.ok(places.filter(place => place.kind === 'commit').length >= 4, 'too few transactions');
	for (const damage of DAMAGES.filter(one => (one.async ?? false) === isAsync)) {
		const raw = `${original}.damaged`;
		copyFileSync(original, raw);
		const { offset } = places.filter(place => place.kind === damage.kind).at(damage.which)!; // OK: there are enough.
		const block = readFileSync(raw).subarray(offset, offset + BLOCK_SIZE);
		damage.write(block);
		const fd = openSync(raw, 'r+');
		writeSync(fd, block, 0, BLOCK_SIZE, offset);
		closeSync(fd);

		const filesystem = Ext4.open(FileSource.open(raw));
		const blocks = new Map(filesystem.replay!.blocks); // OK: the snapshot was not clean.
		const problems = [...filesystem.problems];
		if (damage.kernel === 'mounts') {
			const listing = listFilesystem(filesystem);
			const kernel = mountOrNot(raw);
			assert.ok(kernel, `${damage.name}: mounts`);
			assert.deepEqual(problems, [], damage.name);
			assert.deepEqual(compareListings(kernel, listing), [], damage.name);
		} else {
			assert.equal(mountOrNot(raw), undefined, `${damage.name}: does not mount`);
			assert.ok(problems.length > 0, `${damage.name}: is told`);
			if (damage.replaysBefore) {
				const after = readFileSync(raw);
				for (const [number, bytes] of blocks) {
					const written = after.subarray(number * BLOCK_SIZE, (number + 1) * BLOCK_SIZE);
					if (number > 0) assert.ok(written.equals(bytes), `${damage.name}: block ${number}`);
				}
			}
		}
		rmSync(raw);
	}
}

describe('a damaged journal is told where mounting fails, and nowhere else', () => {
	test('data=ordered', () => runDamages('data=ordered', false));
	test('journal_async_commit', () => runDamages('data=writeback,journal_async_commit', true));
});
