// The same work by Strata and by its peers, side by side in one run, printed as ratios. Needs root (it mounts) on Linux.
// usage: node test/bench/bench.mjs [--rounds N] [--quick] [--no-virt-diff]
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { benchImage, PARTITION_OFFSET } from './image.mjs';

const args = process.argv.slice(2);
const rounds = Number(args[args.indexOf('--rounds') + 1]) || 5;
const quick = args.includes('--quick');
const cache = process.env.STRATA_BENCH_CACHE ?? join(homedir(), '.cache', 'strata-bench');
const strata = [process.execPath, join(process.cwd(), 'dist', 'cli.cjs')];
const work = join(tmpdir(), `strata-bench-${process.pid}`);
mkdirSync(work, { recursive: true });
const environment = { ...process.env, STRATA_HOME: join(work, 'home') };

const results = [];
let mounted = [];
try {
	if (!existsSync('dist/cli.cjs')) throw new Error('dist/cli.cjs is missing: npm run build');
	const big = await benchImage(cache, {
		name: quick ? 'bench-10k' : 'bench-100k',
		folders: quick ? 100 : 1000,
		sizeMb: quick ? 2048 : 10240,
	});
	await largeImage(big);
	if (!args.includes('--no-virt-diff')) await virtDiff();
	print();
} finally {
	mounted.forEach(unmount);
	rmSync(work, { recursive: true, force: true });
}

async function largeImage(image) {
	const [a, b] = ['a', 'b'].map(tag => {
		const raw = join(work, `${tag}.raw`);
		execFileSync('qemu-img', ['convert', '-l', tag, '-O', 'raw', image, raw]);
		return raw;
	});
	const [mountA, mountB] = [join(work, 'a'), join(work, 'b')];
	mkdirSync(mountA);
	mkdirSync(mountB);
	const fresh = () => {
		mounted.forEach(unmount);
		mounted = [];
		for (const [raw, mount] of [
			[a, mountA],
			[b, mountB],
		]) {
			execFileSync('mount', ['-o', `loop,ro,offset=${PARTITION_OFFSET}`, raw, mount]);
			mounted.push(mount);
		}
	};
	warm(image);
	const nothing = { name: 'node, doing nothing', work: () => run([process.execPath, '-e', '0']) };
	const [, diff, ...diffPeers] = sideBySide([
		nothing,
		{ name: 'strata diff', work: () => run([...strata, 'diff', `${image}@a`, `${image}@b`]) },
		{ name: 'diff -rq, freshly mounted', work: () => run(['diff', '-rq', mountA, mountB]), before: fresh },
		// Right after the fresh one: all of it is in the mounts' cache now.
		{ name: 'diff -rq, all of it cached', work: () => run(['diff', '-rq', mountA, mountB]) },
		{
			name: 'rsync -rnic, all of it cached',
			work: () => run(['rsync', '-rnic', '--delete', `${mountA}/`, `${mountB}/`]),
		},
	]);
	ratio('compare two snapshots of 100,000 files', diff, diffPeers, '≥ 20× freshly mounted, ≥ 5× cached');

	const [list, ...listPeers] = sideBySide([
		{ name: 'strata ls -R -l', work: () => run([...strata, 'ls', '-R', '-l', `${image}@a`, '/p1']) },
		{ name: 'ls -lR, freshly mounted', work: () => run(['ls', '-lR', mountA]), before: fresh },
		{ name: 'ls -lR, all of it cached', work: () => run(['ls', '-lR', mountA]) },
	]);
	ratio('list 100,000 files', list, listPeers, 'no slower than ls -lR on a mount');

	const [node, cold] = sideBySide(
		[
			nothing,
			{
				name: 'strata ls, one folder, image not cached',
				work: () => run([...strata, 'ls', `${image}@a`, '/p1/data/group7/dir7']),
				before: () => drop(image),
			},
		],
		rounds * 4,
	);
	results.push({
		what: 'first listing of one folder, beyond Node’s own start',
		mine: { name: cold.name, median: cold.median - node.median },
		peers: [],
		aim: '< 20 ms',
	});
}

