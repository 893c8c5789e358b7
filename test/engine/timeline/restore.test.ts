import assert from 'node:assert/strict';
import {
	chmodSync,
	existsSync,
	lstatSync,
	mkdirSync,
	mkdtempSync,
	readFileSync,
	readdirSync,
	readlinkSync,
	renameSync,
	rmSync,
	statSync,
	symlinkSync,
	writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import type { ByteSource } from '../../../src/engine/io/source.js';
import { restoreToHost } from '../../../src/engine/timeline/restore.js';
import type { FileTree, TreeEntry } from '../../../src/engine/tree/file-tree.js';
import { EngineError } from '../../../src/engine/util/errors.js';
import { cancelled, UNWATCHED, type Work } from '../../../src/engine/util/work.js';
import { MemoryTree, type MemoryFile } from '../../builders/memory-tree.js';

const folder = mkdtempSync(join(tmpdir(), 'strata-restore-'));
after(() => rmSync(folder, { recursive: true, force: true }));
let serial = 0;
const target = () => join(folder, `target-${serial++}`);
const MIB = 1024 * 1024;

function restore(files: Readonly<Record<string, MemoryFile | string>>, to = target(), options = {}) {
	const result = restoreToHost(new MemoryTree(files), ['/p1'], { to, ...options }, UNWATCHED);
	return {
		to,
		result,
		at: (path: string) => join(to, path),
		reasons: result.skipped.map(({ path, reason }) => `${path}: ${reason}`),
	};
}

/** A tree whose folders hold what no tree on a disk should: names are given as they are. */
class HostileTree extends MemoryTree {
	constructor(private readonly children: readonly { name: string; file: MemoryFile }[]) {
		super({ '/p1/dummy': '' });
	}

	override list(path: string): readonly TreeEntry[] {
		if (path !== '/p1')
			return path === '/' ? super.list(path) : [this.#entry('/p1/sub', 'planted', { content: 'planted' })];
		return this.children.map(({ name, file }) => this.#entry('/p1', name, file));
	}

	override openFile(): ByteSource {
		return new MemoryTree({ '/x': 'planted' }).openFile('/x');
	}

	override readLink(path: string): string {
		return (
			this.children.find(({ name, file }) => path === `/p1/${name}` && file.target !== undefined)?.file.target ?? ''
		);
	}

	override xattrs(): [] {
		return [];
	}

	#entry(parent: string, name: string, file: MemoryFile): TreeEntry {
		return { ...new MemoryTree({ '/x': file }).stat('/x'), path: `${parent}/${name}`, name };
	}
}

suite('what is restored', () => {
	test('files, folders and links with their facts', () => {
		const { to, at, result } = restore({
			'/p1/etc': { kind: 'directory', mode: 0o750, mtimeSec: 1_000_000 },
			'/p1/etc/hosts': { content: '127.0.0.1', mode: 0o640, mtimeSec: 1_500_000_000 },
			'/p1/etc/read-only': { kind: 'directory', mode: 0o555 },
			'/p1/etc/read-only/x': 'x',
			'/p1/etc/old': { content: 'old', mtimeSec: -5 },
			'/p1/link': { kind: 'symlink', target: '/etc/passwd', mtimeSec: 7 },
		});
		assert.deepEqual(result.skipped, []);
		assert.deepEqual([result.files, result.directories, result.links, result.bytes], [3, 3, 1, 13]);
		assert.equal(readFileSync(at('p1/etc/hosts'), 'utf8'), '127.0.0.1');
		assert.equal(statSync(at('p1/etc/hosts')).mode & 0o7777, 0o640);
		assert.equal(statSync(at('p1/etc/hosts')).mtimeMs, 1_500_000_000_000);
		assert.equal(statSync(at('p1/etc/old')).mtimeMs, -5000);
		assert.equal(statSync(at('p1/etc')).mode & 0o7777, 0o750);
		assert.equal(statSync(at('p1/etc')).mtimeMs, 1_000_000_000);
		assert.equal(statSync(at('p1/etc/read-only')).mode & 0o7777, 0o555);
		assert.equal(readlinkSync(at('p1/link')), '/etc/passwd');
		assert.equal(lstatSync(at('p1/link')).mtimeMs, 7000);
		assert.deepEqual(readdirSync(to), ['p1'], 'nothing of ours is left');
	});

	test('one file, by its last name; names that are no text', () => {
		const to = target();
		const tree = new MemoryTree({ '/p1/a/\xff\n': 'strange' });
		restoreToHost(tree, ['/p1/a/\xff\n'], { to }, UNWATCHED);
		assert.deepEqual(readdirSync(to, { encoding: 'buffer' }), [Buffer.from([0xff, 0x0a])]);
	});

	test('a path that is not there is refused before anything is made', () => {
		const to = target();
		const tree = new MemoryTree({ '/p1/a': 'a' });
		assert.throws(() => restoreToHost(tree, ['/p1/a', '/p1/b'], { to }, UNWATCHED), { code: 'ERR_NOT_FOUND' });
		assert.ok(!existsSync(to));
	});

	test('hard links stay links when both are restored', () => {
		const { at, result } = restore({
			'/p1/a/one': { content: 'same', inode: 77, links: 2 },
			'/p1/b/two': { content: 'same', inode: 77, links: 2 },
		});
		assert.equal(statSync(at('p1/a/one')).ino, statSync(at('p1/b/two')).ino);
		assert.deepEqual([result.files, result.links], [1, 1]);
	});

	test('zeros become holes', () => {
		const content = Buffer.alloc(8 * MIB);
		content.write('start', 0);
		content.write('middle', 5 * MIB + 1);
		const { at } = restore({ '/p1/sparse': { content }, '/p1/zero': { content: Buffer.alloc(3 * MIB) } });
		assert.ok(readFileSync(at('p1/sparse')).equals(content));
		assert.ok(statSync(at('p1/sparse')).blocks * 512 < MIB);
		assert.equal(statSync(at('p1/zero')).size, 3 * MIB);
		assert.equal(statSync(at('p1/zero')).blocks, 0);
	});

	test('a tree of many levels', () => {
		const path = (levels: number) => `/p1${'/d'.repeat(levels)}/leaf`;
		const { at, result } = restore({ [path(300)]: 'deep' });
		assert.equal(readFileSync(at(path(300)), 'utf8'), 'deep');
		assert.equal(result.directories, 301);
		const deeper = restore({ [path(700)]: 'too deep' });
		assert.match(deeper.reasons.join(), /more than 500 folders deep/);
	});
});

suite('what is left out', () => {
	test('devices, pipes and sockets', () => {
		const { at, reasons } = restore({
			'/p1/null': { kind: 'chardev', device: { major: 1, minor: 3 } },
			'/p1/sda': { kind: 'blockdev', device: { major: 8, minor: 0 } },
			'/p1/pipe': { kind: 'fifo' },
			'/p1/sock': { kind: 'socket' },
			'/p1/file': 'x',
		});
		assert.deepEqual(readdirSync(at('p1')), ['file']);
		assert.deepEqual(reasons, [
			'/p1/null: a chardev is not restored',
			'/p1/pipe: a fifo is not restored',
			'/p1/sda: a blockdev is not restored',
			'/p1/sock: a socket is not restored',
		]);
	});

	test('set-user-ID bits, unless asked for', () => {
		const files = { '/p1/su': { content: 'x', mode: 0o6755 }, '/p1/d': { kind: 'directory', mode: 0o2775 } } as const;
		const dropped = restore(files);
		assert.equal(statSync(dropped.at('p1/su')).mode & 0o7777, 0o755);
		assert.equal(statSync(dropped.at('p1/d')).mode & 0o7777, 0o775);
		assert.match(dropped.reasons.join(), /^\/p1\/su: .*dropped$/);
		const kept = restore(files, target(), { keepSetuid: true });
		assert.equal(statSync(kept.at('p1/su')).mode & 0o7777, 0o6755);
		assert.equal(statSync(kept.at('p1/d')).mode & 0o7777, 0o2775);
	});

	test('owners, unless asked for', () => {
		const files = {
			'/p1/f': { content: 'x', uid: 1234, gid: 2345, mode: 0o4755 },
			'/p1/l': { kind: 'symlink', target: 'f', uid: 1234 },
		} as const;
		assert.equal(statSync(restore(files).at('p1/f')).uid, process.geteuid?.());
		const kept = restore(files, target(), { keepOwner: true, keepSetuid: true });
		assert.equal(statSync(kept.at('p1/f')).uid, 1234);
		assert.equal(statSync(kept.at('p1/f')).gid, 2345);
		assert.equal(statSync(kept.at('p1/f')).mode & 0o7777, 0o4755);
		assert.equal(lstatSync(kept.at('p1/l')).uid, 1234);
	});

	test('what is there already is not replaced', () => {
		const to = target();
		mkdirSync(join(to, 'p1/etc'), { recursive: true });
		chmodSync(join(to, 'p1/etc'), 0o700);
		writeFileSync(join(to, 'p1/etc/hosts'), 'mine');
		writeFileSync(join(to, 'p1/dir'), 'a file');
		const { at, reasons } = restore({ '/p1/etc/hosts': 'theirs', '/p1/etc/new': 'new', '/p1/dir/x': 'x' }, to);
		assert.equal(readFileSync(at('p1/etc/hosts'), 'utf8'), 'mine');
		assert.equal(readFileSync(at('p1/etc/new'), 'utf8'), 'new');
		assert.equal(statSync(at('p1/etc')).mode & 0o7777, 0o700);
		assert.equal(readFileSync(at('p1/dir'), 'utf8'), 'a file');
		assert.deepEqual(reasons, [
			'/p1/dir: the name is taken by something that is no folder',
			'/p1/etc/hosts: the name is taken; what is there was left as it is',
		]);
	});

	test('a file that cannot be read leaves nothing, and the rest goes on', () => {
		const broken = new EngineError('ERR_CORRUPT', 'ext4: extent is bad');
		const { at, reasons } = restore({ '/p1/a': { content: 'a', broken }, '/p1/b': 'b' });
		assert.deepEqual(readdirSync(at('p1')), ['b']);
		assert.deepEqual(reasons, ['/p1/a: ext4: extent is bad']);
	});

	test('extended attributes are told', () => {
		const { reasons } = restore({ '/p1/a': { content: 'a', xattrs: { 'user.x': '1' } } });
		assert.deepEqual(reasons, ['/: extended attributes and ACLs of 1 files are not restored']);
	});
});

suite('a hostile tree', () => {
	test('names that lead out are refused', () => {
		const names = ['..', '.', '', 'a/../../escaped', '/etc/escaped', 'nul\0byte'];
		const tree = new HostileTree(names.map(name => ({ name, file: { content: 'planted' } })));
		const to = target();
		mkdirSync(to);
		const before = readdirSync(folder);
		const result = restoreToHost(tree, ['/p1'], { to }, UNWATCHED);
		assert.equal(result.files, 0);
		assert.deepEqual(readdirSync(join(to, 'p1')), []);
		assert.deepEqual(readdirSync(folder), before);
	});

	test('a link and a folder of one name: nothing goes through the link', () => {
		const outside = join(folder, 'outside');
		mkdirSync(outside);
		const tree = new HostileTree([
			{ name: 'sub', file: { kind: 'symlink', target: outside } },
			{ name: 'sub', file: { kind: 'directory' } },
		]);
		const to = target();
		const result = restoreToHost(tree, ['/p1'], { to }, UNWATCHED);
		assert.deepEqual(readdirSync(outside), []);
		assert.equal(readlinkSync(join(to, 'p1/sub')), outside);
		assert.match(result.skipped[0]?.reason ?? '', /no folder/);
	});

	test('a link that lies in the target is not followed', () => {
		const outside = join(folder, 'outside-2');
		mkdirSync(outside);
		const to = target();
		mkdirSync(join(to, 'p1'), { recursive: true });
		symlinkSync(outside, join(to, 'p1/etc'));
		symlinkSync(join(outside, 'file'), join(to, 'p1/file'));
		restore({ '/p1/etc/passwd': 'planted', '/p1/file': 'planted' }, to);
		assert.deepEqual(readdirSync(outside), []);
	});

	test('a folder that is swapped for a link while it is filled', () => {
		const outside = join(folder, 'outside-3');
		mkdirSync(outside);
		const to = target();
		let swapped = false;
		const work: Work = {
			throwIfCancelled: () => {
				if (swapped || !existsSync(join(to, 'p1/etc/a'))) return;
				swapped = true;
				renameSync(join(to, 'p1/etc'), join(to, 'p1/moved'));
				symlinkSync(outside, join(to, 'p1/etc'));
			},
			report: () => undefined,
		};
		restoreToHost(new MemoryTree({ '/p1/etc/a': 'a', '/p1/etc/b': 'b', '/p1/etc/c/d': 'd' }), ['/p1'], { to }, work);
		assert.ok(swapped);
		assert.deepEqual(readdirSync(outside), []);
		assert.deepEqual(readdirSync(join(to, 'p1/moved')), ['a', 'b', 'c'], 'the folder itself was filled');
	});

	test('a file under the name of another source cannot replace what it was', () => {
		const tree = new MemoryTree({ '/p1/x/name': 'first', '/p1/y/name': 'second' });
		const to = target();
		const result = restoreToHost(tree, ['/p1/x/name', '/p1/y/name'], { to }, UNWATCHED);
		assert.equal(readFileSync(join(to, 'name'), 'utf8'), 'first');
		assert.match(result.skipped[0]?.reason ?? '', /taken/);
	});
});

suite('ends', () => {
	test('cancelling leaves no half file', () => {
		const to = target();
		let pieces = 0;
		const work: Work = {
			throwIfCancelled: () => {
				if (pieces > 3) throw cancelled();
			},
			report: ({ step }) => {
				if (step === 'Restoring') pieces++;
			},
		};
		const files = { '/p1/a': 'small', '/p1/b': { content: Buffer.alloc(10 * MIB, 'x') } };
		assert.throws(() => restoreToHost(new MemoryTree(files), ['/p1'], { to }, work), { code: 'ERR_CANCELLED' });
		assert.deepEqual(readdirSync(join(to, 'p1')), ['a']);
	});

	test('too little space is told before anything is written', () => {
		const tree = new MemoryTree({ '/p1/huge': 'x' });
		const stat = tree.stat('/p1/huge');
		const endless = { size: 2 ** 50, read: () => undefined, [Symbol.dispose]: () => undefined };
		const huge: FileTree = {
			stat: path => (path === '/p1/huge' ? { ...stat, inode: { ...stat.inode!, size: 2 ** 50 } } : tree.stat(path)), // OK: a file.
			list: path => tree.list(path),
			openFile: () => endless,
			readLink: path => tree.readLink(path),
			xattrs: path => tree.xattrs(path),
			[Symbol.dispose]: () => undefined,
		};
		const to = target();
		assert.throws(() => restoreToHost(huge, ['/p1/huge'], { to }, UNWATCHED), { code: 'ERR_NO_SPACE' });
		assert.deepEqual(readdirSync(to), []);
	});
});
