/** Random work on a mounted filesystem: what people, programs and the system do to files, in any order. Seeded. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
	appendFileSync,
	chmodSync,
	chownSync,
	closeSync,
	fdatasyncSync,
	fsyncSync,
	linkSync,
	lutimesSync,
	mkdirSync,
	openSync,
	readFileSync,
	renameSync,
	rmSync,
	statSync,
	symlinkSync,
	truncateSync,
	unlinkSync,
	utimesSync,
	writeFileSync,
	writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** Numbers that follow from a seed (mulberry32). */
export class Random {
	#state: number;

	constructor(readonly seed: number) {
		this.#state = seed >>> 0;
	}

	/** 0 to `below` - 1. */
	int(below: number): number {
		this.#state = (this.#state + 0x6d2b79f5) >>> 0;
		let t = this.#state;
		t = Math.imul(t ^ (t >>> 15), t | 1);
		t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
		return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
	}

	chance(percent: number): boolean {
		return this.int(100) < percent;
	}

	pick<T>(list: readonly T[]): T {
		return list[this.int(list.length)]!; // OK: callers give lists that are not empty.
	}

	bytes(length: number): Buffer {
		const bytes = Buffer.alloc(length);
		for (let i = 0; i < length; i += 4) bytes.writeUInt32LE(this.int(2 ** 32), Math.min(i, Math.max(0, length - 4)));
		return bytes;
	}
}

type Step = (history: RandomHistory) => void;

/** What it did, for the message of a test that fails. */
export class RandomHistory {
	readonly log: string[] = [];
	readonly #directories: string[];
	readonly #files: string[] = [];
	/** Open files whose names are gone. */
	readonly #open: number[] = [];
	#next = 0;

	constructor(
		private readonly random: Random,
		private readonly top: string,
		private readonly options: { readonly extents: boolean; readonly xattrs: boolean; readonly fsyncPercent: number },
	) {
		this.#directories = [top];
	}

	run(count: number): void {
		for (let i = 0; i < count; i++) {
			const [name, step] = this.random.pick(STEPS);
			try {
				this.log.push(name);
				step(this);
			} catch (error) {
				// No space, a name that is taken, a folder that is gone: a program would meet that too.
				if (!(error instanceof Error && 'code' in error)) throw error;
				this.log.push(`  ${String(error.code)}`);
			}
		}
	}

