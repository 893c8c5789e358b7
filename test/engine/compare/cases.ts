/** Changes that were seen to be hard, each in a folder of its own: what is done before the first snapshot, and after it. */
import { execFileSync } from 'node:child_process';
import {
	appendFileSync,
	chmodSync,
	chownSync,
	closeSync,
	fdatasyncSync,
	ftruncateSync,
	linkSync,
	mkdirSync,
	openSync,
	readFileSync,
	renameSync,
	rmSync,
	rmdirSync,
	symlinkSync,
	truncateSync,
	unlinkSync,
	utimesSync,
	writeFileSync,
	writeSync,
} from 'node:fs';
import { join } from 'node:path';

export interface Case {
	readonly name: string;
	before(folder: string): void;
	after(folder: string): void;
	/** Lines of the difference, without the folder; of `folder` itself `.`. Times of directories are left out. */
	readonly expected: readonly string[];
	/** What the filesystem must be able to do. */
	readonly needs?: 'extents' | 'xattrs';
}

const AT = 1_700_000_000;

export const CASES: readonly Case[] = [
	{
		name: 'content, the same size',
		before: d => write(d, 'f', 'a'.repeat(5000)),
		after: d => overwrite(d, 'f', 4999, 'b'),
		expected: ['M f content mtime'],
	},
	{
		name: 'last byte changed, mtime restored',
		before: d => write(d, 'f', 'a'.repeat(9000), AT),
		after: d => {
			overwrite(d, 'f', 8999, 'b');
			utimesSync(join(d, 'f'), AT, AT);
		},
		expected: ['M f content'],
	},
	{
		name: 'the same bytes written again',
		before: d => write(d, 'f', 'a'.repeat(9000), AT),
		after: d => {
			overwrite(d, 'f', 0, 'a'.repeat(9000));
			utimesSync(join(d, 'f'), AT, AT);
		},
		expected: [],
	},
	{
		name: 'deleted and made again: equal bytes and times',
		before: d => write(d, 'f', 'same', AT),
		after: d => {
			unlinkSync(join(d, 'f'));
			write(d, 'f', 'same', AT);
		},
		expected: [],
	},
	{
		name: 'deleted and made again: other bytes, equal size and times',
		before: d => write(d, 'f', 'same', AT),
		after: d => {
			unlinkSync(join(d, 'f'));
			write(d, 'f', 'SAME', AT);
		},
		expected: ['M f content'],
	},
	{
		name: 'saved atomically, mtime restored',
		before: d => write(d, 'f', 'x'.repeat(6000), AT),
		after: d => {
			write(d, 'f.new', 'y'.repeat(6000), AT);
			renameSync(join(d, 'f.new'), join(d, 'f'));
		},
		expected: ['M f content'],
	},
	{
		name: 'renamed over another file',
		before: d => {
			write(d, 'f', 'one', AT);
			write(d, 'g', 'other', AT);
		},
		after: d => renameSync(join(d, 'f'), join(d, 'g')),
		expected: ['D f', 'M g content'],
	},
	{
		name: 'mode, owner above 65535, time, one nanosecond',
		before: d => ['mode', 'owner', 'time', 'nano'].forEach(name => write(d, name, name, AT)),
		after: d => {
			chmodSync(join(d, 'mode'), 0o4711);
			chownSync(join(d, 'owner'), 70000, 80000);
			utimesSync(join(d, 'time'), AT, AT + 1);
			tool('touch', '-d', `@${AT}.000000001`, join(d, 'nano'));
		},
		expected: ['m mode mode', 'm nano mtime', 'm owner owner', 'm time mtime'],
	},
	{
		name: 'only read, and only touched in atime',
		before: d => {
			write(d, 'f', 'read', AT);
			mkdirSync(join(d, 'many'));
			for (let i = 0; i < 200; i++) write(d, `many/${i}`, 'x', AT);
		},
		after: d => {
			readFileSync(join(d, 'f'));
			tool('touch', '-a', '-d', '@1', join(d, 'f'));
			for (let i = 0; i < 200; i++) utimesSync(join(d, `many/${i}`), AT + i, AT);
		},
		expected: [],
	},
	{
		name: '31 hard links to one changed file',
		before: d => {
			write(d, 'f', 'linked');
			for (let i = 0; i < 30; i++) {
				mkdirSync(join(d, `${i}`));
				linkSync(join(d, 'f'), join(d, `${i}/f`));
			}
		},
		after: d => appendFileSync(join(d, 'f'), '!'),
		expected: ['M f content mtime', ...numbered(30, i => `M ${i}/f content mtime`)],
	},
	{
		name: 'a link more, a link less',
		before: d => {
			write(d, 'f', 'f');
			write(d, 'g', 'g');
			linkSync(join(d, 'g'), join(d, 'h'));
		},
		after: d => {
			linkSync(join(d, 'f'), join(d, 'f2'));
			unlinkSync(join(d, 'h'));
		},
		expected: ['m f links', 'A f2', 'm g links', 'D h'],
	},
	{
		name: 'a file and a directory moved',
		before: d => {
			mkdirSync(join(d, 'from/sub'), { recursive: true });
			mkdirSync(join(d, 'to'));
			for (let i = 0; i < 20; i++) write(d, `from/sub/${i}`, `${i}`);
			write(d, 'from/f', 'moved');
		},
		after: d => {
			renameSync(join(d, 'from/sub'), join(d, 'to/sub'));
			renameSync(join(d, 'from/f'), join(d, 'to/g'));
			chmodSync(join(d, 'to/g'), 0o600);
		},
		expected: ['R to/g <- from/f mode', 'R to/sub <- from/sub', ...numbered(20, i => `R to/sub/${i} <- from/sub/${i}`)],
	},
	{
		name: 'shortened, grown, cut and grown again',
		before: d => ['short', 'long', 'again'].forEach(name => write(d, name, 'z'.repeat(20000), AT)),
		after: d => {
			truncateSync(join(d, 'short'), 100);
			truncateSync(join(d, 'long'), 50000);
			truncateSync(join(d, 'again'), 0);
			truncateSync(join(d, 'again'), 20000);
		},
		expected: ['M again content mtime', 'M long content mtime', 'M short content mtime'],
	},
	{
		name: 'attributes in the inode and in a block of their own, shared by files',
		needs: 'xattrs',
		before: d => {
			write(d, 'small', '');
			write(d, 'big', '');
			for (let i = 0; i < 10; i++) {
				write(d, `shared${i}`, '');
				setXattr(d, `shared${i}`, 'user.big', 'v'.repeat(800));
			}
			setXattr(d, 'small', 'user.a', '1');
			setXattr(d, 'big', 'user.b', 'w'.repeat(700));
		},
		after: d => {
			setXattr(d, 'small', 'user.a', '2');
			setXattr(d, 'big', 'user.b', 'x'.repeat(700));
			// The block that ten files share only changes in its count.
			setXattr(d, 'shared3', 'user.big', 'y'.repeat(800));
		},
		expected: ['m big xattr', 'm shared3 xattr', 'm small xattr'],
	},
	{
		name: 'holes, and runs that were never written, are zeros',
		needs: 'extents',
		before: d => {
			write(d, 'punched', Buffer.concat([Buffer.alloc(65536), Buffer.from('end')]), AT);
			write(d, 'hole', Buffer.concat([Buffer.alloc(65536, 1), Buffer.from('end')]), AT);
			write(d, 'kept', 'x', AT);
			truncateSync(join(d, 'kept'), 40000);
			utimesSync(join(d, 'kept'), AT, AT);
		},
		after: d => {
			tool('fallocate', '-p', '-o', '4096', '-l', '32768', join(d, 'punched'));
			tool('fallocate', '-p', '-o', '4096', '-l', '32768', join(d, 'hole'));
			tool('fallocate', '-o', '8192', '-l', '16384', join(d, 'kept'));
			for (const name of ['punched', 'hole', 'kept']) utimesSync(join(d, name), AT, AT);
		},
		expected: ['M hole content'],
	},
	{
		name: 'a fragmented file: a block of it, and its map',
		before: d => {
			for (const name of ['block', 'map', 'still']) fragmented(d, name);
		},
		after: d => {
			overwrite(d, 'block', 80 * 8192, 'B');
			overwrite(d, 'map', 81 * 8192 + 4096, 'm'.repeat(4096));
		},
		expected: ['M block content mtime', 'M map content mtime'],
	},
	{
		name: 'a directory with a hash tree, half of its names gone',
		before: d => numbered(1500, i => write(d, `name-that-is-long-enough-${i}`, '')),
		after: d => numbered(750, i => unlinkSync(join(d, `name-that-is-long-enough-${i * 2}`))),
		expected: numbered(750, i => `D name-that-is-long-enough-${i * 2}`),
	},
	{
		name: 'two files and two directories changed places',
		before: d => {
			write(d, 'f', 'first', AT);
			write(d, 'g', 'second', AT);
			mkdirSync(join(d, 'x'));
			mkdirSync(join(d, 'y'));
			write(d, 'x/1', 'one', AT);
			write(d, 'y/2', 'two', AT);
		},
		after: d => {
			swap(join(d, 'f'), join(d, 'g'));
			swap(join(d, 'x'), join(d, 'y'));
		},
		expected: ['M f content', 'M g content', 'R x/2 <- y/2', 'R y/1 <- x/1'],
	},
	{
		name: 'a directory moved out of a parent that is gone',
		before: d => {
			mkdirSync(join(d, 'parent/child'), { recursive: true });
			write(d, 'parent/child/f', 'kept');
		},
		after: d => {
			renameSync(join(d, 'parent/child'), join(d, 'child'));
			rmdirSync(join(d, 'parent'));
		},
		expected: ['R child <- parent/child', 'R child/f <- parent/child/f', 'D parent'],
	},
	{
		name: 'file to directory to link to file',
		before: d => {
			write(d, 'file', 'f');
			mkdirSync(join(d, 'directory'));
			write(d, 'directory/in', 'i');
			symlinkSync('file', join(d, 'link'));
		},
		after: d => {
			unlinkSync(join(d, 'file'));
			mkdirSync(join(d, 'file'));
			write(d, 'file/in', 'other');
			rmSync(join(d, 'directory'), { recursive: true });
			symlinkSync('x', join(d, 'directory'));
			unlinkSync(join(d, 'link'));
			write(d, 'link', 'l');
		},
		expected: ['T directory type', 'D directory/in', 'T file type', 'A file/in', 'T link type'],
	},
	{
		name: 'a tree gone, its inodes and blocks used again',
		before: d => {
			mkdirSync(join(d, 'old'));
			for (let i = 0; i < 30; i++) write(d, `old/${i}`, `old ${i}`.repeat(2000));
		},
		after: d => {
			rmSync(join(d, 'old'), { recursive: true });
			mkdirSync(join(d, 'new'));
			for (let i = 0; i < 30; i++) write(d, `new/${i}`, `new ${i}`.repeat(2000));
		},
		expected: ['A new', ...numbered(30, i => `A new/${i}`), 'D old', ...numbered(30, i => `D old/${i}`)],
	},
	{
		name: 'links: short, long, and made longer',
		before: d => {
			symlinkSync('aaa', join(d, 'short'));
			symlinkSync('b'.repeat(200), join(d, 'long'));
			symlinkSync('c', join(d, 'longer'));
			for (const name of ['short', 'long', 'longer']) linkTime(d, name);
		},
		after: d => {
			for (const [name, target] of [
				['short', 'bbb'],
				['long', `${'b'.repeat(199)}c`],
				['longer', 'c'.repeat(100)],
			] as const) {
				unlinkSync(join(d, name));
				symlinkSync(target, join(d, name));
				linkTime(d, name);
			}
		},
		expected: ['M long target', 'M longer target', 'M short target'],
	},
	{
		name: 'devices, pipes and sockets',
		before: d => {
			tool('mknod', join(d, 'char'), 'c', '1', '3');
			tool('mknod', join(d, 'block'), 'b', '7', '300');
			tool('mkfifo', join(d, 'pipe'));
			for (const name of ['char', 'block', 'pipe']) utimesSync(join(d, name), AT, AT);
		},
		after: d => {
			for (const name of ['char', 'block', 'pipe']) unlinkSync(join(d, name));
			tool('mknod', join(d, 'char'), 'c', '1', '5');
			tool('mknod', join(d, 'block'), 'b', '259', '70000');
			tool('mknod', join(d, 'pipe'), 'c', '5', '1');
			for (const name of ['char', 'block', 'pipe']) utimesSync(join(d, name), AT, AT);
		},
		expected: ['M block device', 'M char device', 'T pipe type'],
	},
	{
		name: 'names that are no text, or hold a line end',
		before: d => {
			writeFileSync(bytesPath(d, [0xff, 0xfe]), 'x');
			writeFileSync(join(d, 'a\nb'), 'x');
		},
		after: d => {
			appendFileSync(bytesPath(d, [0xff, 0xfe]), 'y');
			appendFileSync(join(d, 'a\nb'), 'y');
			writeFileSync(bytesPath(d, [0x80]), 'z');
		},
		expected: ['M a\\x0ab content mtime', 'A \\x80', 'M \\xff\\xfe content mtime'],
	},
	{
		name: 'a name more, and the times of its directory restored',
		before: d => {
			mkdirSync(join(d, 'sub'));
			utimesSync(join(d, 'sub'), AT, AT);
		},
		after: d => {
			write(d, 'sub/f', 'new');
			utimesSync(join(d, 'sub'), AT, AT);
		},
		expected: ['A sub/f'],
	},
	{
		name: 'written through a mapping and with fdatasync',
		before: d => write(d, 'f', 'q'.repeat(30000)),
		after: d => {
			const fd = openSync(join(d, 'f'), 'r+');
			writeSync(fd, 'Q', 12345);
			fdatasyncSync(fd);
			ftruncateSync(fd, 30000);
			closeSync(fd);
		},
		expected: ['M f content mtime'],
	},
	{
		name: 'the only copy of a file elsewhere, by its bytes',
		before: d => {
			write(d, 'f', 'bytes that are nowhere else');
			write(d, 'twice', 'bytes that come twice');
		},
		after: d => {
			write(d, 'g', 'bytes that are nowhere else');
			write(d, 'twice1', 'bytes that come twice');
			write(d, 'twice2', 'bytes that come twice');
			unlinkSync(join(d, 'f'));
			unlinkSync(join(d, 'twice'));
		},
		expected: ['R g <- f mtime', 'D twice', 'A twice1', 'A twice2'],
	},
];

