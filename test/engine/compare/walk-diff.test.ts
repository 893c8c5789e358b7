import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { changeRecord, sortChanges } from '../../../src/engine/compare/change.js';
import { Changes, type ChangesOptions } from '../../../src/engine/compare/changes.js';
import { readingContent, trustingContent } from '../../../src/engine/compare/inodes.js';
import { pairMoves } from '../../../src/engine/compare/moves.js';
import { walkDiff } from '../../../src/engine/compare/walk-diff.js';
import { EngineError } from '../../../src/engine/util/errors.js';
import { UNWATCHED } from '../../../src/engine/util/work.js';
import { MemoryFilesystem, type Node } from './memory-filesystem.js';

type Tree = Readonly<Record<string, Node>>;

const FILE: Node = { inode: 10, content: 'hello' };

suite('what is a change', () => {
	test('equal trees have none', () => {
		assert.deepEqual(diff({ f: FILE, d: { children: { g: FILE } } }, { f: FILE, d: { children: { g: FILE } } }), []);
	});

	test('content is read even when size and times are equal', () => {
		assert.deepEqual(diff({ f: FILE }, { f: { ...FILE, content: 'hellO' } }), ['M /f content']);
	});

	test('each field by its name', () => {
		const cases: [Node, Node, string][] = [
			[FILE, { ...FILE, content: 'longer than before' }, 'M /f content'],
			[FILE, { ...FILE, mode: 0o600 }, 'm /f mode'],
			[FILE, { ...FILE, uid: 70000 }, 'm /f owner'],
			[FILE, { ...FILE, gid: 1 }, 'm /f owner'],
			[FILE, { ...FILE, mtime: 1001 }, 'm /f mtime'],
			[FILE, { ...FILE, xattrs: { 'user.a': '' } }, 'm /f xattr'],
			[{ ...FILE, xattrs: { 'user.a': '1' } }, { ...FILE, xattrs: { 'user.a': '2' } }, 'm /f xattr'],
			[FILE, { ...FILE, links: 2 }, 'm /f links'],
			[{ target: 'aa' }, { target: 'bb' }, 'M /f target'],
			[device('chardev', 1, 3), device('chardev', 1, 5), 'M /f device'],
			[device('chardev', 1, 3), device('blockdev', 1, 3), 'T /f type'],
			[{ kind: 'fifo' }, { kind: 'socket' }, 'T /f type'],
			[FILE, { ...FILE, content: 'HELLO', mode: 0, uid: 1, mtime: 5 }, 'M /f content mode owner mtime'],
		];
		for (const [a, b, expected] of cases) {
			assert.deepEqual(diff({ f: a }, { f: b }), [expected]);
			assert.deepEqual(diff({ f: b }, { f: a }), [expected]);
		}
	});

	test('atime and ctime never', () => {
		assert.deepEqual(diff({ f: FILE }, { f: { ...FILE, atime: 5, ctime: 6 } }), []);
	});

	test('mtime of a directory alone only when asked for; the root and link counts of directories too', () => {
		const before: Tree = { d: { children: {}, links: 2 } };
		const after: Tree = { d: { children: {}, links: 3, mtime: 1 } };
		assert.deepEqual(diff(before, after), []);
		assert.deepEqual(diff(before, after, { directoryTimes: true }), ['m /d mtime']);
		assert.deepEqual(diff(before, { d: { children: {}, mode: 0o700, mtime: 1 } }), ['m /d mode mtime']);
	});

	test('a new directory comes with everything below it', () => {
		const tree: Tree = { d: { children: { e: { children: { f: FILE } }, l: { target: 'x' } } } };
		assert.deepEqual(diff({}, tree), ['A /d', 'A /d/e', 'A /d/e/f', 'A /d/l']);
		assert.deepEqual(diff(tree, {}), ['D /d', 'D /d/e', 'D /d/e/f', 'D /d/l']);
	});

	test('another type, with what lay below', () => {
		const before: Tree = { x: { inode: 20, children: { f: FILE } } };
		assert.deepEqual(diff(before, { x: { inode: 21, content: '' } }), ['T /x type', 'D /x/f']);
		assert.deepEqual(diff({ x: { inode: 21, content: '' } }, before), ['T /x type', 'A /x/f']);
	});

	test('names that sort between a directory and its children, and names that are no text', () => {
		const before: Tree = { a: { inode: 30, children: { x: FILE } }, 'a-b': FILE, '\xff\n': FILE };
		const after: Tree = {
			'\xff\n': { ...FILE, inode: 40, content: 'HELLO' },
			'a-b': { ...FILE, inode: 41, content: 'HELLO' },
			a: { inode: 30, children: { x: { ...FILE, inode: 42, content: 'HELLO' } } },
		};
		assert.deepEqual(diff(before, after), ['M /a-b content', 'M /a/x content', 'M /\\xff\\x0a content']);
	});
});