async function virtDiff() {
	if (spawnSync('which', ['virt-diff']).status !== 0) {
		console.error(
			'virt-diff is not installed: apt-get install --no-install-recommends libguestfs-tools linux-image-cloud-amd64',
		);
		process.exitCode = 3;
		return;
	}
	const image = await benchImage(cache, { name: 'bench-7k', folders: 70, sizeMb: 1024, os: true });
	const raws = ['a', 'b'].map(tag => {
		const raw = join(work, `small-${tag}.raw`);
		execFileSync('qemu-img', ['convert', '-l', tag, '-O', 'raw', image, raw]);
		return raw;
	});
	const guestfs = guestfsEnvironment();
	if (!guestfs) {
		console.error('no kernel with modules below /boot and /lib/modules: apt-get install linux-image-cloud-amd64');
		process.exitCode = 3;
		return;
	}
	// Builds the appliance, which is not counted.
	run(['guestfish', '-a', '/dev/null', 'run'], guestfs);
	const [mine, peer] = sideBySide(
		[
			{ name: 'strata diff (7,000 files)', work: () => run([...strata, 'diff', `${image}@a`, `${image}@b`]) },
			{
				name: 'virt-diff',
				work: () => run(['virt-diff', '--format=raw', '-a', raws[0], '--format=raw', '-A', raws[1]], guestfs),
			},
		],
		Math.min(rounds, 2),
	);
	ratio('compare two snapshots of 7,000 files', mine, [peer], '≥ 200× virt-diff');
}

/** What libguestfs needs in a container: a kernel that it is told of, no KVM, room for the appliance that it builds once. */
function guestfsEnvironment() {
	const version = readdirSync('/boot')
		.filter(name => name.startsWith('vmlinuz-'))
		.map(name => name.slice('vmlinuz-'.length))
		.find(each => existsSync(`/lib/modules/${each}`));
	if (version === undefined) return undefined;
	const modules = `/lib/modules/${version}`;
	if (!existsSync(`${modules}/modules.dep`)) execFileSync('depmod', [version]);
	const appliances = join(cache, 'guestfs');
	mkdirSync(appliances, { recursive: true });
	return {
		LIBGUESTFS_BACKEND: 'direct',
		LIBGUESTFS_BACKEND_SETTINGS: 'force_tcg',
		LIBGUESTFS_MEMSIZE: '768',
		LIBGUESTFS_CACHEDIR: appliances,
		SUPERMIN_KERNEL: `/boot/vmlinuz-${version}`,
		SUPERMIN_MODULES: modules,
		SUPERMIN_KERNEL_VERSION: version,
	};
}

/**
 * Median seconds of each task over several rounds. Every round does each task once, so that a busy moment of the host falls
 * on all of them; `before` is not counted.
 */
function sideBySide(tasks, times = rounds) {
	const seconds = tasks.map(() => []);
	for (let i = 0; i < times; i++) {
		for (const [index, { work, before }] of tasks.entries()) {
			before?.();
			const start = process.hrtime.bigint();
			work();
			seconds[index].push(Number(process.hrtime.bigint() - start) / 1e9);
		}
	}
	return tasks.map(({ name }, index) => {
		const sorted = seconds[index].sort((x, y) => x - y);
		const median = sorted[Math.floor(sorted.length / 2)];
		console.error(`${name.padEnd(45)} ${median.toFixed(3)} s   (${sorted.map(s => s.toFixed(3)).join(' ')})`);
		return { name, median };
	});
}

function run([program, ...rest], extra = {}) {
	// Output goes to a pipe that is read, as a person's would: to /dev/null, ls and diff skip work.
	const result = spawnSync(program, rest, { env: { ...environment, ...extra }, maxBuffer: 1 << 30 });
	if (result.error) throw result.error;
	if (result.status !== 0 && result.status !== 1)
		throw new Error(`${program} ${rest.join(' ')} ended with ${result.status}\n${result.stderr}`);
	return result;
}

function ratio(what, mine, peers, aim) {
	results.push({ what, mine, peers, aim });
}

function print() {
	for (const { what, mine, peers, aim } of results) {
		console.log(`\n${what}   (aim: ${aim})`);
		console.log(`  ${mine.name.padEnd(45)} ${mine.median.toFixed(3)} s`);
		for (const peer of peers)
			console.log(`  ${peer.name.padEnd(45)} ${peer.median.toFixed(3)} s   ${(peer.median / mine.median).toFixed(1)}×`);
	}
	mkdirSync('test-results', { recursive: true });
	writeFileSync('test-results/bench.json', JSON.stringify(results, null, '\t'));
}

function warm(file) {
	execFileSync('dd', [`if=${file}`, 'of=/dev/null', 'bs=4M', 'status=none']);
}

/** Drops one file from the host's page cache. */
function drop(file) {
	execFileSync('dd', [`of=${file}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0', 'status=none']);
}

function unmount(mount) {
	spawnSync('umount', [mount]);
}
