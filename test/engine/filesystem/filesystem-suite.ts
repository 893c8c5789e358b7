/** What every filesystem reader must do, whatever its format. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { Dirent, Filesystem, Inode } from '../../../src/engine/filesystem/filesystem.js';
import { EngineError, type ErrorCode } from '../../../src/engine/util/errors.js';

/**
 * Run the suite over a filesystem that has, at its top, a directory `many` of at least 100 files, a file `file` of at
 * least 10,000 bytes, a link `link`, a FIFO `fifo`.
 */
export function runFilesystemSuite(name: string, open: () => Filesystem): void {
	suite(`${name} as a filesystem`, () => {
		const filesystem = open();
		const root = filesystem.inode(filesystem.rootInode);
		const child = (wanted: string): Inode => filesystem.inode(filesystem.lookup(root, wanted)!); // OK: the builder put it there.
		const walk = (directory: Inode, visit: (parent: Inode, entry: Dirent, inode: Inode) => void) => {
			for (const entry of filesystem.entries(directory)) {
				const inode = filesystem.inode(entry.inode);
				visit(directory, entry, inode);
				if (inode.kind === 'directory') walk(inode, visit);
			}
		};

		test('the root is a directory', () => {
			assert.equal(root.kind, 'directory');
			assert.equal(root.number, filesystem.rootInode);
		});

		test('names are unique, neither dots nor paths, and found again', () => {
			const seen = new Set<string>();
			let count = 0;
			walk(root, (parent, entry, inode) => {
				assert.ok(!['', '.', '..'].includes(entry.name) && !/[/\0]/.test(entry.name), entry.name);
				assert.ok(!seen.has(`${parent.number}/${entry.name}`));
				seen.add(`${parent.number}/${entry.name}`);
				assert.equal(filesystem.lookup(parent, entry.name), entry.inode);
				assert.equal(inode.number, entry.inode);
				if (entry.kind) assert.equal(entry.kind, inode.kind);
				count++;
			});
			assert.ok(count > 100);
			assert.deepEqual([...seen].length, count);
		});

		test('names that are not there are not found', () => {
			for (const wanted of [
				'absent',
				'',
				'.',
				'..',
				'FILE',
				'fil',
				'file\0',
				'many/',
				'x'.repeat(255),
				'x'.repeat(300),
			]) {
				assert.equal(filesystem.lookup(root, wanted), undefined, wanted);
				assert.equal(filesystem.lookup(child('many'), wanted), undefined, wanted);
			}
		});

		test('two directories can be read at the same time, and one left half-way', () => {
			const alone = [...filesystem.entries(child('many'))];
			const pairs = filesystem.entries(child('many'))[Symbol.iterator]();
			for (const entry of alone) {
				for (const _ of filesystem.entries(root)) break;
				[...filesystem.entries(root)].forEach(({ inode }) => filesystem.inode(inode));
				assert.deepEqual(pairs.next().value, entry);
			}
			assert.equal(pairs.next().done, true);
		});

		test('content in pieces is content as a whole', () => {
			using content = filesystem.openFile(child('file'));
			assert.equal(content.size, child('file').size);
			const whole = Buffer.alloc(content.size, 0xaa);
			content.read(0, whole);
			for (const length of [1, 2, 511, 512, 513, 4095, 4096, 4097]) {
				for (const offset of [0, 1, 1023, 1024, 4095, 4096, content.size - length]) {
					const piece = Buffer.alloc(length, 0xaa);
					content.read(offset, piece);
					assert.ok(piece.equals(whole.subarray(offset, offset + length)), `${length} bytes at ${offset}`);
				}
			}
			content.read(content.size, Buffer.alloc(0));
			for (const [offset, length] of [
				[content.size, 1],
				[content.size - 1, 2],
				[-1, 1],
				[2 ** 52, 1],
			] as const) {
				fails('ERR_IO', () => content.read(offset, Buffer.alloc(length)));
			}
		});

		test('a kind is not taken for another', () => {
			fails('ERR_NOT_A_DIRECTORY', () => [...filesystem.entries(child('file'))]);
			fails('ERR_NOT_A_DIRECTORY', () => filesystem.lookup(child('link'), 'name'));
			fails('ERR_IS_A_DIRECTORY', () => filesystem.openFile(root));
			fails('ERR_USAGE', () => filesystem.openFile(child('fifo')));
			fails('ERR_USAGE', () => filesystem.readLink(child('file')));
			fails('ERR_CORRUPT', () => filesystem.inode(0));
		});

		test('attributes are sorted', () => {
			walk(root, (_, __, inode) => {
				const names = filesystem.xattrs(inode).map(xattr => xattr.name);
				assert.deepEqual(names, [...names].sort());
			});
		});

		test('nothing was found wrong', () => assert.deepEqual(filesystem.problems, []));
	});
}

function fails(code: ErrorCode, action: () => unknown): void {
	assert.throws(action, (error: unknown) => EngineError.is(error, code));
}
