import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FastCommitEffects } from '../../../../../src/engine/filesystem/ext4/journal/fast-commit-effects.js';
import type { FastCommitBase } from '../../../../../src/engine/filesystem/ext4/journal/fast-commit-effects.js';
import type {
	FastCommitOperation,
	FastCommitOverlay,
} from '../../../../../src/engine/filesystem/ext4/journal/fast-commit.js';
import { replayJournal } from '../../../../../src/engine/filesystem/ext4/journal/replay.js';
import { EngineError } from '../../../../../src/engine/util/errors.js';
import { fastCommitBlock, fastCommitTag, JournalBuilder, pattern, words32 } from './build-journal.js';

const HEAD = (sequence: number, features = 0) => fastCommitTag(9, words32(features, sequence));
const PAD = (length: number) => fastCommitTag(7, new Uint8Array(length));
const NAME = (tag: 3 | 4 | 5, directory: number, inode: number, name: string) =>
	fastCommitTag(tag, Buffer.concat([words32(directory, inode), Buffer.from(name, 'latin1')]));
const RANGE = (inode: number, logical: number, stored: number, physical: number) => {
	const value = words32(inode, logical, 0, physical % 2 ** 32);
	new DataView(value.buffer).setUint16(8, stored, true);
	new DataView(value.buffer).setUint16(10, Math.floor(physical / 2 ** 32), true);
	return fastCommitTag(1, value);
};

/** One full transaction, numbered 5, so that fast commits carry 6. */
function journal(): JournalBuilder {
	const builder = new JournalBuilder({ journalBlocks: 1100, fastCommitBlocks: 64, sequence: 5, checksum: 3 });
	return builder.transaction({ writes: [[10, pattern(10, 1)]] });
}

