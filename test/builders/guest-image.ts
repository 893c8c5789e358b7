/**
 * A tiny real Linux machine for tests: Debian's cloud kernel, busybox, and QEMU's guest agent, on a GPT disk with one ext4.
 * Made from packages that `apt-get download` brings, without root and without mounting; started once, and its memory kept,
 * so that every test has a machine with an agent that answers in about a second.
 *
 * Kept under ~/.cache/strata-guest, by the versions of the packages and of this recipe.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
	chmodSync,
	copyFileSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	readFileSync,
	readdirSync,
	renameSync,
	rmSync,
	statSync,
	symlinkSync,
	writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import process, { env } from 'node:process';
import { gzipSync } from 'node:zlib';
import { cpio } from './cpio.js';

/** Raised when the recipe below changes. */
const RECIPE = 3;
const ROOT_MB = 64;
const DISK_MB = ROOT_MB + 2;

const PACKAGES = [
	'qemu-guest-agent',
	'libc6',
	'libglib2.0-0',
	'libnuma1',
	'libudev1',
	'liburing2',
	'libpcre2-8-0',
	'busybox-static',
];
/** Depends on the newest kernel, whose package it is that is needed. */
const KERNEL_META = 'linux-image-cloud-amd64';

const APT_LISTS = '/var/lib/apt/lists';

/** In the order in which they can be loaded. */
const MODULES = [
	'drivers/virtio/virtio_ring',
	'drivers/virtio/virtio',
	'drivers/virtio/virtio_pci_legacy_dev',
	'drivers/virtio/virtio_pci_modern_dev',
	'drivers/virtio/virtio_pci',
	'drivers/block/virtio_blk',
	'drivers/char/virtio_console',
];

const LIBRARIES = [
	'libudev.so.1',
	'libnuma.so.1',
	'liburing.so.2',
	'libglib-2.0.so.0',
	'libgmodule-2.0.so.0',
	'libm.so.6',
	'libc.so.6',
	'libpcre2-8.so.0',
	'ld-linux-x86-64.so.2',
];

const INIT = `#!/bin/sh
B=/bin/busybox
$B mount -t devtmpfs dev /dev; $B mount -t proc proc /proc; $B mount -t sysfs sys /sys
${MODULES.map(path => `$B insmod /m/${nameOf(path)}.ko`).join('\n')}
n=0; while [ ! -b /dev/vda1 ] && [ $n -lt 200 ]; do $B usleep 50000; n=$((n+1)); done
$B mount -t ext4 -o rw /dev/vda1 /mnt || exec $B sh
for d in dev proc sys; do $B mount -o move /$d /mnt/$d; done
exec $B switch_root /mnt /sbin/init
`;

const INITTAB = `::sysinit:/etc/init.d/rcS
ttyS0::respawn:/bin/sh
::respawn:/usr/sbin/qemu-ga -m virtio-serial -p /dev/qga -t /run -f /run/qga.pid
::shutdown:/bin/umount -a -r
`;

const RC_S = `#!/bin/sh
mount -t tmpfs run /run; mount -t tmpfs tmp /tmp
hostname -F /etc/hostname
for p in /sys/class/virtio-ports/*; do [ "$(cat $p/name)" = org.qemu.guest_agent.0 ] && ln -sf \${p##*/} /dev/qga; done
`;

export interface GuestImage {
	readonly kernel: string;
	readonly initrd: string;
	/** Never started. */
	readonly disk: string;
	/** Made by `warmUp` in guest.ts: a disk and the memory that belongs to it. Absent at first. */
	readonly warmDisk: string;
	readonly warmMemory: string;
}

let known: GuestImage | undefined;

/** Builds the machine unless it is there. */
export function guestImage(): GuestImage {
	return (known ??= findOrBuild());
}