	/** Before it is unmounted. */
	close(): void {
		for (const fd of this.#open.splice(0)) closeSync(fd);
	}

	static readonly steps = {
		create: (h: RandomHistory) => {
			const path = h.#newPath();
			writeFileSync(path, h.random.bytes(h.#size()));
			h.#files.push(path);
			h.#maybeSync(path);
		},
		mkdir: (h: RandomHistory) => {
			const path = h.#newPath();
			mkdirSync(path);
			h.#directories.push(path);
		},
		overwrite: (h: RandomHistory) => {
			const path = h.#file();
			const { size, mtime, atime } = statSync(path);
			const fd = openSync(path, 'r+');
			try {
				writeSync(fd, h.random.bytes(1 + h.random.int(9000)), 0, undefined, h.random.int(size + 1));
				if (h.random.chance(30)) fdatasyncSync(fd);
			} finally {
				closeSync(fd);
			}
			if (h.random.chance(30)) utimesSync(path, atime, mtime);
			h.#maybeSync(path);
		},
		sameBytes: (h: RandomHistory) => {
			const path = h.#file();
			const { mtime, atime } = statSync(path);
			const bytes = readFileSync(path);
			const fd = openSync(path, 'r+');
			writeSync(fd, bytes, 0, bytes.length, 0);
			closeSync(fd);
			if (h.random.chance(70)) utimesSync(path, atime, mtime);
		},
		append: (h: RandomHistory) => {
			const path = h.#file();
			appendFileSync(path, h.random.bytes(h.#size()));
			h.#maybeSync(path);
		},
		scatter: (h: RandomHistory) => {
			const path = h.#newPath();
			const fd = openSync(path, 'w');
			for (let i = 0; i < 40; i++) writeSync(fd, h.random.bytes(100), 0, 100, h.random.int(60) * 9000);
			closeSync(fd);
			h.#files.push(path);
		},
		truncate: (h: RandomHistory) => {
			const path = h.#file();
			truncateSync(path, h.random.int(statSync(path).size * 2 + 1));
			h.#maybeSync(path);
		},
		unlink: (h: RandomHistory) => unlinkSync(h.#takeFile()),
		unlinkOpen: (h: RandomHistory) => {
			const path = h.#takeFile();
			const fd = openSync(path, 'r+');
			h.#open.push(fd);
			unlinkSync(path);
			writeSync(fd, h.random.bytes(5000), 0, 5000, 0);
			if (h.#open.length > 5) closeSync(h.#open.shift()!); // OK: not empty.
		},
		rename: (h: RandomHistory) => {
			const from = h.#takeFile();
			const to = h.#newPath();
			renameSync(from, to);
			h.#files.push(to);
			h.#maybeSync(to);
		},
		replace: (h: RandomHistory) => {
			const path = h.#file();
			const { mtime, atime } = statSync(path);
			writeFileSync(`${path}~`, h.random.chance(50) ? readFileSync(path) : h.random.bytes(statSync(path).size));
			if (h.random.chance(50)) utimesSync(`${path}~`, atime, mtime);
			renameSync(`${path}~`, path);
			h.#maybeSync(path);
		},
		moveDirectory: (h: RandomHistory) => {
			const from = h.#directory();
			const to = h.#newPath();
			if (from === h.top || to.startsWith(`${from}/`)) return;
			renameSync(from, to);
			h.#renamed(from, to);
		},
		link: (h: RandomHistory) => {
			const path = h.#newPath();
			linkSync(h.#file(), path);
			h.#files.push(path);
			h.#maybeSync(path);
		},
		symlink: (h: RandomHistory) => symlinkSync('x'.repeat(1 + h.random.int(200)), h.#newPath()),
		remove: (h: RandomHistory) => {
			const path = h.#directory();
			if (path === h.top) return;
			rmSync(path, { recursive: true });
			h.#renamed(path, undefined);
		},
		retype: (h: RandomHistory) => {
			const path = h.#takeFile();
			unlinkSync(path);
			mkdirSync(path);
			h.#directories.push(path);
		},
		chmod: (h: RandomHistory) => chmodSync(h.#any(), h.random.int(0o10000) | 0o700),
		chown: (h: RandomHistory) => chownSync(h.#any(), h.random.int(100000), h.random.int(100000)),
		utimes: (h: RandomHistory) => lutimesSync(h.#any(), h.random.int(2 ** 32), h.random.int(2 ** 32)),
		read: (h: RandomHistory) => readFileSync(h.#file()),
		xattr: (h: RandomHistory) => {
			if (!h.options.xattrs) return;
			const size = h.random.pick([0, 5, 40, 300, 900]);
			const name = `user.${h.random.pick(['a', 'b', 'c'])}`;
			h.#tool('setfattr', '-n', name, '-v', 'v'.repeat(size) + String(h.random.int(3)), h.#any());
		},
		noXattr: (h: RandomHistory) => h.#tool('setfattr', '-x', 'user.a', h.#any()),
		punch: (h: RandomHistory) => {
			if (!h.options.extents) return;
			h.#tool('fallocate', '-p', '-o', String(h.random.int(20) * 1024), '-l', '9000', h.#file());
		},
		preallocate: (h: RandomHistory) => {
			if (!h.options.extents) return;
			h.#tool('fallocate', '-o', String(h.random.int(40) * 1024), '-l', '20000', h.#file());
		},
		node: (h: RandomHistory) => {
			h.#tool('mknod', h.#newPath(), h.random.pick(['c', 'b']), String(h.random.int(300)), String(h.random.int(70000)));
		},
		manyNames: (h: RandomHistory) => {
			const path = h.#newPath();
			mkdirSync(path);
			h.#directories.push(path);
			for (let i = 0; i < 150; i++) writeFileSync(join(path, `a name that is long enough to fill blocks ${i}`), '');
		},
		sync: (h: RandomHistory) => execFileSync('sync', ['-f', h.top]),
		fsyncDirectory: (h: RandomHistory) => {
			const fd = openSync(h.#directory(), 'r');
			fsyncSync(fd);
			closeSync(fd);
		},
		trim: (h: RandomHistory) => h.#tool('fstrim', h.top),
		forget: () => writeFileSync('/proc/sys/vm/drop_caches', '2'),
	};

	#size(): number {
		return this.random.pick([0, 1, 60, 100, 1000, 4096, 5000, 20000, 70000]);
	}

	#newPath(): string {
		const name = this.random.chance(10) ? `\u00e9\n${this.#next++}` : `n${this.#next++}`;
		return join(this.#directory(), this.random.chance(20) ? name.padEnd(80, '-') : name);
	}

	#directory(): string {
		return this.random.pick(this.#directories);
	}

	#file(): string {
		if (this.#files.length === 0) RandomHistory.steps.create(this);
		return this.random.pick(this.#files);
	}

	#any(): string {
		return this.random.chance(25) ? this.#directory() : this.#file();
	}

	#takeFile(): string {
		const path = this.#file();
		this.#files.splice(this.#files.indexOf(path), 1);
		return path;
	}

	/** Known paths follow a folder that moved, or are forgotten with one that is gone. */
	#renamed(from: string, to: string | undefined): void {
		for (const list of [this.#files, this.#directories]) {
			const paths = list.splice(0);
			for (const path of paths) {
				if (path !== from && !path.startsWith(`${from}/`)) list.push(path);
				else if (to !== undefined) list.push(to + path.slice(from.length));
			}
		}
	}

	#maybeSync(path: string): void {
		if (!this.random.chance(this.options.fsyncPercent)) return;
		const fd = openSync(path, 'r');
		fsyncSync(fd);
		closeSync(fd);
	}

	#tool(program: string, ...args: string[]): void {
		const { error, status, stderr } = spawnSync(program, args, { encoding: 'utf8' });
		if (error) throw error;
		// It may fail as a call may (no space, no such attribute), and that is as good a step.
		if (status !== 0) this.log.push(`  ${program} ${basename(dirname(args.at(-1) ?? ''))}: ${stderr.trim()}`);
	}
}

/** By weight. */
const STEPS: readonly (readonly [string, Step])[] = (
	[
		['create', 10],
		['mkdir', 3],
		['overwrite', 10],
		['sameBytes', 3],
		['append', 4],
		['scatter', 2],
		['truncate', 4],
		['unlink', 5],
		['unlinkOpen', 2],
		['rename', 5],
		['replace', 5],
		['moveDirectory', 2],
		['link', 3],
		['symlink', 2],
		['remove', 1],
		['retype', 1],
		['chmod', 3],
		['chown', 2],
		['utimes', 3],
		['read', 3],
		['xattr', 4],
		['noXattr', 1],
		['punch', 2],
		['preallocate', 2],
		['node', 1],
		['manyNames', 1],
		['sync', 1],
		['fsyncDirectory', 1],
		['trim', 1],
		['forget', 1],
	] as const
).flatMap(([name, weight]) => Array.from({ length: weight }, () => [name, RandomHistory.steps[name]] as const));