/** Folder of a case: a number, so that it says nothing and sorts as here. */
export function folderOf(index: number): string {
	return `case${String(index).padStart(2, '0')}`;
}

function write(folder: string, name: string, content: string | Buffer, time?: number): void {
	writeFileSync(join(folder, name), content);
	if (time !== undefined) utimesSync(join(folder, name), time, time);
}

function overwrite(folder: string, name: string, at: number, content: string): void {
	const fd = openSync(join(folder, name), 'r+');
	writeSync(fd, content, at);
	closeSync(fd);
}

/** Every second piece of 4 KiB is a hole, so that no two of its blocks make one run. */
function fragmented(folder: string, name: string): void {
	const fd = openSync(join(folder, name), 'w');
	for (let i = 0; i < 120; i++) writeSync(fd, Buffer.alloc(4096, i + 1), 0, 4096, i * 8192);
	closeSync(fd);
}

function swap(a: string, b: string): void {
	renameSync(a, `${a}.swap`);
	renameSync(b, a);
	renameSync(`${a}.swap`, b);
}

function setXattr(folder: string, name: string, key: string, value: string): void {
	tool('setfattr', '-n', key, '-v', value, join(folder, name));
}

function linkTime(folder: string, name: string): void {
	tool('touch', '-h', '-d', `@${AT}`, join(folder, name));
}

function bytesPath(folder: string, name: readonly number[]): Buffer {
	return Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(name)]);
}

function numbered<T>(count: number, make: (i: number) => T): T[] {
	return Array.from({ length: count }, (_, i) => make(i));
}

function tool(program: string, ...args: string[]): void {
	execFileSync(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
