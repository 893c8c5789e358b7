// Makes the image of the benchmark: a GPT disk with one ext4 of many files, and two snapshots that differ in 100 of them.
// The same files every time: sizes and bytes come from a seeded generator.
import { execFileSync, spawn } from 'node:child_process';
import {
	appendFileSync,
	closeSync,
	existsSync,
	mkdirSync,
	openSync,
	renameSync,
	rmSync,
	unlinkSync,
	writeFileSync,
	writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export const PARTITION_OFFSET = 1024 * 1024;
const UUID = '6b1c2d3e-4f50-4a61-8b72-9c8d0e1f2a3b';

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export function randomFrom(seed) {
	let state = seed >>> 0;
	return () => {
		state = (state + 0x6d2b79f5) >>> 0;
		let t = Math.imul(state ^ (state >>> 15), 1 | state);
		t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
		return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
	};
}

/**
 * @param options folders: of 100 files each; sizeMb: of the disk; os: with the few files that inspection wants to see.
 * @returns the path of the qcow2, made once and kept in `cache`.
 */
export async function benchImage(cache, { name, folders, sizeMb, os = false }) {
	const image = join(cache, `${name}.qcow2`);
	if (existsSync(image)) return image;
	mkdirSync(cache, { recursive: true });
	const work = join(cache, `${name}.work`);
	rmSync(work, { recursive: true, force: true });
	const root = join(work, 'root');
	fill(root, folders);
	if (os) operatingSystem(root);
	const raw = join(work, 'disk.raw');
	const part = join(work, 'part.raw');
	const partMb = sizeMb - 2;
	execFileSync('truncate', ['-s', `${partMb}M`, part]);
	execFileSync(
		'mke2fs',
		['-q', '-F', '-t', 'ext4', '-L', 'bench', '-U', UUID, '-E', `hash_seed=${UUID}`, '-d', root, part],
		{ stdio: 'inherit' },
	);
	rmSync(root, { recursive: true });
	execFileSync('truncate', ['-s', `${sizeMb}M`, raw]);
	execFileSync('sfdisk', ['-q', '--no-tell-kernel', raw], {
		input: `label: gpt\nstart=2048, size=${partMb * 2048}, type=L\n`,
	});
	execFileSync('dd', [`if=${part}`, `of=${raw}`, 'bs=1M', 'seek=1', 'conv=notrunc,sparse', 'status=none']);
	unlinkSync(part);
	const made = join(work, 'made.qcow2');
	execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, made]);
	unlinkSync(raw);
	execFileSync('qemu-img', ['snapshot', '-c', 'a', made]);
	await withMount(made, work, mount => change(join(mount, 'data'), folders));
	execFileSync('qemu-img', ['snapshot', '-c', 'b', made]);
	renameSync(made, image);
	rmSync(work, { recursive: true });
	return image;
}

function fill(root, folders) {
	const random = randomFrom(42);
	const bytes = Buffer.alloc(65536);
	for (let i = 0; i < bytes.length; i++) bytes[i] = Math.floor(random() * 256);
	for (let d = 0; d < folders; d++) {
		const folder = join(root, 'data', `group${d % 50}`, `dir${d}`);
		mkdirSync(folder, { recursive: true });
		for (let f = 0; f < 100; f++) {
			const size = Math.floor(65536 * random() ** 5);
			const at = Math.floor(random() * (65536 - size));
			writeFileSync(join(folder, `file${f}`), bytes.subarray(at, at + size));
		}
	}
}

/** 50 files overwritten in place, 20 grown, 15 created, 15 deleted: 100 files in all. */
function change(data, folders) {
	const random = randomFrom(7);
	const pick = (() => {
		const taken = new Set();
		return () => {
			for (;;) {
				const [d, f] = [Math.floor(random() * folders), Math.floor(random() * 100)];
				if (taken.has(d * 100 + f)) continue;
				taken.add(d * 100 + f);
				return join(data, `group${d % 50}`, `dir${d}`, `file${f}`);
			}
		};
	})();
	for (let i = 0; i < 50; i++) {
		const fd = openSync(pick(), 'r+');
		writeSync(fd, `changed ${i} ${random()}`, 0);
		closeSync(fd);
	}
	for (let i = 0; i < 20; i++) appendFileSync(pick(), `grown ${i}\n`);
	for (let i = 0; i < 15; i++) writeFileSync(`${pick()}.new`, `created ${i}\n`);
	for (let i = 0; i < 15; i++) unlinkSync(pick());
}

/** What virt-diff's inspection asks for before it takes an image for an operating system. */
function operatingSystem(root) {
	for (const folder of [
		'bin',
		'etc',
		'dev',
		'lib',
		'usr/bin',
		'var/lib/dpkg',
		'var/log',
		'boot',
		'home',
		'root',
		'tmp',
		'proc',
		'sys',
		'sbin',
	]) {
		mkdirSync(join(root, folder), { recursive: true });
	}
	writeFileSync(
		join(root, 'etc/os-release'),
		'ID=debian\nNAME="Debian GNU/Linux"\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12"\n',
	);
	writeFileSync(join(root, 'etc/debian_version'), '12.0\n');
	writeFileSync(join(root, 'etc/hostname'), 'bench\n');
	writeFileSync(join(root, 'etc/fstab'), `UUID=${UUID} / ext4 defaults 0 1\n`);
	writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
	writeFileSync(join(root, 'var/lib/dpkg/status'), '');
	for (const program of ['bin/sh', 'bin/ls']) writeFileSync(join(root, program), '#!\n', { mode: 0o755 });
}

/** Mounts the image's partition for writing by the kernel, through QEMU's own export. */
async function withMount(image, work, use) {
	const exported = join(work, 'exported');
	const mount = join(work, 'mount');
	writeFileSync(exported, '');
	mkdirSync(mount);
	const daemon = spawn(
		'qemu-storage-daemon',
		[
			'--blockdev',
			`driver=file,filename=${image},node-name=f`,
			'--blockdev',
			'driver=qcow2,file=f,node-name=q',
			'--export',
			`type=fuse,id=e,node-name=q,mountpoint=${exported},writable=on`,
		],
		{ stdio: ['ignore', 'ignore', 'inherit'] },
	);
	const ended = new Promise(resolve => daemon.on('exit', resolve));
	try {
		for (
			let i = 0;
			!/ fuse[.\w]* /.test(
				execFileSync('sh', ['-c', `grep -F " ${exported} " /proc/mounts || true`], { encoding: 'utf8' }),
			);
			i++
		) {
			if (i > 100) throw new Error('the export did not appear');
			await sleep(50);
		}
		execFileSync('mount', ['-o', `loop,offset=${PARTITION_OFFSET}`, exported, mount]);
		try {
			use(mount);
		} finally {
			execFileSync('umount', [mount]);
		}
	} finally {
		daemon.kill('SIGTERM');
		await ended;
	}
}
