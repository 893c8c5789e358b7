/** Volumes held against sfdisk, sgdisk and blkid, on disks that they and the mkfs programs made. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { FileSource } from '../../../src/engine/io/file.js';
import { SliceSource } from '../../../src/engine/io/slice.js';
import { identify } from '../../../src/engine/volume/identify.js';
import { listVolumes } from '../../../src/engine/volume/list-volumes.js';

const folder = mkdtempSync(join(tmpdir(), 'strata-volumes-'));
after(() => rmSync(folder, { recursive: true, force: true }));
let serial = 0;

interface SfdiskTable {
	readonly label: string;
	readonly id: string;
	readonly sectorsize: number;
	readonly partitions?: readonly {
		readonly node: string;
		readonly start: number;
		readonly size: number;
		readonly name?: string;
	}[];
}

function makeDisk(size: number): string {
	const path = join(folder, `disk-${serial++}.img`);
	writeFileSync(path, '');
	truncateSync(path, size);
	return path;
}

function run(command: string, args: readonly string[], input = ''): string {
	return execFileSync(command, args, {
		input,
		encoding: 'utf8',
		stdio: ['pipe', 'pipe', 'pipe'],
		env: { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` },
	});
}

/** What blkid says of the bytes at `offset`, in our words. */
function blkid(path: string, offset = 0, size?: number): { type: string; label: string; uuid: string } {
	const range = ['-O', String(offset), ...(size === undefined ? [] : ['-S', String(size)])];
	const text = run('blkid', ['-p', '-u', 'filesystem,raid,crypto,other', '-o', 'export', ...range, path]);
	const value = (key: string) => new RegExp(`^${key}=(.*)$`, 'm').exec(text)?.[1] ?? '';
	return { type: value('TYPE'), label: fromCarets(value('LABEL')), uuid: value('UUID') };
}

/** Text from blkid's `M-C` notation for bytes above 127, and its backslashes. */
function fromCarets(text: string): string {
	const raw = text.replace(/\\(.)/g, '$1').replace(
		/M-\^(.)|M-(.)/g,
		(_, control?: string, plain?: string) =>
			String.fromCharCode(0x80 | (control ? control.charCodeAt(0) ^ 0x40 : plain!.charCodeAt(0))), // OK: one of the two.
	);
	return Buffer.from(raw, 'latin1').toString();
}

function compareWithSfdisk(path: string, sectorSize = 512): void {
	const json =
		sectorSize === 512 ? run('sfdisk', ['-J', path]) : onLoop(path, sectorSize, loop => run('sfdisk', ['-J', loop]));
	const expected = (JSON.parse(json) as { partitiontable: SfdiskTable }).partitiontable;
	using disk = FileSource.open(path);
	const table = listVolumes(disk);
	assert.equal(table.scheme, expected.label === 'gpt' ? 'gpt' : 'mbr');
	assert.equal(table.uuid, expected.id.toLowerCase().replace(/^0x/, ''));
	assert.equal(table.sectorSize, sectorSize);
	assert.deepEqual(
		table.volumes.map(volume => ({
			number: Number(volume.name.slice(1)),
			offset: volume.offset,
			// Linux makes the frame of the logical partitions a stub; sfdisk and we show its whole size.
			size: volume.size,
			name: Buffer.from(volume.partitionName, 'latin1').toString(),
		})),
		(expected.partitions ?? []).map(partition => ({
			number: Number(/\d+$/.exec(partition.node)![0]), // OK: a node ends in its number.
			offset: partition.start * sectorSize,
			size: partition.size * sectorSize,
			name: partition.name ?? '',
		})),
	);
	assert.deepEqual(
		table.volumes.filter(volume => volume.problem !== undefined),
		[],
	);
	assert.deepEqual(table.notes, []);
}

/** With the file as a block device of the wanted sector size. */
function onLoop<T>(path: string, sectorSize: number, action: (loop: string) => T): T {
	const loop = run('losetup', ['-f', '--show', '-b', String(sectorSize), path]).trim();
	try {
		return action(loop);
	} finally {
		run('losetup', ['-d', loop]);
	}
}

const MIB = 1024 * 1024;