describe('the area of fast commits', () => {
	test('gives its records in order', () => {
		const raw = new Uint8Array(160).fill(7);
		const inode = fastCommitTag(6, Buffer.concat([words32(12), raw]));
		const builder = journal()
			.fastCommit(
				0,
				fastCommitBlock([HEAD(6), inode, RANGE(12, 3, 5, 2 ** 32 + 700), NAME(3, 2, 12, 'n\xe9w')], 6), // prettier-ignore
			)
			.fastCommit(
				1,
				fastCommitBlock(
					[
						RANGE(12, 0, 32768 + 9, 70),
						fastCommitTag(2, words32(12, 8, 100)),
						NAME(4, 2, 12, 'x'),
						NAME(5, 2, 12, 'y'),
					],
					6,
				),
			);
		const { fastCommit, problems } = replayJournal(builder.input());
		assert.deepEqual(fastCommit?.operations, [
			{ tag: 'inode', inode: 12, raw },
			{ tag: 'addRange', inode: 12, logical: 3, physical: 2 ** 32 + 700, length: 5, unwritten: false },
			{ tag: 'create', directory: 2, inode: 12, name: 'n\xe9w' },
			{ tag: 'addRange', inode: 12, logical: 0, physical: 70, length: 9, unwritten: true },
			{ tag: 'deleteRange', inode: 12, logical: 8, length: 100 },
			{ tag: 'link', directory: 2, inode: 12, name: 'x' },
			{ tag: 'unlink', directory: 2, inode: 12, name: 'y' },
		]);
		assert.deepEqual(problems, []);
		assert.deepEqual([...fastCommit.touchedInodes].sort(), [12, 2]);
		assert.deepEqual([...fastCommit.touchedDirectories].sort(), [12, 2]);
	});

	test('takes a commit that crosses blocks whole', () => {
		const tags = [HEAD(6), NAME(4, 2, 12, 'a')];
		const used = tags.reduce((sum, tag) => sum + tag.byteLength, 0);
		const first = Buffer.concat([...tags, PAD(1024 - used - 4)]);
		// The sum goes on over the blocks of one commit.
		const whole = fastCommitBlock([first, NAME(4, 2, 12, 'b')], 6, 2048);
		const builder = journal().fastCommit(0, whole);
		const { fastCommit } = replayJournal(builder.input());
		assert.deepEqual(fastCommit?.operations.map(operation => 'name' in operation && operation.name), ['a', 'b']); // prettier-ignore
		builder.bytes[(builder.logEnd + 1) * 1024 + 30]! ^= 1;
		assert.equal(replayJournal(builder.input()).fastCommit, undefined);
	});

	const whole = () => [fastCommitBlock([HEAD(6), NAME(4, 2, 12, 'a')], 6), fastCommitBlock([NAME(4, 2, 12, 'b')], 6)];

	test('ends at a wrong checksum, another number, an unknown record, an impossible length', () => {
		const damages: Readonly<Record<string, (block: Uint8Array) => void>> = {
			checksum: block => (block[20]! ^= 1),
			tag: block => (block[0] = 99),
			'length behind the block': block => (block[3] = 255),
			'length of the record': block => (block[2] = 8),
		};
		for (const [name, damage] of Object.entries(damages)) {
			const [first, second] = whole();
			damage(second!);
			const builder = journal().fastCommit(0, first!).fastCommit(1, second!);
			const { fastCommit, problems } = replayJournal(builder.input());
			assert.equal(fastCommit?.operations.length, 1, name);
			assert.deepEqual(problems, [], name);
		}
		const builder = journal()
			.fastCommit(0, whole()[0]!)
			.fastCommit(1, fastCommitBlock([NAME(4, 2, 12, 'b')], 7));
		assert.equal(replayJournal(builder.input()).fastCommit?.operations.length, 1);
	});

	test('counts for nothing when it belongs to another transaction', () => {
		for (const sequence of [5, 7]) {
			const builder = journal().fastCommit(0, fastCommitBlock([HEAD(sequence), NAME(4, 2, 12, 'a')], sequence));
			assert.equal(replayJournal(builder.input()).fastCommit, undefined);
		}
	});

	test('counts for nothing when the log before it is damaged', () => {
		const builder = journal().fastCommit(0, whole()[0]!);
		builder.placedBlock('commit', 0)[17]! ^= 1;
		const { fastCommit, problems } = replayJournal(builder.input());
		assert.equal(fastCommit, undefined);
		assert.equal(problems.length, 1);
	});

	test('does not begin without a head', () => {
		const builder = journal().fastCommit(0, fastCommitBlock([NAME(4, 2, 12, 'a')], 6));
		assert.equal(replayJournal(builder.input()).fastCommit, undefined);
	});

	test('with unknown features is refused, and said', () => {
		const builder = journal().fastCommit(0, fastCommitBlock([HEAD(6, 4), NAME(4, 2, 12, 'a')], 6));
		const { fastCommit, problems } = replayJournal(builder.input());
		assert.equal(fastCommit, undefined);
		assert.deepEqual(problems.map(({ code, details }) => [code, details.field]), [['ERR_UNSUPPORTED', 'fc_features']]); // prettier-ignore
	});

	test('may fill its area to the last block', () => {
		const builder = journal();
		builder.fastCommit(0, fastCommitBlock([HEAD(6)], 6));
		for (let n = 1; n < 63; n++) builder.fastCommit(n, fastCommitBlock([NAME(4, 2, 12, `f${n}`)], 6));
		assert.equal(replayJournal(builder.input()).fastCommit?.operations.length, 62);
	});

	test('does not exist where the journal is too small for it', () => {
		const builder = new JournalBuilder({ journalBlocks: 1024, fastCommitBlocks: 64 });
		builder.transaction({ writes: [[10, pattern(10, 1)]] });
		builder.fastCommit(0, fastCommitBlock([HEAD(2), NAME(4, 2, 12, 'a')], 2));
		assert.equal(replayJournal(builder.input()).fastCommit, undefined);
	});
});

const DIRECTORY = 0x41ed;
const FILE = 0x81a4;

