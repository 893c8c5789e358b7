/**
 * What programs do to a filesystem, at random and repeatable: for fixtures whose snapshots fall between any two steps.
 * Works on a mounted directory, by Node's own calls and a few tools where Node has none.
 */
import { spawnSync } from 'node:child_process';
import {
	chmodSync,
	chownSync,
	closeSync,
	fdatasyncSync,
	fsyncSync,
	ftruncateSync,
	linkSync,
	lstatSync,
	mkdirSync,
	openSync,
	readdirSync,
	readFileSync,
	readSync,
	renameSync,
	rmSync,
	rmdirSync,
	symlinkSync,
	unlinkSync,
	utimesSync,
	writeFileSync,
	writeSync,
} from 'node:fs';
import { join } from 'node:path';

/** mulberry32: a small seeded source of numbers in [0, 1). */
export function randomFrom(seed: number): () => number {
	let state = seed >>> 0;
	return () => {
		state = (state + 0x6d2b79f5) >>> 0;
		let t = Math.imul(state ^ (state >>> 15), state | 1);
		t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
		return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
	};
}

export interface WorkloadOptions {
	/** Call fsync or fdatasync after this share of the writes. */
	readonly syncs?: number;
	/** Use tools (fallocate, setfattr): a process each. On by default. */
	readonly tools?: boolean;
	/** Make and move directories. On by default; off where a fast commit shall not be turned into a full one. */
	readonly directories?: boolean;
	/** Bytes of the largest write. */
	readonly maxWrite?: number;
}

type Step = () => void;

export class Workload {
	/** Steps done, by name: a test can see that all kinds took part. */
	readonly counts = new Map<string, number>();
	readonly #files: string[] = [];
	readonly #directories: string[] = [];
	readonly #links: string[] = [];
	/** Files that were removed while open. */
	readonly #orphans: number[] = [];
	readonly #steps: readonly (readonly [name: string, weight: number, step: Step])[];
	#serial = 0;

	constructor(
		private readonly root: string,
		private readonly random: () => number,
		private readonly options: WorkloadOptions = {},
	) {
		this.#directories.push(root);
		this.#steps = this.#makeSteps();
	}

	/** Do `count` random steps. A step that the filesystem refuses (full, gone) is passed over. */
	run(count: number): void {
		const total = this.#steps.reduce((sum, [, weight]) => sum + weight, 0);
		for (let n = 0; n < count; n++) {
			let at = this.random() * total;
			const [name, , step] = this.#steps.find(([, weight]) => (at -= weight) < 0) ?? this.#steps[0]!; // OK: not empty.
			try {
				step();
				this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
			} catch (error) {
				if (!isRefusal(error)) throw error;
			}
		}
	}