test('GPT of sfdisk, with gaps in the numbers and a name', () => {
	const path = makeDisk(64 * MIB);
	run(
		'sfdisk',
		['--no-tell-kernel', path],
		'label: gpt\n1: size=4MiB, type=U, name="EFI part"\n3: size=8MiB\n9: size=4MiB, type=S, name="sw\u00e4p"\n',
	);
	compareWithSfdisk(path);
});

test('GPT of sfdisk, 4096-byte sectors', () => {
	const path = makeDisk(64 * MIB);
	onLoop(path, 4096, loop => run('sfdisk', ['--no-tell-kernel', loop], 'label: gpt\nsize=8MiB\nsize=16MiB\n'));
	compareWithSfdisk(path, 4096);
});

test('MBR of sfdisk, with logical partitions', () => {
	const path = makeDisk(128 * MIB);
	const logical = Array.from({ length: 12 }, () => 'size=2MiB, type=83').join('\n');
	run(
		'sfdisk',
		['--no-tell-kernel', path],
		`label: dos\n1: size=8MiB, type=83, bootable\n2: size=90MiB, type=5\n4: size=8MiB, type=82\n${logical}\n`,
	);
	compareWithSfdisk(path);
});

test('MBR of sfdisk, 4096-byte sectors, told by what is in its partitions', () => {
	const path = makeDisk(64 * MIB);
	onLoop(path, 4096, loop =>
		run('sfdisk', ['--no-tell-kernel', loop], 'label: dos\nsize=8MiB, type=82\nsize=16MiB, type=83\n'),
	);
	using disk = FileSource.open(path);
	assert.equal(listVolumes(disk).sectorSize, 512, 'nothing tells yet');
	const swap = makeDisk(8 * MIB);
	run('mkswap', [swap]);
	run('dd', [`if=${swap}`, `of=${path}`, 'bs=1M', 'seek=1', 'conv=notrunc', 'status=none']);
	compareWithSfdisk(path, 4096);
});

test('hybrid MBR of sgdisk: the GPT wins', () => {
	const path = makeDisk(64 * MIB);
	run('sgdisk', ['-n', '1:0:+8M', '-n', '2:0:+8M', '-c', '2:data', path]);
	run('sgdisk', ['-h', '2', path]);
	using disk = FileSource.open(path);
	const table = listVolumes(disk);
	assert.equal(table.scheme, 'gpt');
	assert.deepEqual(
		table.volumes.map(volume => [volume.name, volume.partitionName]),
		[
			['p1', ''],
			['p2', 'data'],
		],
	);
	assert.match(table.notes.join(), /hybrid MBR/);
});

test('a disk that grew keeps its GPT, whose backup is no longer at the end', () => {
	const path = makeDisk(32 * MIB);
	run('sgdisk', ['-n', '1:0:+8M', path]);
	truncateSync(path, 64 * MIB);
	compareWithSfdisk(path);
});

const UUID = '6f2f3f0a-5d2b-4a57-8b43-1c1d0a5d7e10';
const MAKERS: Readonly<Record<string, { size?: number; make: (path: string) => void }>> = {
	ext2: { make: path => run('mkfs.ext2', ['-q', '-F', '-L', 'lab el', path]) },
	ext3: { make: path => run('mkfs.ext3', ['-q', '-F', '-U', UUID, path]) },
	ext4: { make: path => run('mkfs.ext4', ['-q', '-F', '-L', 'wurzel\u00e4', path]) },
	'ext4 without a journal': { make: path => run('mkfs.ext4', ['-q', '-F', '-O', '^has_journal', path]) },
	'journal device': { make: path => run('mkfs.ext4', ['-q', '-F', '-O', 'journal_dev', path]) },
	swap: { make: path => run('mkswap', ['-L', 'swp', path]) },
	'swap with 64 KiB pages': { make: path => run('mkswap', ['-p', '65536', '-U', UUID, path]) },
	vfat12: { make: path => run('mkfs.vfat', ['-F', '12', '-n', 'BOOT', path]) },
	vfat16: { make: path => run('mkfs.vfat', ['-F', '16', '-i', 'cafe1234', path]) },
	vfat32: { size: 80, make: path => run('mkfs.vfat', ['-F', '32', '-n', 'EFI 1', path]) },
	ntfs: { make: path => run('mkfs.ntfs', ['-Q', '-F', '-L', 'Windows \u00fc', path]) },
	xfs: { size: 320, make: path => run('mkfs.xfs', ['-q', '-L', 'xf', path]) },
	btrfs: { size: 160, make: path => run('mkfs.btrfs', ['-q', '-L', 'btr', path]) },
	luks1: {
		make: path =>
			run(
				'cryptsetup',
				['luksFormat', '-q', '--type', 'luks1', '--pbkdf-force-iterations', '1000', path, '-'],
				'secret',
			),
	},
	luks2: {
		make: path =>
			run(
				'cryptsetup',
				[
					'luksFormat',
					'-q',
					'--type',
					'luks2',
					'--label',
					'vault',
					'--pbkdf',
					'pbkdf2',
					'--pbkdf-force-iterations',
					'1000',
					path,
					'-',
				],
				'secret',
			),
	},
	empty: { make: () => undefined },
};

