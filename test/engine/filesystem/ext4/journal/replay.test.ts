import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Replay } from '../../../../../src/engine/filesystem/ext4/journal/replay.js';
import { replayJournal } from '../../../../../src/engine/filesystem/ext4/journal/replay.js';
import { EngineError } from '../../../../../src/engine/util/errors.js';
import type { JournalOptions } from './build-journal.js';
import { JournalBuilder, pattern } from './build-journal.js';

/** Every layout of tags and checksums. */
const LAYOUTS: readonly (readonly [string, JournalOptions])[] = [
	['version 1 superblock', { version: 1 }],
	['no checksums', {}],
	['64bit', { is64bit: true, fsBlocks: 2 ** 33 }],
	['checksum v1', { checksum: 1 }],
	['checksum v1, async commit', { checksum: 1, asyncCommit: true }],
	['checksum v2', { checksum: 2 }],
	['checksum v2, 64bit', { checksum: 2, is64bit: true, fsBlocks: 2 ** 33 }],
	['checksum v3', { checksum: 3 }],
	['checksum v3, 64bit', { checksum: 3, is64bit: true, fsBlocks: 2 ** 33 }],
	['checksum v3, 4 KiB blocks', { checksum: 3, blockSize: 4096 }],
	['UUID in each tag', { uuidInEachTag: true }],
	['UUID in each tag, checksum v3', { uuidInEachTag: true, checksum: 3 }],
];

function contents(replay: Replay): Record<number, Uint8Array> {
	return Object.fromEntries(replay.blocks);
}

/** Block 10 twice, 11 and 12 once, over three transactions of which one has two descriptor blocks. */
function threeTransactions(options: JournalOptions): { builder: JournalBuilder; expected: Record<number, Uint8Array> } {
	const builder = new JournalBuilder(options);
	const p = (block: number, version: number) => pattern(block, version, builder.blockSize);
	const high = builder.fsBlocks > 2 ** 32 ? 2 ** 32 + 5 : 500;
	builder
		.transaction({
			writes: [
				[10, p(10, 1)],
				[11, p(11, 1)],
			],
		}) // prettier-ignore
		.transaction({
			writes: [
				[high, p(high, 2)],
				[12, p(12, 2)],
				[13, p(13, 2)],
			],
			tagsPerDescriptor: 2,
		}) // prettier-ignore
		.transaction({ writes: [[10, p(10, 3)]] });
	return { builder, expected: { 10: p(10, 3), 11: p(11, 1), 12: p(12, 2), 13: p(13, 2), [high]: p(high, 2) } };
}

function problemFields(replay: Replay): unknown[] {
	return replay.problems.map(problem => problem.details.field);
}

