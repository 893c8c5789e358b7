// The disk around the filesystem: GPT, an EFI system partition, the root, swap; and the qcow2 that holds its states.
import { createHash } from 'node:crypto';
import { closeSync, openSync, readFileSync, readSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './ext4.mjs';

const MIB = 2 ** 20;
const CHUNK = 65536;
export const DISK_SIZE = 64 * MIB;
export const ROOT = { start: 6 * MIB, size: 48 * MIB, uuid: '7b1c9a52-4f0e-4a7e-9c55-d0f5a1b2c3d4' };
const EFI = { start: MIB, size: 5 * MIB };
const SWAP = { start: 54 * MIB, size: 8 * MIB };

/** A raw disk with its partitions; the root's content comes later. */
export function makeDisk(disk, scratch, time) {
	writeFileSync(disk, '');
	truncateSync(disk, DISK_SIZE);
	const line = ({ start, size }, type, name, uuid) =>
		`start=${start / 512}, size=${size / 512}, type=${type}, name="${name}", uuid=${uuid}`;
	run('sfdisk', ['--quiet', '--no-reread', '--no-tell-kernel', disk], {
		input: [
			'label: gpt',
			'label-id: 57A7A000-0000-4000-8000-000000000001',
			'unit: sectors',
			line(EFI, 'C12A7328-F81F-11D2-BA4B-00A0C93EC93B', 'EFI System', '57A7A000-0000-4000-8000-000000000011'),
			line(ROOT, '4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709', 'root', '57A7A000-0000-4000-8000-000000000012'),
			line(SWAP, '0657FD6D-A4AB-43C4-84E5-0933C84B4F4F', 'swap', '57A7A000-0000-4000-8000-000000000013'),
			'',
		].join('\n'),
	});
	const efi = join(scratch, 'efi');
	sized(efi, EFI.size);
	run('mkfs.vfat', ['--invariant', '-F', '12', '-i', '57a70001', '-n', 'EFI', efi]);
	const grub = join(scratch, 'grub.cfg');
	writeFileSync(
		grub,
		'search.fs_uuid 7b1c9a52-4f0e-4a7e-9c55-d0f5a1b2c3d4 root\nconfigfile ($root)/boot/grub/grub.cfg\n',
	);
	run('mmd', ['-i', efi, '::EFI', '::EFI/debian'], { time });
	run('mcopy', ['-i', efi, grub, '::EFI/debian/grub.cfg'], { time });
	place(disk, EFI, readFileSync(efi));
	const swap = join(scratch, 'swap');
	sized(swap, SWAP.size);
	run('mkswap', ['-q', '-U', '0b0f0e0d-1111-4222-8333-444455556666', '-L', 'swap', swap]);
	place(disk, SWAP, readFileSync(swap));
}

export function sized(path, size) {
	writeFileSync(path, '', { mode: 0o600 });
	truncateSync(path, size);
}

export function place(disk, { start }, bytes) {
	const fd = openSync(disk, 'r+');
	try {
		writeSync(fd, bytes, 0, bytes.length, start);
	} finally {
		closeSync(fd);
	}
}

/** Brings the image's current state from the disk `before` (undefined: nothing but zeros) to `after`, by QEMU's own writes. */
export function writeState(image, before, after, scratch) {
	const commands = [];
	const chunks = join(scratch, 'chunk-');
	const [a, b] = [before === undefined ? undefined : openSync(before, 'r'), openSync(after, 'r')];
	const [left, right] = [Buffer.alloc(CHUNK), Buffer.alloc(CHUNK)];
	try {
		for (let offset = 0; offset < DISK_SIZE; offset += CHUNK) {
			if (a !== undefined) readSync(a, left, 0, CHUNK, offset);
			readSync(b, right, 0, CHUNK, offset);
			if (left.equals(right)) continue;
			const chunk = `${chunks}${offset}`;
			writeFileSync(chunk, right);
			commands.push(`write -s ${chunk} ${offset} ${CHUNK}`);
		}
	} finally {
		if (a !== undefined) closeSync(a);
		closeSync(b);
	}
	const { output } = run('qemu-io', ['-f', 'qcow2', '-d', 'unmap', image], { input: `${commands.join('\n')}\nquit\n` });
	if (/error|failed|cannot/i.test(output)) throw new Error(output);
}

export function makeImage(image) {
	run('qemu-img', ['create', '-q', '-f', 'qcow2', '-o', 'compat=1.1,cluster_size=65536', image, String(DISK_SIZE)]);
}

export function takeSnapshot(image, name) {
	run('qemu-img', ['snapshot', '-c', name, image]);
}

export function goBack(image, name) {
	run('qemu-img', ['snapshot', '-a', name, image]);
}

/**
 * QEMU writes down when the script ran; the story has times of its own. Source: QEMU's docs/interop/qcow2.txt.
 * @param {number[]} times in the order of the table
 * @returns {string[]} the snapshots' keys
 */
export function dateSnapshots(image, times) {
	const bytes = readFileSync(image);
	const fixed = `qcow2 ${bytes.readUInt32BE(20)} ${bytes.readUInt32BE(96)} 0 0 0`;
	const keys = [];
	let at = Number(bytes.readBigUInt64BE(64));
	for (const time of times) {
		bytes.writeUInt32BE(time, at + 16);
		bytes.writeUInt32BE(0, at + 20);
		const [idSize, nameSize, extraSize] = [
			bytes.readUInt16BE(at + 12),
			bytes.readUInt16BE(at + 14),
			bytes.readUInt32BE(at + 36),
		];
		const names = at + 40 + extraSize;
		const id = bytes.toString('latin1', names, names + idSize);
		const name = bytes.toString('latin1', names + idSize, names + idSize + nameSize);
		keys.push(keyOf([fixed, id, name, String(time), '0', String(bytes.readBigUInt64BE(at + 24))]));
		at = Math.ceil((names + idSize + nameSize) / 8) * 8;
	}
	writeFileSync(image, bytes);
	run('qemu-img', ['check', '-q', '-f', 'qcow2', image]);
	return keys;
}

/** As src/engine/timeline/key.ts makes it; test/example.test.ts holds the two against each other. */
function keyOf(parts) {
	const hash = createHash('sha256');
	for (const part of parts) hash.update(`${part.length}:${part}`, 'latin1');
	const bits = [...hash.digest()].map(byte => byte.toString(2).padStart(8, '0')).join('');
	const letters = bits.match(/.{5}/g).map(five => 'abcdefghijklmnopqrstuvwxyz234567'[Number.parseInt(five, 2)]);
	return letters.slice(0, 10).join('');
}