suite('moves', () => {
	test('by inode and generation, also when the content changed', () => {
		assert.deepEqual(diff({ old: FILE }, { new: FILE }), ['R /new <- /old']);
		assert.deepEqual(diff({ old: FILE }, { new: { ...FILE, content: 'other' } }), ['R /new <- /old content']);
		assert.deepEqual(diff({ l: { inode: 5, target: 'x' } }, { m: { inode: 5, target: 'x' } }), ['R /m <- /l']);
	});

	test('a number that was used again is another file', () => {
		assert.deepEqual(diff({ old: FILE }, { new: { ...FILE, generation: 8, content: 'other' } }), ['A /new', 'D /old']);
	});

	test('without generations only content tells', () => {
		const file = { ...FILE, generation: 0 };
		assert.deepEqual(diff({ old: file }, { new: { ...file, content: 'other' } }), ['A /new', 'D /old']);
		assert.deepEqual(diff({ old: file }, { new: { ...file, inode: 11 } }), ['R /new <- /old']);
	});

	test('a moved directory, and each path below it', () => {
		const d = (name: string): Tree => ({
			[name]: { inode: 20, children: { f: FILE, e: { inode: 21, children: {} } } },
		});
		assert.deepEqual(diff(d('old'), d('new')), ['R /new <- /old', 'R /new/e <- /old/e', 'R /new/f <- /old/f']);
	});

	test('by content only for the only pair, and never for empty files', () => {
		const file = (inode: number, content = 'same'): Node => ({ inode, content });
		assert.deepEqual(diff({ a: file(1) }, { b: file(3) }), ['R /b <- /a']);
		assert.deepEqual(diff({ a: file(3) }, { b: file(4), c: file(5) }), ['D /a', 'A /b', 'A /c']);
		assert.deepEqual(diff({ a: file(3), b: file(4) }, { c: file(5) }), ['D /a', 'D /b', 'A /c']);
		assert.deepEqual(diff({ a: file(3, '') }, { b: file(4, '') }), ['D /a', 'A /b']);
		assert.deepEqual(diff({ a: file(3), x: file(6, 'diff') }, { b: file(4), y: file(7, 'else') }), [
			'R /b <- /a',
			'D /x',
			'A /y',
		]);
	});

	test('a new link is new, a removed one removed', () => {
		assert.deepEqual(diff({ a: FILE }, { a: { ...FILE, links: 2 }, b: { ...FILE, links: 2 } }), ['m /a links', 'A /b']);
	});

	test('links of one file pair up in order', () => {
		assert.deepEqual(diff({ a: FILE, b: FILE, c: FILE }, { c: FILE, d: FILE, e: FILE }), ['R /d <- /a', 'R /e <- /b']);
	});

	test('two files that changed places are two changes of content', () => {
		const [x, y]: Node[] = [FILE, { inode: 11, content: 'world' }];
		assert.deepEqual(diff({ a: x!, b: y! }, { a: y!, b: x! }), ['M /a content', 'M /b content']);
	});
});

suite('what cannot be read', () => {
	test('is told as E, never as added or deleted', () => {
		const broken: Node = { inode: 12, broken: 'inode' };
		assert.deepEqual(diff({ f: FILE }, { f: broken }), ['E /f b ERR_CORRUPT']);
		assert.deepEqual(diff({ f: broken }, {}), ['E /f a ERR_CORRUPT']);
		assert.deepEqual(diff({}, { f: broken }), ['E /f b ERR_CORRUPT']);
		assert.deepEqual(diff({ f: FILE }, { f: { ...FILE, inode: 13, broken: 'content' } }), ['E /f b ERR_CORRUPT']);
	});

	test('a directory without names says nothing of what is below', () => {
		const d = (broken?: 'names'): Tree => ({ d: { inode: 20, children: { f: FILE }, ...(broken ? { broken } : {}) } });
		assert.deepEqual(diff(d(), d('names')), ['E /d b ERR_CORRUPT']);
		assert.deepEqual(diff(d('names'), d()), ['E /d a ERR_CORRUPT']);
		assert.deepEqual(diff({}, d('names')), ['A /d', 'E /d b ERR_CORRUPT']);
	});

	test('loops of directories end', () => {
		const loop: Tree = { d: { inode: 20, children: { up: { inode: 20, kind: 'directory' } } } };
		assert.deepEqual(diff(loop, { d: { inode: 20, children: {} } }), ['D /d/up', 'E /d/up a ERR_CORRUPT']);
	});

	test('bugs and cancellation stay loud', () => {
		const stop = { ...UNWATCHED, throwIfCancelled: () => void cancel() };
		assert.throws(() => diff({ f: FILE }, {}, {}, { work: stop }), { code: 'ERR_CANCELLED' });
	});
});