	/** Close what was removed while open: the files' blocks become free. */
	closeOrphans(): void {
		for (const fd of this.#orphans.splice(0)) closeSync(fd);
	}

	#makeSteps(): (readonly [string, number, Step])[] {
		const steps: (readonly [string, number, Step])[] = [
			['create', 12, () => this.#create()],
			['append', 8, () => this.#write(this.#file(), 'end')],
			['overwrite', 10, () => this.#write(this.#file(), 'inside')],
			['sparse', 2, () => this.#write(this.#file(), 'beyond')],
			['rewrite', 4, () => this.#rewrite(this.#file())],
			['truncate', 4, () => this.#truncate(this.#file())],
			['rename', 5, () => this.#rename()],
			['renameOver', 3, () => this.#renameOver()],
			['unlink', 6, () => this.#unlink()],
			['unlinkOpen', 1, () => this.#unlinkOpen()],
			['link', 3, () => this.#link()],
			['symlink', 3, () => this.#symlink()],
			['chmod', 3, () => chmodSync(this.#file(), Math.floor(this.random() * 0o1000))],
			['chown', 2, () => chownSync(this.#file(), this.#int(100_000), this.#int(100_000))],
			['utimes', 2, () => utimesSync(this.#file(), this.random() * 2e9, this.random() * 2e9)],
			['read', 2, () => readFileSync(this.#file())],
		];
		if (this.options.directories ?? true) {
			steps.push(
				['mkdir', 3, () => this.#mkdir()],
				['rmdir', 1, () => this.#rmdir()],
				['removeTree', 0.5, () => this.#removeTree()],
				['renameDirectory', 1, () => this.#renameDirectory()],
			);
		}
		if (this.options.tools ?? true) {
			steps.push(
				['setxattr', 0.6, () => this.#setXattr()],
				['fallocate', 0.4, () => this.#fallocate([])],
				['punch', 0.4, () => this.#fallocate(['-p'])],
				['mknod', 0.2, () => this.#tool('mknod', [this.#newName(), 'c', '8', String(this.#int(300))])],
				['mkfifo', 0.2, () => this.#tool('mkfifo', [this.#newName()])],
			);
		}
		return steps;
	}

	#create(): void {
		const path = this.#newName();
		const fd = openSync(path, 'wx');
		try {
			if (this.random() < 0.9) writeSync(fd, this.#bytes());
			this.#sync(fd);
		} finally {
			closeSync(fd);
		}
		this.#files.push(path);
	}

	#write(path: string, where: 'end' | 'inside' | 'beyond'): void {
		const fd = openSync(path, 'r+');
		try {
			const { size } = lstatSync(path);
			const at = where === 'end' ? size : where === 'inside' ? this.#int(size + 1) : size + this.#int(200_000);
			writeSync(fd, this.#bytes(), 0, undefined, at);
			this.#sync(fd);
		} finally {
			closeSync(fd);
		}
	}

	/** As editors save: a new file beside the old, synced, renamed over it. */
	#rewrite(path: string): void {
		const beside = `${path}~`;
		const fd = openSync(beside, 'w');
		try {
			writeSync(fd, this.#bytes());
			fsyncSync(fd);
		} finally {
			closeSync(fd);
		}
		renameSync(beside, path);
	}

	#truncate(path: string): void {
		const fd = openSync(path, 'r+');
		try {
			ftruncateSync(fd, this.#int(lstatSync(path).size * 1.2 + 1));
			this.#sync(fd);
		} finally {
			closeSync(fd);
		}
	}

	#rename(): void {
		const from = this.#take(this.#files);
		const to = this.#newName();
		renameSync(from, to);
		this.#files.push(to);
		this.#syncPath(to);
	}

	#renameOver(): void {
		const from = this.#take(this.#files);
		const to = this.#file();
		renameSync(from, to);
		this.#syncPath(to);
	}

	#unlink(): void {
		const path = this.#take(this.random() < 0.8 ? this.#files : this.#links);
		unlinkSync(path);
		this.#syncPath(this.#file());
	}

	#unlinkOpen(): void {
		const path = this.#take(this.#files);
		const fd = openSync(path, 'r+');
		this.#orphans.push(fd);
		unlinkSync(path);
		writeSync(fd, this.#bytes());
		this.#sync(fd);
		if (this.#orphans.length > 8) this.closeOrphans();
	}

	#link(): void {
		const to = this.#newName();
		const from = this.#file();
		linkSync(from, to);
		this.#files.push(to);
		this.#syncPath(from);
	}

	#symlink(): void {
		const path = this.#newName();
		const length = this.random() < 0.5 ? this.#int(50) + 1 : this.#int(900) + 60;
		symlinkSync('t'.repeat(length), path);
		this.#links.push(path);
		this.#syncPath(this.#file());
	}

	#mkdir(): void {
		const path = this.#newName();
		mkdirSync(path);
		this.#directories.push(path);
		writeFileSync(join(path, 'inside'), this.#bytes());
		this.#files.push(join(path, 'inside'));
		this.#syncPath(join(path, 'inside'));
	}

	#rmdir(): void {
		const path = this.#directories.at(-1)!; // OK: the root is always there.
		if (path === this.root || readdirSync(path).length > 0) return;
		rmdirSync(path);
		this.#directories.pop();
	}

	#removeTree(): void {
		if (this.#directories.length < 4) return;
		const [path] = this.#directories.splice(1 + this.#int(this.#directories.length - 1), 1);
		rmSync(path!, { recursive: true, force: true }); // OK: the index is inside.
		this.#forget(path!);
	}

	#renameDirectory(): void {
		if (this.#directories.length < 3) return;
		const index = 1 + this.#int(this.#directories.length - 1);
		const from = this.#directories[index]!; // OK: as above.
		const to = join(this.root, `d${this.#serial++}`);
		renameSync(from, to);
		const move = (path: string) => (path.startsWith(`${from}/`) ? to + path.slice(from.length) : path);
		this.#directories[index] = to;
		for (const list of [this.#files, this.#links, this.#directories]) {
			for (const [n, path] of list.entries()) list[n] = move(path);
		}
	}

	#forget(directory: string): void {
		for (const list of [this.#files, this.#links, this.#directories]) {
			const kept = list.filter(path => !path.startsWith(`${directory}/`));
			list.splice(0, list.length, ...kept);
		}
	}

	#setXattr(): void {
		const value = 'v'.repeat(this.random() < 0.7 ? this.#int(40) + 1 : this.#int(900) + 100);
		this.#tool('setfattr', ['-n', `user.k${this.#int(5)}`, '-v', value, this.#file()]);
	}

	#fallocate(options: readonly string[]): void {
		const at = String(this.#int(100_000));
		this.#tool('fallocate', [...options, '-o', at, '-l', String(this.#int(100_000) + 1), this.#file()]);
	}

	#tool(program: string, args: readonly string[]): void {
		const { error } = spawnSync(program, args, { stdio: 'ignore' });
		if (error) throw error;
	}

	#sync(fd: number): void {
		if ((this.options.syncs ?? 0.3) <= this.random()) return;
		if (this.random() < 0.5) fsyncSync(fd);
		else fdatasyncSync(fd);
	}

	#syncPath(path: string): void {
		if ((this.options.syncs ?? 0.3) <= this.random()) return;
		const fd = openSync(path, 'r');
		try {
			fsyncSync(fd);
		} finally {
			closeSync(fd);
		}
	}

	#newName(): string {
		const directory = this.#directories[this.#int(this.#directories.length)]!; // OK: never empty.
		const serial = this.#serial++;
		return join(
			directory,
			serial % 7 === 0 ? `a rather long name, as some have ${serial}`.padEnd(120, '.') : `f${serial}`,
		);
	}

	#file(): string {
		const path = this.#files[this.#int(this.#files.length)];
		if (path === undefined) throw new Refusal();
		return path;
	}

	#take(list: string[]): string {
		const [path] = list.splice(this.#int(list.length), 1);
		if (path === undefined) throw new Refusal();
		return path;
	}

	#bytes(): Buffer {
		const size = this.random() < 0.6 ? this.#int(3000) : this.#int(this.options.maxWrite ?? 60_000);
		return Buffer.alloc(size + 1, `${this.#serial}:${this.#int(1e9)} `);
	}

	#int(below: number): number {
		return Math.floor(this.random() * below);
	}
}

/** There is nothing that the step could be done to. */
class Refusal extends Error {}

function isRefusal(error: unknown): boolean {
	if (error instanceof Refusal) return true;
	const { code } = error as NodeJS.ErrnoException;
	return code === 'ENOSPC' || code === 'ENOENT' || code === 'EMLINK' || code === 'ENOTEMPTY' || code === 'ENOTDIR';
}

/** Touch every file below, so that access times change. */
export function readAll(directory: string): void {
	const buffer = Buffer.alloc(1);
	for (const entry of readdirSync(directory, { withFileTypes: true, recursive: true })) {
		if (!entry.isFile()) continue;
		const fd = openSync(join(entry.parentPath, entry.name), 'r');
		try {
			readSync(fd, buffer);
		} finally {
			closeSync(fd);
		}
	}
}