function findOrBuild(): GuestImage {
	const cache = join(env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'strata-guest');
	mkdirSync(cache, { recursive: true });
	// Asking apt takes seconds on a busy machine; its lists tell when the answer may have changed.
	const stamp = `${RECIPE} ${statSync(APT_LISTS, { throwIfNoEntry: false })?.mtimeMs ?? 0}`;
	const stampFile = join(cache, 'current.json');
	const last = existsSync(stampFile) ? (JSON.parse(readFileSync(stampFile, 'utf8')) as Current) : undefined;
	if (last?.stamp === stamp && existsSync(join(cache, last.key))) return filesIn(join(cache, last.key));
	const { packages, kernelVersion, key } = chosenPackages();
	const folder = join(cache, key);
	if (!existsSync(folder)) {
		const work = mkdtempSync(join(cache, 'build-'));
		try {
			build(work, packages, kernelVersion);
			mkdirSync(join(work, 'done'));
			for (const name of ['vmlinuz', 'initrd.img', 'disk.qcow2'])
				renameSync(join(work, name), join(work, 'done', name));
			// Another run may have been first: then theirs is as good.
			if (!existsSync(folder)) renameSync(join(work, 'done'), folder);
		} finally {
			rmSync(work, { recursive: true, force: true });
		}
	}
	const temporary = `${stampFile}.${process.pid}`;
	writeFileSync(temporary, JSON.stringify({ stamp, key } satisfies Current));
	renameSync(temporary, stampFile);
	return filesIn(folder);
}

interface Current {
	readonly stamp: string;
	readonly key: string;
}

/** What apt would bring now. */
function chosenPackages(): { packages: string[]; kernelVersion: string; key: string } {
	const kernel = /Depends: (linux-image-\S+)/.exec(run('apt-cache', ['depends', KERNEL_META]))?.[1];
	if (kernel === undefined) {
		throw new Error(`apt knows no ${KERNEL_META}: is this Debian, and was "apt-get update" run?`);
	}
	const packages = [...PACKAGES, kernel];
	const versions = run('apt-cache', ['show', '--no-all-versions', ...packages])
		.split('\n')
		.filter(line => /^(?:Package|Version):/.test(line))
		.join('\n');
	const key = createHash('sha256').update(`${RECIPE}\n${versions}`).digest('hex').slice(0, 16);
	return { packages, kernelVersion: kernel.replace('linux-image-', ''), key };
}

function filesIn(folder: string): GuestImage {
	return {
		kernel: join(folder, 'vmlinuz'),
		initrd: join(folder, 'initrd.img'),
		disk: join(folder, 'disk.qcow2'),
		warmDisk: join(folder, 'warm', 'disk.qcow2'),
		warmMemory: join(folder, 'warm', 'memory'),
	};
}

function build(work: string, packages: readonly string[], kernelVersion: string): void {
	const downloads = join(work, 'downloads');
	const unpacked = join(work, 'unpacked');
	mkdirSync(downloads);
	mkdirSync(unpacked);
	execFileSync('apt-get', ['-q', 'download', ...packages], { cwd: downloads, stdio: ['ignore', 'ignore', 'pipe'] });
	const kernelModules = `lib/modules/${kernelVersion}/kernel`;
	for (const name of readdirSync(downloads)) {
		const file = join(downloads, name);
		if (!name.startsWith('linux-image-')) run('dpkg-deb', ['-x', file, unpacked]);
		else {
			const wanted = [`./boot/vmlinuz-${kernelVersion}`, ...MODULES.map(path => `./${kernelModules}/${path}.ko`)];
			execFileSync('sh', ['-c', 'dpkg-deb --fsys-tarfile "$0" | tar -x -C "$@"', file, unpacked, ...wanted]);
		}
	}
	copyFileSync(join(unpacked, 'boot', `vmlinuz-${kernelVersion}`), join(work, 'vmlinuz'));
	const busybox = join(unpacked, 'bin', 'busybox');
	const initrd = cpio([
		...['bin', 'dev', 'proc', 'sys', 'mnt', 'm'].map(path => ({ path, mode: 0o40755 })),
		{ path: 'bin/busybox', mode: 0o100755, content: readFileSync(busybox) },
		{ path: 'bin/sh', mode: 0o120777, content: Buffer.from('busybox') },
		{ path: 'init', mode: 0o100755, content: Buffer.from(INIT) },
		...MODULES.map(path => ({
			path: `m/${nameOf(path)}.ko`,
			mode: 0o100644,
			content: readFileSync(join(unpacked, kernelModules, `${path}.ko`)),
		})),
	]);
	writeFileSync(join(work, 'initrd.img'), gzipSync(initrd, { level: 1 }));
	makeRoot(join(work, 'root'), unpacked, busybox);
	makeDisk(work, join(work, 'root'));
}