suite('options', () => {
	const before: Tree = {
		a: { inode: 20, children: { f: FILE } },
		b: { inode: 21, children: { f: { ...FILE, inode: 22 } } },
	};
	const after: Tree = {
		a: { inode: 20, children: { f: { ...FILE, content: 'other' } } },
		b: { inode: 21, children: { f: { ...FILE, inode: 22, content: 'other' }, g: FILE } },
	};

	test('only one path and what is below it', () => {
		assert.deepEqual(diff(before, after, { path: '/b' }), ['M /b/f content', 'A /b/g']);
		assert.deepEqual(diff(before, after, { path: '/b/f' }), ['M /b/f content']);
		assert.deepEqual(diff(before, after, { path: '/nothing' }), []);
	});

	test('a limit', () => {
		assert.throws(() => diff(before, after, { limit: 2 }), { code: 'ERR_LIMIT' });
		assert.equal(diff(before, after, { limit: 3 }).length, 3);
	});

	test('quick trusts size and times, and reads the rest', () => {
		const touched: Tree = { f: { ...FILE, mtime: 5 } };
		assert.deepEqual(diff({ f: FILE }, { f: { ...FILE, content: 'HELLO' } }, {}, { quick: true }), []);
		assert.deepEqual(diff({ f: FILE }, touched, {}, { quick: true }), ['m /f mtime']);
		assert.deepEqual(diff({ f: FILE }, { f: { ...FILE, content: 'HELLO', ctime: 5 } }, {}, { quick: true }), [
			'M /f content',
		]);
	});
});

test('records have text paths, sizes of both sides and modes', () => {
	const [record] = records({ 'a\\b': FILE }, { 'a\\b': { ...FILE, content: 'other!', mode: 0o4755 } });
	assert.deepEqual(record, {
		status: 'M',
		path: '/a\\x5cb',
		fields: ['content', 'mode'],
		size: [5, 6],
		type: ['file', 'file'],
		mode: ['0644', '4755'],
	});
	assert.deepEqual(records({}, { d: { children: {} } })[0]!.size, [null, 0]);
	assert.deepEqual(records({ f: FILE }, {})[0]!.size, [5, null]);
});

function device(kind: 'chardev' | 'blockdev', major: number, minor: number): Node {
	return { kind, device: { major, minor } };
}

function cancel(): never {
	throw new EngineError('ERR_CANCELLED', 'cancelled');
}

function records(
	a: Tree,
	b: Tree,
	options: Partial<ChangesOptions> = {},
	how: { quick?: boolean; work?: typeof UNWATCHED } = {},
) {
	const changes = new Changes({ directoryTimes: false, limit: 1000, path: '/', ...options });
	const sides = { a: new MemoryFilesystem(a), b: new MemoryFilesystem(b) };
	const work = how.work ?? UNWATCHED;
	const read = readingContent(sides, work);
	const sameContent = how.quick ? trustingContent(read, { sameFilesystem: true }) : read;
	walkDiff(sides, '/', changes, sameContent, work);
	return sortChanges(pairMoves(changes.list, [{ ...sides, sameContent }], work)).map(changeRecord);
}

/** One line a change: status, path, where it came from or which side it is, fields or the code of the error. */
function diff(...args: Parameters<typeof records>): string[] {
	return records(...args).map(record =>
		[
			record.status,
			record.path,
			...(record.from === undefined ? [] : ['<-', record.from]),
			...record.fields,
			...(record.side ? [record.side, record.error!.code] : []),
		].join(' '),
	);
}