describe('replay of a journal', () => {
	for (const [name, options] of LAYOUTS) {
		test(`gives the newest version of each block: ${name}`, () => {
			const { builder, expected } = threeTransactions(options);
			const replay = replayJournal(builder.input());
			assert.deepEqual(contents(replay), expected);
			assert.equal(replay.transactions, 3);
			assert.equal(replay.needed, true);
			assert.deepEqual(replay.problems, []);
		});

		test(`puts escaped first words back: ${name}`, () => {
			const builder = new JournalBuilder(options);
			const content = pattern(10, 1, builder.blockSize);
			new DataView(content.buffer).setUint32(0, 0xc03b3998);
			builder.transaction({ writes: [[10, content]] });
			assert.deepEqual(contents(replayJournal(builder.input())), { 10: content });
		});

		test(`does not bring back revoked blocks: ${name}`, () => {
			const builder = new JournalBuilder(options);
			const p = (block: number, version: number) => pattern(block, version, builder.blockSize);
			builder
				.transaction({ writes: [10, 11, 12, 13].map(block => [block, p(block, 1)] as const), revokes: [13] })
				.transaction({ writes: [[12, p(12, 2)]], revokes: [10, 12] })
				.transaction({ writes: [[12, p(12, 3)]] });
			const replay = replayJournal(builder.input());
			// 13 is revoked by the transaction that holds it, 10 by a later one; 12 was written again after its revoke.
			assert.deepEqual(contents(replay), { 11: p(11, 1), 12: p(12, 3) });
		});

		test(`leaves out a transaction without a commit block: ${name}`, () => {
			const { builder, expected } = threeTransactions(options);
			builder.transaction({ writes: [[10, pattern(10, 4, builder.blockSize)]], revokes: [11], isCutOff: true });
			const replay = replayJournal(builder.input());
			assert.deepEqual(contents(replay), expected);
			assert.deepEqual(replay.problems, []);
		});

		test(`wraps around: ${name}`, () => {
			for (let start = 1; start < 64; start++) {
				const { builder, expected } = threeTransactions({ ...options, start });
				const replay = replayJournal(builder.input());
				assert.deepEqual(contents(replay), expected, `from block ${start}`);
			}
		});

		test(`goes on when transaction numbers go round: ${name}`, () => {
			for (const sequence of [0xfffffffd, 0xfffffffe, 0xffffffff, 0]) {
				const builder = new JournalBuilder({ ...options, sequence });
				const p = (block: number, version: number) => pattern(block, version, builder.blockSize);
				builder
					.transaction({
						writes: [
							[10, p(10, 1)],
							[11, p(11, 1)],
						],
					}) // prettier-ignore
					.transaction({ writes: [[12, p(12, 2)]], revokes: [10] })
					.transaction({ writes: [[10, p(10, 3)]], revokes: [11] });
				assert.deepEqual(contents(replayJournal(builder.input())), { 10: p(10, 3), 12: p(12, 2) });
			}
		});
	}

	test('of an empty journal gives nothing', () => {
		const builder = new JournalBuilder({ start: 0 });
		const replay = replayJournal(builder.input());
		assert.equal(replay.needed, false);
		assert.equal(replay.blocks.size, 0);
	});

	test('with no complete transaction gives nothing, and was needed', () => {
		const builder = new JournalBuilder().transaction({ writes: [[10, pattern(10, 1)]], isCutOff: true });
		const replay = replayJournal(builder.input());
		assert.deepEqual([replay.needed, replay.transactions, replay.blocks.size], [true, 0, 0]);
	});

	test('takes no leftovers of an older round for its own', () => {
		const builder = new JournalBuilder({ checksum: 3, start: 20, sequence: 7 });
		builder.transaction({ writes: [[10, pattern(10, 1)]] });
		builder.sequence = 7; // What lies behind has the number of a transaction that was.
		builder.transaction({ writes: [[11, pattern(11, 1)]] });
		assert.deepEqual([...replayJournal(builder.input()).blocks.keys()], [10]);
	});

	test('ends at a log that bites its own tail', () => {
		const builder = new JournalBuilder();
		// Descriptors without a commit, all the way round.
		for (let n = 0; n < 63; n++) builder.transaction({ revokes: [5], isCutOff: true });
		const replay = replayJournal(builder.input());
		assert.equal(replay.transactions, 0);
	});

	test('reads blocks from the journal when they are asked for', () => {
		const { builder } = threeTransactions({});
		const replay = replayJournal(builder.input());
		const first = replay.blocks.get(11);
		assert.equal(replay.blocks.get(11), first);
		assert.equal(replay.blocks.get(14), undefined);
		assert.equal(replay.blocks.has(14), false);
		assert.deepEqual(
			[...replay.blocks.keys()].sort((a, b) => a - b),
			[10, 11, 12, 13, 500],
		);
		const seen: number[] = [];
		replay.blocks.forEach((bytes, block) => seen.push(block + bytes.byteLength));
		assert.equal(seen.length, replay.blocks.size);
		assert.equal([...replay.blocks.values()].length, 5);
	});
});