function makeRoot(root: string, unpacked: string, busybox: string): void {
	const folders =
		'bin sbin etc/init.d dev proc sys tmp run root home/dev var/log usr/bin usr/sbin lib/x86_64-linux-gnu lib64';
	for (const folder of folders.split(' ')) mkdirSync(join(root, folder), { recursive: true });
	copyFileSync(busybox, join(root, 'bin', 'busybox'));
	for (const applet of run(busybox, ['--list']).trim().split('\n')) {
		if (applet !== 'busybox') symlinkSync('busybox', join(root, 'bin', applet));
	}
	symlinkSync('../bin/busybox', join(root, 'sbin', 'init'));
	// The agent sets the hardware clock with it.
	symlinkSync('../bin/busybox', join(root, 'sbin', 'hwclock'));
	copyFileSync(join(unpacked, 'usr', 'sbin', 'qemu-ga'), join(root, 'usr', 'sbin', 'qemu-ga'));
	const libraryFolders = ['lib', 'usr/lib'].map(path => join(unpacked, path, 'x86_64-linux-gnu'));
	for (const name of LIBRARIES) {
		const from = libraryFolders.map(folder => join(folder, name)).find(path => existsSync(path));
		if (from === undefined) throw new Error(`no package brings ${name}`);
		copyFileSync(from, join(root, 'lib', 'x86_64-linux-gnu', name));
	}
	symlinkSync('/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2', join(root, 'lib64', 'ld-linux-x86-64.so.2'));
	const files: Readonly<Record<string, string>> = {
		'etc/passwd': 'root:x:0:0:root:/root:/bin/sh\ndev:x:1000:1000::/home/dev:/bin/sh\n',
		'etc/group': 'root:x:0:\ndev:x:1000:\n',
		'etc/hostname': 'tiny\n',
		'etc/os-release': 'NAME="Tiny"\nID=tiny\nVERSION_ID="1"\nPRETTY_NAME="Tiny test guest"\n',
		'etc/inittab': INITTAB,
		'etc/init.d/rcS': RC_S,
		'home/dev/hello.txt': 'hello\n',
		'home/dev/numbers.txt': Array.from({ length: 2000 }, (_, index) => `${index}\n`).join(''),
	};
	for (const [path, text] of Object.entries(files)) writeFileSync(join(root, path), text);
	for (const path of ['bin/busybox', 'usr/sbin/qemu-ga', 'etc/init.d/rcS']) chmodSync(join(root, path), 0o755);
	chmodSync(join(root, 'lib/x86_64-linux-gnu/ld-linux-x86-64.so.2'), 0o755);
}

function makeDisk(work: string, root: string): void {
	const part = join(work, 'part.raw');
	const disk = join(work, 'disk.raw');
	run('mke2fs', ['-q', '-F', '-t', 'ext4', '-L', 'root', '-d', root, part, `${ROOT_MB}M`]);
	run('truncate', ['-s', `${DISK_MB}M`, disk]);
	execFileSync('sfdisk', ['-q', '--no-tell-kernel', disk], {
		env: PATHS,
		input: `label: gpt\nstart=2048, size=${ROOT_MB * 2048}, type=L, name=root\n`,
	});
	run('dd', [`if=${part}`, `of=${disk}`, 'bs=1M', 'seek=1', 'conv=notrunc,sparse', 'status=none']);
	run('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', disk, join(work, 'disk.qcow2')]);
}

/** Where root's programs are as well. */
const PATHS = { ...env, PATH: `${env['PATH'] ?? ''}:/usr/sbin:/sbin` };

function run(program: string, args: readonly string[]): string {
	return execFileSync(program, args, { encoding: 'utf8', env: PATHS, maxBuffer: 16 * 1024 * 1024 });
}

function nameOf(path: string): string {
	return path.slice(path.lastIndexOf('/') + 1);
}
