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
	const node = measure('node, doing nothing', () => run([process.execPath, '-e', '0']));
	const diff = measure('strata diff', () => run([...strata, 'diff', `${image}@a`, `${image}@b`]));
	const diffFresh = measure('diff -rq, freshly mounted', () => run(['diff', '-rq', mountA, mountB]), fresh);
	const diffCached = measure('diff -rq, all of it cached', () => run(['diff', '-rq', mountA, mountB]));
	const rsync = measure('rsync -rnic, all of it cached', () =>
		run(['rsync', '-rnic', '--delete', `${mountA}/`, `${mountB}/`]),
	);
	ratio(
		'compare two snapshots of 100,000 files',
		diff,
		[diffFresh, diffCached, rsync],
		'≥ 20× freshly mounted, ≥ 5× cached',
	);

	const list = measure('strata ls -R -l', () => run([...strata, 'ls', '-R', '-l', `${image}@a`, '/p1']));
	const lsFresh = measure('ls -lR, freshly mounted', () => run(['ls', '-lR', mountA]), fresh);
	const lsCached = measure('ls -lR, all of it cached', () => run(['ls', '-lR', mountA]));
	ratio('list 100,000 files', list, [lsFresh, lsCached], 'no slower than ls -lR on a mount');

	const folder = '/p1/data/group7/dir7';
	const cold = measure(
		'strata ls, one folder, image not cached',
		() => run([...strata, 'ls', `${image}@a`, folder]),
		() => drop(image),
	);
	console.error(
		`first listing of one folder beyond Node's own start: ${((cold.median - node.median) * 1000).toFixed(1)} ms (aim < 20 ms)`,
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
	const strataDiff = measure('strata diff (7,000 files)', () => run([...strata, 'diff', `${image}@a`, `${image}@b`]));
	// Builds the appliance, which is not counted.
	run(['guestfish', '-a', '/dev/null', 'run'], guestfs);
	const peer = measure(
		'virt-diff',
		() => run(['virt-diff', '--format=raw', '-a', raws[0], '--format=raw', '-A', raws[1]], guestfs),
		undefined,
		2,
	);
	ratio('compare two snapshots of 7,000 files', strataDiff, [peer], '≥ 200× virt-diff');
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

/** Median seconds of several runs; `before` is not counted. */
function measure(name, work, before, times = rounds) {
	const seconds = [];
	for (let i = 0; i < times; i++) {
		before?.();
		const start = process.hrtime.bigint();
		work();
		seconds.push(Number(process.hrtime.bigint() - start) / 1e9);
	}
	seconds.sort((x, y) => x - y);
	const median = seconds[Math.floor(seconds.length / 2)];
	console.error(`${name.padEnd(45)} ${median.toFixed(3)} s   (${seconds.map(s => s.toFixed(3)).join(' ')})`);
	return { name, median };
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
