/**
 * Random histories made by debugfs, which does what no system call does: inodes without generations, data written behind
 * the inodes, fields set to anything. e2fsck makes each state sound. All ways of comparing have to agree with the kernel.
 *
 * `STRATA_PROPERTY_RUNS=200` runs as many, from `STRATA_PROPERTY_SEED` on.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { test } from 'node:test';
import { withWritableVolume } from '../../builders/machine-edit.js';
import { debugfs, debugfsBlocks, debugfsWrite } from '../../oracles/debugfs.js';
import { TempFolder } from '../../oracles/qemu.js';
import { Random } from './random-history.js';
import { assertExact } from './truth.js';
import { kernelListing, makeDisk, snapshot, type NewVolume } from './volumes.js';

const RUNS = Number(process.env['STRATA_PROPERTY_RUNS'] ?? 4);
const FIRST_SEED = Number(process.env['STRATA_PROPERTY_SEED'] ?? 1);
const DISK_MIB = 16;
const FILESYSTEMS: readonly (readonly string[])[] = [
	['-b', '4096'],
	['-b', '1024', '-O', '^has_journal'],
	['-b', '1024', '-O', '^extent,^64bit,^flex_bg,^metadata_csum,uninit_bg', '-g', '2048'],
	['-b', '2048', '-O', 'inline_data', '-I', '256'],
	['-b', '4096', '-O', 'sparse_super2,^resize_inode'],
];

for (let seed = FIRST_SEED; seed < FIRST_SEED + RUNS; seed++) {
	test(`seed ${seed}`, async () => {
		const random = new Random(seed * 104729);
		using folder = new TempFolder();
		const path = folder.join('disk.qcow2');
		const mkfs = FILESYSTEMS[seed % FILESYSTEMS.length]!; // OK: inside.
		const volume: NewVolume = { start: 0, sectors: DISK_MIB * 2048, mkfs };
		makeDisk(path, DISK_MIB, [volume]);
		const files = new Files(random, folder);
		const names: string[] = [];
		for (let i = 0; i < 4; i++) {
			await withWritableVolume(path, disk => {
				debugfsWrite(disk, files.commands(random.pick([5, 20, 60])));
				if (random.chance(60)) files.writeBehind(disk);
				makeSound(disk);
			});
			snapshot(path, `s${i}`);
			names.push(`s${i}`);
		}
		if (process.env['STRATA_PROPERTY_KEEP']) execFileSync('cp', [path, `/tmp/strata-debugfs-${seed}.qcow2`]);
		const listings = names.map(name => kernelListing(path, volume, name));
		for (const [i, a] of names.entries()) {
			for (const [j, b] of names.entries()) {
				if (i === j) continue;
				const [before, after] = [listings[i]!, listings[j]!]; // OK: one a name.
				assertExact(path, [a, b], {
					before,
					after,
					top: '/disk',
					method: 'fast',
					message: `seed ${seed}, ${mkfs.join(' ')}`,
				});
			}
		}
	});
}

/** What one run of e2fsck leaves, the next may put right. */
function makeSound(disk: string): void {
	let said = '';
	for (let run = 0; run < 4; run++) {
		// 0: sound; 1: errors were put right.
		const { status, stdout, stderr } = spawnSync('e2fsck', ['-fy', disk], { encoding: 'utf8' });
		if (status === 0 || status === 1) return;
		said = stdout + stderr;
	}
	throw new Error(`e2fsck does not come to an end: ${said.slice(-600)}`);
}

/** What is there, so that most commands make sense; the others are refused by debugfs, which harms nothing. */
class Files {
	readonly #files: string[] = [];
	readonly #directories: string[] = [''];
	#next = 0;

	constructor(
		private readonly random: Random,
		private readonly folder: TempFolder,
	) {}

	commands(count: number): string[] {
		return Array.from({ length: count }, () => this.#command()).flat();
	}

	/** Other bytes in a block of a file, of which its inode knows nothing. */
	writeBehind(disk: string): void {
		const file = this.random.pick(this.#files);
		if (!file) return;
		const size = Number(/Block size:\s+(\d+)/.exec(debugfs(disk, 'stats -h'))?.[1]);
		// Of a file that debugfs did not make it says something else than blocks.
		const blocks = debugfsBlocks(disk, file).filter(block => block > 0 && (block + 1) * size <= DISK_MIB * 2 ** 20);
		// The map's own blocks are among them, but for the last, which is data for certain when there are few.
		if (blocks.length === 0 || blocks.length > 12) return;
		const fd = openSync(disk, 'r+');
		writeSync(fd, 'behind', this.random.pick(blocks) * size);
		closeSync(fd);
	}

	#command(): string[] {
		const { random } = this;
		const directory = random.pick(this.#directories);
		const path = `${directory}/n${this.#next++}`;
		const file = random.pick(this.#files) ?? '/nothing';
		switch (random.int(12)) {
			case 0:
				this.#directories.push(path);
				return [`mkdir ${path}`];
			case 1:
				return [`symlink ${path} ${'t'.repeat(1 + random.int(150))}`];
			case 2:
				return [`cd ${directory || '/'}`, `mknod n${this.#next - 1} c ${random.int(200)} ${random.int(200)}`, 'cd /'];
			case 3:
				if (this.#files.length === 0) return [];
				this.#files.splice(this.#files.indexOf(file), 1);
				return [`rm ${file}`];
			case 4:
				return [`sif ${file} mode 0100${random.int(8)}${random.int(8)}4`];
			case 5:
				return [`sif ${file} uid ${random.int(60000)}`, `sif ${file} gid ${random.int(60000)}`];
			case 6:
				return [`sif ${file} mtime @${random.int(2 ** 31)}`];
			case 7:
				return [`ea_set ${file} user.a ${'v'.repeat(1 + random.int(200))}`];
			case 8:
				return [`ln ${file} ${path}`, `sif ${file} links_count 2`];
			case 9:
				return [`punch ${file} ${random.int(3)} ${3 + random.int(3)}`];
			default: {
				const content = this.folder.join(`content${this.#next}`);
				writeFileSync(content, random.bytes(random.pick([0, 30, 100, 1500, 9000, 40000])));
				this.#files.push(path);
				return [`write ${content} ${path}`];
			}
		}
	}
}
