/** Signatures of what no tool here can make, written by hand after the formats' documents, and held against blkid. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { MemorySource } from '../../../src/engine/io/memory.js';
import { identify } from '../../../src/engine/volume/identify.js';

const folder = mkdtempSync(join(tmpdir(), 'strata-identify-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const SIZE = 4 * 1024 * 1024;
const UUID = Buffer.from('00112233445566778899aabbccddeeff', 'hex');
const UUID_TEXT = '00112233-4455-6677-8899-aabbccddeeff';
type Write = (disk: Buffer) => void;

const md =
	(offset: number): Write =>
	disk => {
		disk.writeUInt32LE(0xa92b4efc, offset);
		disk.writeUInt32LE(1, offset + 4);
		UUID.copy(disk, offset + 16);
		disk.write('host:0', offset + 32);
		disk.writeBigUInt64LE(BigInt(offset / 512), offset + 144);
	};

interface Case {
	readonly write: Write;
	readonly type: string;
	readonly label?: string;
	readonly uuid?: string;
	readonly blkid?: false;
	/** blkid believes in some filesystems only above a size. */
	readonly size?: number;
}

const CASES: Readonly<Record<string, Case>> = {
	'md 1.0': { write: md(SIZE - 8192), type: 'linux_raid_member', label: 'host:0', uuid: UUID_TEXT },
	'md 1.1': { write: md(0), type: 'linux_raid_member', label: 'host:0', uuid: UUID_TEXT },
	'md 1.2': { write: md(4096), type: 'linux_raid_member', label: 'host:0', uuid: UUID_TEXT },
	'md 0.90': {
		write: disk => {
			const at = SIZE - 65536;
			disk.writeUInt32LE(0xa92b4efc, at);
			disk.writeUInt32LE(90, at + 8);
			disk.writeUInt32LE(0x00112233, at + 20);
			for (const [index, word] of [0x44556677, 0x8899aabb, 0xccddeeff].entries()) {
				disk.writeUInt32LE(word, at + 52 + index * 4);
			}
		},
		type: 'linux_raid_member',
		uuid: UUID_TEXT,
	},
	squashfs: {
		write: disk => {
			disk.write('hsqs');
			disk.writeUInt16LE(4, 28);
			disk.writeBigUInt64LE(96n, 40);
		},
		type: 'squashfs',
	},
	f2fs: {
		write: disk => {
			disk.writeUInt32LE(0xf2f52010, 1024);
			disk.writeUInt16LE(1, 1028);
			disk.writeUInt16LE(16, 1030);
			UUID.copy(disk, 1024 + 108);
			disk.write('flash \u00e4', 1024 + 124, 'utf16le');
		},
		type: 'f2fs',
		label: 'flash \u00e4',
		uuid: UUID_TEXT,
	},
	jfs: {
		write: disk => {
			disk.write('JFS1', 32768);
			disk.writeUInt32LE(4096, 32768 + 16);
			disk.writeUInt16LE(12, 32768 + 20);
			disk.writeUInt16LE(3, 32768 + 22);
			disk.writeUInt32LE(512, 32768 + 24);
			disk.writeUInt16LE(9, 32768 + 28);
			UUID.copy(disk, 32768 + 136);
			disk.write('jay', 32768 + 152);
		},
		type: 'jfs',
		size: 4 * SIZE,
		label: 'jay',
		uuid: UUID_TEXT,
	},
	reiserfs: {
		write: disk => {
			disk.writeUInt32LE(18, 65536 + 12);
			disk.writeUInt16LE(4096, 65536 + 44);
			disk.write('ReIsEr2Fs', 65536 + 52);
			UUID.copy(disk, 65536 + 84);
			disk.write('tails', 65536 + 100);
		},
		type: 'reiserfs',
		label: 'tails',
		uuid: UUID_TEXT,
	},
	'hibernated swap': {
		write: disk => {
			disk.writeUInt32LE(1, 1024);
			disk.writeUInt32LE(100, 1028);
			UUID.copy(disk, 1036);
			disk.write('zz', 1052);
			disk.write('S1SUSPEND', 4086);
		},
		type: 'swsuspend',
		label: 'zz',
		uuid: UUID_TEXT,
	},
	iso9660: {
		write: disk => {
			disk[32768] = 1;
			disk.write('CD001\x01', 32769);
			disk.write('DEBIAN 12'.padEnd(32), 32768 + 40);
			disk.write('2024013112590000', 32768 + 813);
			disk.write('0000000000000000', 32768 + 830);
			disk[34816] = 0xff;
			disk.write('CD001\x01', 34817);
		},
		type: 'iso9660',
		label: 'DEBIAN 12',
		uuid: '2024-01-31-12-59-00-00',
	},
	hfsplus: {
		write: disk => {
			disk.write('H+', 1024);
			disk.writeUInt16BE(4, 1026);
			disk.writeUInt32BE(4096, 1024 + 40);
			Buffer.from('0123456789abcdef', 'hex').copy(disk, 1024 + 104);
		},
		type: 'hfsplus',
		uuid: '?',
	},
	apfs: {
		write: disk => {
			disk.writeBigUInt64LE(1n, 8);
			disk.writeUInt16LE(1, 24);
			disk.writeUInt16LE(0x8000, 26);
			disk.write('NXSB', 32);
			disk.writeUInt32LE(4096, 36);
			UUID.copy(disk, 72);
		},
		type: 'apfs',
		uuid: UUID_TEXT,
	},
	exfat: {
		write: disk => {
			disk.write('\xeb\x76\x90EXFAT   ', 'latin1');
			disk.writeBigUInt64LE(BigInt(SIZE / 512), 72);
			disk.writeUInt32LE(24, 80);
			disk.writeUInt32LE(16, 84);
			disk.writeUInt32LE(64, 88);
			disk.writeUInt32LE(1000, 92);
			disk.writeUInt32LE(4, 96);
			disk.writeUInt32LE(0x1a2b3c4d, 100);
			disk[105] = 1;
			disk.set([9, 3, 1], 108);
			disk.writeUInt16LE(0xaa55, 510);
			const root = (64 + 2 * 8) * 512;
			disk.set([0x83, 5], root);
			disk.write('Stick', root + 2, 'utf16le');
			disk.writeUInt32LE(0x0fffffff, 24 * 512 + 16);
			// The checksum of the boot region fills its twelfth sector.
			let sum = 0;
			for (let at = 0; at < 11 * 512; at++) {
				if (at === 106 || at === 107 || at === 112) continue;
				sum = (((sum & 1) << 31) | (sum >>> 1)) + disk[at]!; // OK: inside.
				sum >>>= 0;
			}
			for (let at = 11 * 512; at < 12 * 512; at += 4) disk.writeUInt32LE(sum, at);
		},
		type: 'exfat',
		label: 'Stick',
		uuid: '1A2B-3C4D',
	},
	BitLocker: {
		write: disk => {
			disk.write('\xeb\x58\x90-FVE-FS-', 'latin1');
			Buffer.from('3bd66749292ed84a8399f6a339e3d001', 'hex').copy(disk, 160);
			disk.writeBigUInt64LE(65536n, 176);
			disk.write('-FVE-FS-', 65536);
		},
		type: 'BitLocker',
	},
	zfs_member: {
		write: disk => {
			const pair = (name: string, type: number, value: Buffer) => {
				const padded = Buffer.alloc(Math.ceil(name.length / 4) * 4, 0);
				padded.write(name);
				const head = Buffer.alloc(12);
				const mid = Buffer.alloc(8);
				head.writeUInt32BE(12 + padded.byteLength + 8 + value.byteLength, 0);
				head.writeUInt32BE(64, 4);
				head.writeUInt32BE(name.length, 8);
				mid.writeUInt32BE(type, 0);
				mid.writeUInt32BE(1, 4);
				return Buffer.concat([head, padded, mid, value]);
			};
			const number = Buffer.alloc(8);
			number.writeBigUInt64BE(1234567890123456789n);
			const text = Buffer.from('\0\0\0\x04tank');
			const list = [
				Buffer.from([1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
				pair('name', 9, text),
				pair('pool_guid', 8, number),
			];
			Buffer.concat([...list, Buffer.alloc(8)]).copy(disk, 16384);
			for (let index = 0; index < 8; index++) disk.writeBigUInt64LE(0x00bab10cn, 131072 + index * 1024);
		},
		type: 'zfs_member',
		size: 16 * SIZE,
		label: 'tank',
		uuid: '1234567890123456789',
	},
	// blkid wants a checksum that a hand would have to compute; its name is the same.
	bcache: {
		write: disk => {
			disk.writeBigUInt64LE(8n, 4096 + 8);
			Buffer.from('c68573f64e1a45ca8265f57f48ba6d81', 'hex').copy(disk, 4096 + 24);
			UUID.copy(disk, 4096 + 40);
		},
		type: 'bcache',
		uuid: UUID_TEXT,
		blkid: false,
	},
	text: { write: disk => disk.write('hello, world'), type: 'unknown', blkid: false },
};

for (const [name, { write, type, label = '', uuid = '', blkid, size = SIZE }] of Object.entries(CASES)) {
	test(`${name} is what blkid says`, () => {
		const disk = Buffer.alloc(size);
		write(disk);
		const found = identify(new MemorySource(disk));
		assert.equal(found.type, type);
		assert.equal(Buffer.from(found.label, 'latin1').toString(), label);
		if (uuid !== '?') assert.equal(found.uuid, uuid);
		if (blkid === false) return;
		const path = join(folder, 'disk.img');
		writeFileSync(path, disk);
		const { stdout } = spawnSync('/usr/sbin/blkid', ['-p', '-o', 'export', path], { encoding: 'utf8' });
		const value = (key: string) => new RegExp(`^${key}=(.*)$`, 'm').exec(stdout)?.[1]?.replaceAll('\\', '') ?? '';
		assert.deepEqual({ type: found.type, uuid: found.uuid }, { type: value('TYPE'), uuid: value('UUID') });
		if (/^[\x20-\x7e]*$/.test(label)) assert.equal(found.label, value('LABEL'));
	});
}