for (const [name, { size = 32, make }] of Object.entries(MAKERS)) {
	test(`${name} is what blkid says`, () => {
		const path = makeDisk(size * MIB);
		make(path);
		using disk = FileSource.open(path);
		const found = identify(disk);
		const expected = name === 'empty' ? { type: 'empty', label: '', uuid: '' } : blkid(path);
		assert.deepEqual({ ...found, label: Buffer.from(found.label, 'latin1').toString() }, expected);
		assert.notEqual(found.type, 'unknown');
		const table = listVolumes(disk);
		assert.equal(table.scheme, 'none');
		assert.deepEqual(
			table.volumes.map(volume => [volume.name, volume.type]),
			name === 'empty' ? [] : [['disk', found.type]],
		);
	});
}

test('an LVM physical volume is what blkid says', () => {
	const path = makeDisk(32 * MIB);
	onLoop(path, 512, loop => run('pvcreate', ['-q', '-f', '-y', '--config', 'devices/use_devicesfile=0', loop]));
	using disk = FileSource.open(path);
	assert.deepEqual(identify(disk), blkid(path));
});

test('FAT with a partition table in its boot sector is a partition, as Linux sees it', () => {
	const path = makeDisk(32 * MIB);
	run('mkfs.vfat', ['--mbr=y', path]);
	using disk = FileSource.open(path);
	const table = listVolumes(disk);
	assert.equal(table.scheme, 'mbr');
	assert.deepEqual(
		table.volumes.map(volume => [volume.name, volume.offset, volume.type]),
		[['p1', 0, 'vfat']],
	);
});

test('what is in partitions is what blkid says', () => {
	const path = makeDisk(128 * MIB);
	run(
		'sfdisk',
		['--no-tell-kernel', path],
		'label: dos\n1: size=16MiB,type=83\n2: size=16MiB,type=c\n3: size=50MiB,type=5\n5: size=16MiB,type=82\n6: size=16MiB,type=7\n',
	);
	using disk = FileSource.open(path);
	const before = listVolumes(disk).volumes;
	const part = (index: number, make: (path: string) => void) => {
		const volume = before[index]!;
		const alone = makeDisk(volume.size);
		make(alone);
		run('dd', [
			`if=${alone}`,
			`of=${path}`,
			'bs=1M',
			'conv=notrunc',
			'oflag=seek_bytes',
			`seek=${volume.offset}`,
			'status=none',
		]);
	};
	part(0, MAKERS['ext4']!.make);
	part(1, MAKERS['vfat16']!.make);
	part(3, MAKERS['swap']!.make);
	part(4, MAKERS['ntfs']!.make);
	const volumes = listVolumes(disk, type => type === 'ext4').volumes;
	assert.deepEqual(
		volumes.map(({ name, type, readable }) => [name, type, readable]),
		[
			['p1', 'ext4', true],
			['p2', 'vfat', false],
			['p3', 'extended', false],
			['p5', 'swap', false],
			['p6', 'ntfs', false],
		],
	);
	for (const volume of volumes.filter(({ type }) => type !== 'extended')) {
		const { type, label, uuid } = identify(new SliceSource(disk, volume.offset, volume.size));
		assert.deepEqual(
			{ type, uuid, label: Buffer.from(label, 'latin1').toString() },
			blkid(path, volume.offset, volume.size),
		);
	}
});