/** A root (2) with "old" (12) and "two" (13, also "two2"); 14 is free. */
function base(): FastCommitBase {
	const table = new Map<number, Uint8Array>();
	const put = (number: number, mode: number, links: number) => {
		const raw = rawInode(mode, links);
		raw.set([0x0a, 0xf3, 1, 0, 4, 0, 0, 0, 0, 0, 0, 0], 0x28);
		table.set(number, raw);
	};
	put(2, DIRECTORY, 2);
	put(12, FILE, 1);
	put(13, FILE, 2);
	const names = new Map([['old', 12], ['two', 13], ['two2', 13]]); // prettier-ignore
	return {
		inodeSize: 256,
		inodeCount: 100,
		blockCount: 10_000,
		tableInode: number => table.get(number)?.slice() ?? new Uint8Array(256),
		lookup(directory, name) {
			if (directory !== 2) throw new EngineError('ERR_NOT_A_DIRECTORY', 'not a directory');
			return names.get(name);
		},
		seal: () => undefined,
	};
}

function rawInode(mode: number, links: number, flags = 0x80000): Uint8Array {
	const raw = new Uint8Array(256);
	const view = new DataView(raw.buffer);
	view.setUint16(0, mode, true);
	view.setUint16(0x1a, links, true);
	view.setUint32(0x20, flags, true);
	return raw;
}

function effects(...operations: FastCommitOperation[]): FastCommitEffects {
	const overlay: FastCommitOverlay = { operations, touchedInodes: new Set(), touchedDirectories: new Set() };
	return new FastCommitEffects(overlay, base());
}

const links = (made: FastCommitEffects, inode: number) => {
	const raw = made.rawInode(inode, base().tableInode(inode));
	return raw && new DataView(raw.buffer, raw.byteOffset).getUint16(0x1a, true);
};
const added = (made: FastCommitEffects, directory: number) =>
	made.names(directory)?.added.map(({ name, inode }) => `${name}=${inode}`);

