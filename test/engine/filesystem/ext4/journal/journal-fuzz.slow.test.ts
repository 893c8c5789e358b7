/** Damaged and made-up journals: a replay or an EngineError, nothing else, and no end that does not come. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FastCommitEffects } from '../../../../../src/engine/filesystem/ext4/journal/fast-commit-effects.js';
import type { FastCommitBase } from '../../../../../src/engine/filesystem/ext4/journal/fast-commit-effects.js';
import { replayJournal } from '../../../../../src/engine/filesystem/ext4/journal/replay.js';
import type { JournalInput } from '../../../../../src/engine/filesystem/ext4/journal/replay.js';
import { EngineError } from '../../../../../src/engine/util/errors.js';
import { randomFrom } from '../../../../oracles/workload.js';
import { fastCommitBlock, fastCommitTag, JournalBuilder, pattern } from './build-journal.js';

const CASES = Number(process.env['STRATA_FUZZ_CASES'] ?? 20_000);
const SEED = Number(process.env['STRATA_SEED'] ?? 1);
const FS_BLOCKS = 500;

/** @returns whether there was a replay. */
function replayOrRefuse(input: JournalInput): boolean {
	try {
		const { blocks, problems } = replayJournal(input);
		for (const [block, bytes] of blocks) {
			assert.ok(block < input.blockCount);
			assert.equal(bytes.byteLength, input.blockSize);
		}
		assert.ok(problems.length <= 33);
		return true;
	} catch (error) {
		if (!EngineError.is(error)) throw error;
		return false;
	}
}

function randomJournal(random: () => number): JournalBuilder {
	const int = (below: number) => Math.floor(random() * below);
	const checksum = ([0, 0, 0, 1, 2, 3] as const)[int(6)]!; // OK: below 6.
	const builder = new JournalBuilder({
		journalBlocks: 40,
		fsBlocks: FS_BLOCKS,
		checksum,
		is64bit: random() < 0.5,
		asyncCommit: random() < 0.3,
		start: 1 + int(39),
		sequence: random() < 0.2 ? 0xffffffff - int(3) : 1 + int(1000),
		uuidInEachTag: random() < 0.2,
	});
	for (let n = int(5); n >= 0; n--) {
		const writes = Array.from({ length: int(4) }, () => {
			const block = int(FS_BLOCKS);
			return [block, pattern(block, n)] as const;
		});
		builder.transaction({ writes, revokes: Array.from({ length: int(3) }, () => int(FS_BLOCKS)) });
	}
	return builder;
}

test(`${CASES} damaged journals (seed ${SEED})`, () => {
	let replays = 0;
	for (let n = 0; n < CASES; n++) {
		const random = randomFrom(SEED * 1_000_003 + n);
		const int = (below: number) => Math.floor(random() * below);
		const builder = randomJournal(random);
		const { bytes } = builder;
		const kind = random();
		if (kind < 0.6) {
			// Bytes of the log's own blocks and of the superblock, where something is decided.
			for (let k = int(6); k >= 0; k--) {
				const places = builder.placed.filter(place => place.kind !== 'data');
				const index = random() < 0.3 ? 0 : places[int(places.length)]!.index; // OK: each transaction has a commit.
				const at = random() < 0.8 ? int(100) : int(1024);
				bytes[index * 1024 + at] = random() < 0.3 ? 0xff : int(256);
			}
			if (random() < 0.7) builder.sealSuperblock();
		} else if (kind < 0.8) {
			bytes[int(bytes.length)]! ^= 1 << int(8);
		} else if (kind < 0.9) {
			const from = int(bytes.length);
			for (let at = from; at < Math.min(bytes.length, from + int(3000)); at++) bytes[at] = int(256);
		} else {
			bytes.copyWithin(int(40) * 1024, int(40) * 1024, int(40) * 1024 + 1024);
		}
		const input = builder.input();
		const journalBlocks = random() < 0.1 ? int(41) : 40;
		try {
			if (replayOrRefuse({ ...input, journalBlocks })) replays++;
		} catch (error) {
			throw new Error(`case ${n} of seed ${SEED}`, { cause: error });
		}
	}
	assert.ok(CASES / 4 < replays, `only ${replays} were replayed: the damage is too great to show anything`);
});

test(`${CASES / 10} areas of made-up fast commits (seed ${SEED})`, () => {
	let carriedOut = 0;
	for (let n = 0; n < CASES / 10; n++) {
		const random = randomFrom(SEED * 7_000_003 + n);
		const int = (below: number) => Math.floor(random() * below);
		const builder = new JournalBuilder({ journalBlocks: 1030, fastCommitBlocks: 4, sequence: 1 });
		builder.transaction({ writes: [[10, pattern(10, 1)]] });
		for (let block = 0; block < 3; block++) {
			const tags = block === 0 ? [fastCommitTag(9, new Uint8Array([0, 0, 0, 0, 2, 0, 0, 0]))] : [];
			for (let k = int(20); k >= 0; k--) tags.push(randomTag(int));
			const whole = fastCommitBlock(
				tags.filter((_, at) => at < 5),
				2,
			);
			if (random() < 0.1) whole[int(1024)]! ^= 1 << int(8);
			builder.fastCommit(block, whole);
		}
		try {
			const { fastCommit } = replayJournal(builder.input());
			if (!fastCommit) continue;
			const effects = new FastCommitEffects(fastCommit, randomBase(random));
			if (effects.problems.length === 0) carriedOut++;
			for (const inode of fastCommit.touchedInodes) {
				effects.rawInode(inode, undefined);
				let last = 0;
				for (const { logical, count } of effects.runs(inode, () => [])) {
					assert.ok(last <= logical);
					last = logical + count;
				}
			}
			for (const directory of fastCommit.touchedDirectories) effects.names(directory);
		} catch (error) {
			throw new Error(`case ${n} of seed ${SEED}`, { cause: error });
		}
	}
	assert.ok(CASES / 200 < carriedOut, `only ${carriedOut} were carried out whole`);
});

/** A record of the right length with values that are mostly small, so that records meet each other. */
function randomTag(int: (below: number) => number): Uint8Array {
	const tag = 1 + int(6);
	const lengths = [0, 16, 12, 9 + int(4), 9 + int(4), 9 + int(4), 132 + int(60)];
	const value = new Uint8Array(lengths[tag]!); // OK: tag is 1 to 6.
	for (let at = 0; at < value.byteLength; at++) value[at] = int(30) === 0 ? int(256) : 0;
	value[0] = 1 + int(6);
	value[4] = 1 + int(6);
	if (tag === 1) value[8] = 1 + int(5);
	if (tag === 6) value.set([0, int(2) === 0 ? 0x41 : 0x81], 4);
	if (tag === 6) value[4 + 0x1a] = int(3);
	return fastCommitTag(tag, value);
}

function randomBase(random: () => number): FastCommitBase {
	return {
		inodeSize: random() < 0.5 ? 128 : 256,
		inodeCount: 300,
		blockCount: FS_BLOCKS,
		tableInode(inode) {
			const raw = new Uint8Array(this.inodeSize);
			raw[1] = inode === 2 ? 0x41 : random() < 0.5 ? 0x81 : 0x41;
			raw[0x1a] = Math.floor(random() * 3);
			return raw;
		},
		lookup(directory, name) {
			if (random() < 0.1) throw new EngineError('ERR_CORRUPT', `directory ${directory} is damaged`);
			return name.length % 2 === 0 ? undefined : 1 + Math.floor(random() * 6);
		},
		seal: () => undefined,
	};
}