describe('a damaged journal', () => {
	for (const checksum of [2, 3] as const) {
		test(`a wrong data checksum leaves out that block alone (v${checksum})`, () => {
			const { builder, expected } = threeTransactions({ checksum });
			builder.placedBlock('data', 1)[100]! ^= 1;
			const replay = replayJournal(builder.input());
			delete expected[11];
			assert.deepEqual(contents(replay), expected);
			assert.deepEqual(problemFields(replay), ['t_checksum']);
			assert.equal(replay.problems[0]!.code, 'ERR_CORRUPT');
		});

		test(`a damaged version is left out, an older one stays (v${checksum})`, () => {
			const { builder, expected } = threeTransactions({ checksum });
			builder.placedBlock('data', -1)[100]! ^= 1;
			expected[10] = pattern(10, 1);
			assert.deepEqual(contents(replayJournal(builder.input())), expected);
		});

		test(`a wrong descriptor checksum ends the log before its transaction (v${checksum})`, () => {
			const { builder } = threeTransactions({ checksum });
			builder.placedBlock('descriptor', 1)[40]! ^= 1;
			const replay = replayJournal(builder.input());
			assert.deepEqual(contents(replay), { 10: pattern(10, 1), 11: pattern(11, 1) });
			assert.deepEqual(problemFields(replay), ['t_checksum']);
		});

		test(`a wrong commit checksum ends the log before its transaction (v${checksum})`, () => {
			const { builder } = threeTransactions({ checksum });
			builder.placedBlock('commit', 1)[17]! ^= 1;
			const replay = replayJournal(builder.input());
			assert.deepEqual(contents(replay), { 10: pattern(10, 1), 11: pattern(11, 1) });
			assert.deepEqual(problemFields(replay), ['h_chksum']);
		});

		test(`a commit block of which the header alone was written counts (v${checksum})`, () => {
			const { builder, expected } = threeTransactions({ checksum });
			builder.placedBlock('commit', 2).fill(0xee, 512);
			const replay = replayJournal(builder.input());
			assert.deepEqual(contents(replay), expected);
			assert.deepEqual(replay.problems, []);
		});

		test(`a wrong checksum with an older commit time is a leftover, not damage (v${checksum})`, () => {
			for (const kind of ['descriptor', 'revoke', 'commit'] as const) {
				const builder = new JournalBuilder({ checksum });
				builder
					.transaction({ writes: [[10, pattern(10, 1)]], commitSec: 2000 })
					.transaction({ writes: [[11, pattern(11, 1)]], revokes: [10], commitSec: 1000 });
				builder.placedBlock(kind, -1)[20]! ^= 1;
				const replay = replayJournal(builder.input());
				assert.deepEqual(contents(replay), { 10: pattern(10, 1) }, kind);
				assert.deepEqual(replay.problems, [], kind);
			}
		});

		test(`async commit: a transaction that was cut off is left out silently (v${checksum})`, () => {
			const { builder, expected } = threeTransactions({ checksum, asyncCommit: true });
			builder.placedBlock('commit', -1)[30]! ^= 1;
			const replay = replayJournal(builder.input());
			expected[10] = pattern(10, 1);
			assert.deepEqual(contents(replay), expected);
			assert.deepEqual(replay.problems, []);
		});
	}

	test('checksum v1: a wrong sum ends the log, and is damage', () => {
		const { builder } = threeTransactions({ checksum: 1 });
		builder.placedBlock('data', 3)[5]! ^= 1;
		const replay = replayJournal(builder.input());
		assert.deepEqual(contents(replay), { 10: pattern(10, 1), 11: pattern(11, 1) });
		assert.deepEqual(problemFields(replay), ['h_chksum']);
	});

	test('checksum v1: a commit block without a sum is as good as one with it', () => {
		const { builder, expected } = threeTransactions({ checksum: 1 });
		builder.placedBlock('commit', 1).fill(0, 12, 20);
		assert.deepEqual(contents(replayJournal(builder.input())), expected);
	});

	test('checksum v1, async commit: the last transaction was cut off, silently', () => {
		const { builder, expected } = threeTransactions({ checksum: 1, asyncCommit: true });
		builder.placedBlock('data', -1)[5]! ^= 1;
		const replay = replayJournal(builder.input());
		expected[10] = pattern(10, 1);
		assert.deepEqual(contents(replay), expected);
		assert.deepEqual(replay.problems, []);
	});

	test('checksum v1, async commit: one in the middle is damage', () => {
		const { builder } = threeTransactions({ checksum: 1, asyncCommit: true });
		builder.placedBlock('data', 2)[5]! ^= 1;
		const replay = replayJournal(builder.input());
		assert.deepEqual(contents(replay), { 10: pattern(10, 1), 11: pattern(11, 1) });
		assert.deepEqual(problemFields(replay), ['h_chksum']);
	});

	test('a block outside the filesystem is left out and told', () => {
		const builder = new JournalBuilder({ fsBlocks: 100 });
		builder.transaction({ writes: [[99, pattern(99, 1)], [100, pattern(100, 1)]] }); // prettier-ignore
		const replay = replayJournal(builder.input());
		assert.deepEqual(contents(replay), { 99: pattern(99, 1) });
		assert.deepEqual(problemFields(replay), ['t_blocknr']);
	});

	test('a revoke block that claims more than it has ends the log before its transaction', () => {
		const builder = new JournalBuilder();
		builder
			.transaction({ writes: [[10, pattern(10, 1)]] })
			.transaction({ writes: [[11, pattern(11, 2)]], revokes: [10] })
			.transaction({ writes: [[12, pattern(12, 3)]] });
		new DataView(builder.bytes.buffer, builder.placedBlock('revoke', 0).byteOffset).setUint32(12, 1025);
		const replay = replayJournal(builder.input());
		assert.deepEqual(contents(replay), { 10: pattern(10, 1) });
		assert.deepEqual(problemFields(replay), ['r_count']);
	});

	test('a block of an unknown type ends the log', () => {
		const { builder } = threeTransactions({});
		builder.placedBlock('commit', 1)[7] = 9;
		const replay = replayJournal(builder.input());
		assert.equal(replay.transactions, 1);
	});

	test('complaints are bounded', () => {
		const builder = new JournalBuilder({ fsBlocks: 10, journalBlocks: 128 });
		builder.transaction({ writes: Array.from({ length: 100 }, (_, n) => [n, pattern(n, 1)] as const) });
		const { problems } = replayJournal(builder.input());
		assert.equal(problems.length, 33);
		assert.match(problems[32]!.message, /58 more/);
	});
});