describe('the effects of fast commits', () => {
	test('a created file has a name, one link and no old blocks', () => {
		const made = effects(
			{ tag: 'inode', inode: 14, raw: rawInode(FILE, 1) },
			{ tag: 'addRange', inode: 14, logical: 0, physical: 500, length: 3, unwritten: false },
			{ tag: 'create', directory: 2, inode: 14, name: 'new' },
		);
		assert.equal(links(made, 14), 1);
		assert.deepEqual(added(made, 2), ['new=14']);
		assert.deepEqual([...made.runs(14, () => [])], [{ logical: 0, physical: 500, count: 3, unwritten: false }]);
		assert.deepEqual([...made.rawInode(14, undefined)!.subarray(0x28, 0x34)], [0x0a, 0xf3, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0]); // prettier-ignore
		assert.equal(made.touches(2), true);
		assert.equal(made.touches(13), false);
		assert.deepEqual(made.problems, []);
	});

	test('an inode that is written keeps its block map, and what lies behind the record', () => {
		const raw = rawInode(FILE, 5).subarray(0, 160).fill(0x55, 0x28, 0x64);
		const made = effects({ tag: 'inode', inode: 12, raw });
		const now = made.rawInode(12, undefined)!;
		assert.deepEqual(now.subarray(0x28, 0x64), base().tableInode(12).subarray(0x28, 0x64));
		assert.equal(links(made, 12), 5);
	});

	test('an inode with inline data comes with it', () => {
		const raw = rawInode(FILE, 1, 0x10000000).fill(0x55, 0x28, 0x64);
		const made = effects({ tag: 'inode', inode: 12, raw });
		assert.deepEqual(made.rawInode(12, undefined)!.subarray(0x28, 0x64), raw.subarray(0x28, 0x64));
	});

	test('a link counts once, and not at all where the name exists', () => {
		const made = effects(
			{ tag: 'link', directory: 2, inode: 12, name: 'more' },
			{ tag: 'link', directory: 2, inode: 12, name: 'more' },
			{ tag: 'link', directory: 2, inode: 12, name: 'two' },
		);
		assert.equal(links(made, 12), 2);
		assert.deepEqual(added(made, 2), ['more=12']);
	});

	test('the last name takes the inode with it', () => {
		const made = effects(
			{ tag: 'unlink', directory: 2, inode: 12, name: 'old' },
			{ tag: 'unlink', directory: 2, inode: 13, name: 'two' },
			{ tag: 'unlink', directory: 2, inode: 13, name: 'never was' },
		);
		assert.equal(made.rawInode(12, base().tableInode(12)), undefined);
		assert.equal(links(made, 13), 1);
		assert.deepEqual([...made.names(2)!.removed], ['old', 'two']);
		assert.deepEqual(added(made, 2), []);
	});

	test('a name that stands for another inode stays', () => {
		const made = effects({ tag: 'unlink', directory: 2, inode: 13, name: 'old' });
		assert.equal(links(made, 13), 1);
		assert.equal(made.names(2), undefined);
	});

	test('a number that is used again has nothing of the file before', () => {
		const made = effects(
			{ tag: 'addRange', inode: 12, logical: 0, physical: 900, length: 9, unwritten: false },
			{ tag: 'unlink', directory: 2, inode: 12, name: 'old' },
			{ tag: 'inode', inode: 12, raw: rawInode(FILE, 1) },
			{ tag: 'addRange', inode: 12, logical: 4, physical: 100, length: 1, unwritten: true },
			{ tag: 'create', directory: 2, inode: 12, name: 'again' },
		);
		assert.deepEqual([...made.runs(12, () => [])], [{ logical: 4, physical: 100, count: 1, unwritten: true }]);
		assert.equal(made.rawInode(12, undefined)![0x2a], 0, 'no extents in the map');
		assert.deepEqual([added(made, 2), [...made.names(2)!.removed]], [['again=12'], ['old', 'again']]);
	});

	test('a created directory has the names that were put into it alone', () => {
		const made = effects(
			{ tag: 'inode', inode: 14, raw: rawInode(DIRECTORY, 2) },
			{ tag: 'create', directory: 2, inode: 14, name: 'made' },
			{ tag: 'link', directory: 14, inode: 12, name: 'in it' },
		);
		assert.deepEqual(added(made, 14), ['in it=12']);
		assert.deepEqual(made.problems, []);
	});

	test('what cannot be ends the records, and is said', () => {
		const impossible: FastCommitOperation[] = [
			{ tag: 'create', directory: 2, inode: 14, name: 'no inode' },
			{ tag: 'inode', inode: 0, raw: rawInode(FILE, 1) },
			{ tag: 'inode', inode: 101, raw: rawInode(FILE, 1) },
			{ tag: 'addRange', inode: 12, logical: 0, physical: 9999, length: 2, unwritten: false },
		];
		for (const operation of impossible) {
			const made = effects(operation, { tag: 'unlink', directory: 2, inode: 12, name: 'old' });
			assert.equal(made.problems.length, 1, operation.tag);
			assert.equal(made.problems[0]!.code, 'ERR_CORRUPT');
			assert.equal(links(made, 12), 1, 'what follows is not carried out');
		}
	});

	test('what recovery passes over is passed over', () => {
		const made = effects(
			{ tag: 'link', directory: 2, inode: 14, name: 'of nothing' },
			{ tag: 'link', directory: 12, inode: 13, name: 'in a file' },
			{ tag: 'link', directory: 1000, inode: 13, name: 'nowhere' },
			{ tag: 'unlink', directory: 12, inode: 13, name: 'two' },
			{ tag: 'unlink', directory: 2, inode: 14, name: 'old' },
			{ tag: 'addRange', inode: 14, logical: 0, physical: 5, length: 1, unwritten: false },
		);
		assert.deepEqual(made.problems, []);
		assert.equal(made.names(2), undefined);
		assert.equal(links(made, 13), 2);
	});
});