describe('the superblock of a journal', () => {
	const MUTATIONS: readonly (readonly [string, JournalOptions, (view: DataView) => void, string, string])[] = [
		['magic', {}, view => view.setUint32(0, 1), 'ERR_CORRUPT', 'h_magic'],
		['block type', {}, view => view.setUint32(4, 1), 'ERR_CORRUPT', 'h_blocktype'],
		['block size', {}, view => view.setUint32(12, 4096), 'ERR_CORRUPT', 's_blocksize'],
		['more blocks than its file', {}, view => view.setUint32(16, 65), 'ERR_CORRUPT', 's_maxlen'],
		['more blocks than can be', {}, view => view.setUint32(16, 0xffffffff), 'ERR_LIMIT', 's_maxlen'],
		['first block 0', {}, view => view.setUint32(20, 0), 'ERR_CORRUPT', 's_first'],
		['first block behind the end', {}, view => view.setUint32(20, 64), 'ERR_CORRUPT', 's_first'],
		['start behind the end', {}, view => view.setUint32(28, 64), 'ERR_CORRUPT', 's_start'],
		['start before the log', { first: 2 }, view => view.setUint32(28, 1), 'ERR_CORRUPT', 's_start'],
		['unknown feature', {}, view => view.setUint32(40, 0x81), 'ERR_UNSUPPORTED', 's_feature_incompat'],
		['unknown read-only feature', {}, view => view.setUint32(44, 1), 'ERR_UNSUPPORTED', 's_feature_ro_compat'],
		['two versions of checksums', {}, view => view.setUint32(40, 0x19), 'ERR_CORRUPT', 's_feature_incompat'],
		['checksum type', { checksum: 3 }, view => view.setUint8(80, 1), 'ERR_CORRUPT', 's_checksum_type'],
		['checksum', { checksum: 3 }, view => view.setUint8(300, 1), 'ERR_CORRUPT', 's_checksum'],
		['checksum v2', { checksum: 2 }, view => view.setUint8(300, 1), 'ERR_CORRUPT', 's_checksum'],
	];
	for (const [name, options, mutate, code, field] of MUTATIONS) {
		test(`is refused: ${name}`, () => {
			const { builder } = threeTransactions(options);
			mutate(new DataView(builder.bytes.buffer));
			assert.throws(
				() => replayJournal(builder.input()),
				error => EngineError.is(error) && error.code === code && error.details.field === field,
			);
		});
	}

	test('names an unknown feature by its bit', () => {
		const { builder } = threeTransactions({});
		new DataView(builder.bytes.buffer).setUint32(40, 0x80000041);
		assert.throws(() => replayJournal(builder.input()), /s_feature_incompat 0x40, 0x80000000 is not supported/);
	});

	test('of version 1 has no features, whatever its bytes say', () => {
		const { builder, expected } = threeTransactions({ version: 1 });
		const view = new DataView(builder.bytes.buffer);
		for (const at of [36, 40, 44]) view.setUint32(at, 0xffffffff);
		assert.deepEqual(contents(replayJournal(builder.input())), expected);
	});
});

test('a journal that is truncated anywhere gives its beginning or an EngineError', () => {
	const { builder } = threeTransactions({ checksum: 3 });
	for (let blocks = 0; blocks < 20; blocks++) {
		const input = builder.input();
		const truncated = {
			...input,
			journalBlocks: blocks,
			readJournalBlock(index: number, into: Uint8Array) {
				if (blocks <= index) throw new EngineError('ERR_IO', 'behind the end');
				input.readJournalBlock(index, into);
			},
		};
		assert.throws(
			() => replayJournal(truncated),
			error => EngineError.is(error),
		);
	}
});
