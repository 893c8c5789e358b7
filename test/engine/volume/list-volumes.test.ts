import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { MemorySource } from '../../../src/engine/io/memory.js';
import { crc32, crc32ByTable } from '../../../src/engine/volume/crc32.js';
import { MAX_LOGICAL } from '../../../src/engine/volume/mbr.js';
import { listVolumes } from '../../../src/engine/volume/list-volumes.js';
import {
	DISK_GUID,
	EFI_SYSTEM,
	LINUX_FILESYSTEM,
	sealGptHeader,
	writeGpt,
	writeMbr,
	type MbrEntry,
} from '../../builders/partition-table.js';

const SECTORS = 4096;
const newDisk = (sectors = SECTORS, sectorSize = 512) => Buffer.alloc(sectors * sectorSize);
const list = (disk: Buffer) => listVolumes(new MemorySource(disk), type => type === 'ext4');
const places = (disk: Buffer) => list(disk).volumes.map(({ name, offset, size }) => [name, offset, size]);

/** Enough of ext4 for its signature. */
function putExt4(disk: Buffer, offset: number): void {
	disk.writeUInt16LE(0xef53, offset + 1024 + 0x38);
	disk.writeUInt32LE(0x4, offset + 1024 + 0x5c);
	disk.writeUInt32LE(0x42, offset + 1024 + 0x60);
}

suite('GPT', () => {
	function typical(sectorSize = 512): Buffer {
		const disk = newDisk(SECTORS, sectorSize);
		writeGpt(
			disk,
			[
				{ type: EFI_SYSTEM, firstLba: 64, lastLba: 127, name: 'EFI System Partition' },
				undefined,
				{ type: LINUX_FILESYSTEM, firstLba: 128, lastLba: 1023, name: 'r\u00f6\u00f6t' },
			],
			{ sectorSize },
		);
		putExt4(disk, 128 * sectorSize);
		return disk;
	}

	for (const sectorSize of [512, 4096]) {
		test(`partitions by number, sectors of ${sectorSize} bytes`, () => {
			const table = list(typical(sectorSize));
			assert.equal(table.scheme, 'gpt');
			assert.equal(table.sectorSize, sectorSize);
			assert.equal(table.uuid, DISK_GUID);
			assert.deepEqual(table.notes, []);
			assert.deepEqual(
				table.volumes.map(volume => [volume.name, volume.offset, volume.size, volume.type, volume.readable]),
				[
					['p1', 64 * sectorSize, 64 * sectorSize, 'empty', false],
					['p3', 128 * sectorSize, 896 * sectorSize, 'ext4', true],
				],
			);
			assert.deepEqual(
				table.volumes.map(volume => [volume.partitionType, volume.partitionName]),
				[
					['EFI System', 'EFI System Partition'],
					['Linux filesystem', Buffer.from('r\u00f6\u00f6t').toString('latin1')],
				],
			);
		});
	}

	test('entries of 256 bytes', () => {
		const disk = newDisk();
		writeGpt(disk, [undefined, { type: LINUX_FILESYSTEM, firstLba: 128, lastLba: 128 }], {
			entrySize: 256,
			entryCount: 56,
		});
		assert.deepEqual(places(disk), [['p2', 128 * 512, 512]]);
	});

	/** One mutation of the primary for each check. `seal`: the header's own checksum is made right again. */
	const MUTATIONS: readonly { field: string; mutate: (disk: Buffer) => void; seal?: boolean }[] = [
		{ field: 'HeaderSize', mutate: disk => disk.writeUInt32LE(91, 512 + 12) },
		{ field: 'HeaderSize', mutate: disk => disk.writeUInt32LE(513, 512 + 12) },
		{ field: 'HeaderCRC32', mutate: disk => disk.writeUInt8(disk[512 + 56]! ^ 1, 512 + 56) }, // OK: inside.
		{ field: 'MyLBA', mutate: disk => disk.writeUInt32LE(2, 512 + 24), seal: true },
		{ field: 'LastUsableLBA', mutate: disk => disk.writeUInt32LE(1, 512 + 48), seal: true },
		{ field: 'SizeOfPartitionEntry', mutate: disk => disk.writeUInt32LE(64, 512 + 84), seal: true },
		{ field: 'SizeOfPartitionEntry', mutate: disk => disk.writeUInt32LE(0xfffffff8, 512 + 84), seal: true },
		{ field: 'NumberOfPartitionEntries', mutate: disk => disk.writeUInt32LE(0xffffffff, 512 + 80), seal: true },
		{ field: 'PartitionEntryLBA', mutate: disk => disk.writeUInt32LE(SECTORS - 1, 512 + 72), seal: true },
		{ field: 'PartitionEntryLBA', mutate: disk => disk.fill(0xff, 512 + 72, 512 + 80), seal: true },
		{ field: 'PartitionEntryArrayCRC32', mutate: disk => disk.writeUInt8(1, 1024 + 3 * 128 + 60) },
	];
	for (const [index, { field, mutate, seal }] of MUTATIONS.entries()) {
		test(`a damaged primary (${field}, ${index}) is told, and the backup used`, () => {
			const disk = typical();
			const expected = places(disk);
			mutate(disk);
			if (seal) sealGptHeader(disk, 512);
			const table = list(disk);
			assert.deepEqual(places(disk), expected);
			assert.match(table.notes[0]!, new RegExp(`^the primary GPT is damaged \\(${field} is`));
			assert.equal(table.notes[1], 'the backup GPT was used');
			assert.equal(table.problem, undefined);
		});

		test(`both copies damaged (${field}, ${index}): an error with field and offset`, () => {
			const disk = typical();
			mutate(disk);
			if (seal) sealGptHeader(disk, 512);
			disk.writeUInt8(1, disk.byteLength - 512 + 60);
			const table = list(disk);
			assert.deepEqual(table.volumes, []);
			assert.equal(table.problem?.code, 'ERR_CORRUPT');
			assert.equal(table.problem.details.format, 'gpt');
			assert.equal(table.problem.details.field, `primary ${field}`);
			assert.ok(512 <= table.problem.details.offset! && table.problem.details.offset! < 1024);
		});
	}

	test('a primary that is gone altogether', () => {
		const disk = typical();
		const expected = places(disk);
		disk.fill(0, 512, 34 * 512);
		assert.deepEqual(places(disk), expected);
		assert.deepEqual(list(disk).notes, ['the primary GPT is gone', 'the backup GPT was used']);
	});

	test('a damaged backup is told', () => {
		const disk = typical();
		disk.writeUInt8(1, disk.byteLength - 512 + 60);
		assert.match(list(disk).notes.join(), /^the backup GPT is damaged \(HeaderCRC32/);
	});

	test('a backup that was cut off is told', () => {
		const disk = typical().subarray(0, 2048 * 512);
		assert.match(list(disk).notes.join(), /^the backup GPT is missing/);
		assert.equal(places(disk).length, 2);
	});

	test('without an MBR it is shown, with a note', () => {
		const disk = typical();
		const expected = places(disk);
		disk.fill(0, 0, 512);
		assert.deepEqual(places(disk), expected);
		assert.match(list(disk).notes.join(), /protective MBR is missing/);
	});

	test('behind an ordinary MBR it is not used', () => {
		const disk = newDisk();
		writeGpt(disk, [{ type: LINUX_FILESYSTEM, firstLba: 64, lastLba: 127 }], {
			mbr: [{ type: 0x83, firstLba: 100, sectorCount: 50 }],
		});
		const table = list(disk);
		assert.equal(table.scheme, 'mbr');
		assert.deepEqual(places(disk), [['p1', 51200, 25600]]);
		assert.match(table.notes.join(), /without a protective MBR/);
	});

	test('a hybrid MBR gives way', () => {
		const disk = newDisk();
		writeGpt(disk, [{ type: LINUX_FILESYSTEM, firstLba: 64, lastLba: 127 }], {
			mbr: [
				{ type: 0xee, firstLba: 1, sectorCount: 63 },
				{ type: 0x83, firstLba: 64, sectorCount: 64 },
			],
		});
		assert.equal(list(disk).scheme, 'gpt');
		assert.match(list(disk).notes.join(), /hybrid MBR/);
	});

	test('partitions outside the disk and over each other are listed, and say so', () => {
		const disk = newDisk();
		writeGpt(disk, [
			{ type: LINUX_FILESYSTEM, firstLba: 64, lastLba: 199 },
			{ type: LINUX_FILESYSTEM, firstLba: 100, lastLba: 300 },
			{ type: LINUX_FILESYSTEM, firstLba: 400, lastLba: SECTORS },
			{ type: LINUX_FILESYSTEM, firstLba: 2 ** 50, lastLba: 2 ** 51 },
			{ type: LINUX_FILESYSTEM, firstLba: 500, lastLba: 499 },
		]);
		putExt4(disk, 100 * 512);
		const table = list(disk);
		assert.deepEqual(
			table.volumes.map(volume => [volume.name, volume.problem, volume.readable]),
			[
				['p1', 'it overlaps p2', false],
				['p2', 'it overlaps p1', true],
				['p3', 'it ends 512 bytes behind the end of the disk', false],
				['p4', 'it begins behind the end of the disk', false],
			],
		);
		assert.deepEqual(table.notes, ['entry 5 ends before it begins and is not shown']);
	});

	test('every truncation gives a table', () => {
		const disk = typical();
		for (let size = 0; size < 40 * 512; size += 61) list(disk.subarray(0, size));
	});

	test('every flip of a byte of header and entries gives a table', () => {
		const disk = typical();
		const expected = places(disk);
		for (let at = 512; at < 512 + 92; at++) {
			disk[at] = disk[at]! ^ 0xff; // OK: inside.
			assert.deepEqual(places(disk), expected, `byte ${at}: the backup holds the same`);
			disk[at] = disk[at]! ^ 0xff;
		}
	});
});

suite('MBR', () => {
	test('primary partitions and the whole chain of logical ones', () => {
		const disk = newDisk();
		writeMbr(disk, [
			{ type: 0x83, firstLba: 64, sectorCount: 100, bootIndicator: 0x80 },
			{ type: 0x0f, firstLba: 1000, sectorCount: 2000 },
			{ type: 0x00, firstLba: 0, sectorCount: 0 },
			{ type: 0x82, firstLba: 200, sectorCount: 100 },
		]);
		// Each record: its partition counted from itself, the next record from the extended partition.
		writeMbr(
			disk,
			[
				{ type: 0x83, firstLba: 8, sectorCount: 50 },
				{ type: 5, firstLba: 500, sectorCount: 100 },
			],
			1000 * 512,
		);
		writeMbr(
			disk,
			[
				{ type: 0x8e, firstLba: 16, sectorCount: 50 },
				{ type: 5, firstLba: 300, sectorCount: 100 },
			],
			1500 * 512,
		);
		writeMbr(disk, [{ type: 0x07, firstLba: 24, sectorCount: 50 }], 1300 * 512);
		const table = list(disk);
		assert.equal(table.scheme, 'mbr');
		assert.equal(table.uuid, '12345678');
		assert.deepEqual(table.notes, []);
		assert.deepEqual(
			table.volumes.map(({ name, offset, size, partitionType }) => [name, offset / 512, size / 512, partitionType]),
			[
				['p1', 64, 100, 'Linux'],
				['p2', 1000, 2000, "W95 Ext'd (LBA)"],
				['p4', 200, 100, 'Linux swap / Solaris'],
				['p5', 1008, 50, 'Linux'],
				['p6', 1516, 50, 'Linux LVM'],
				['p7', 1324, 50, 'HPFS/NTFS/exFAT'],
			],
		);
		assert.equal(table.volumes[1]!.type, 'extended');
		assert.ok(table.volumes.every(({ problem }) => problem === undefined));
	});

	test('a chain that is a loop ends', () => {
		const disk = newDisk();
		writeMbr(disk, [{ type: 5, firstLba: 1000, sectorCount: 2000 }]);
		writeMbr(
			disk,
			[
				{ type: 0x83, firstLba: 8, sectorCount: 50 },
				{ type: 5, firstLba: 500, sectorCount: 100 },
			],
			1000 * 512,
		);
		writeMbr(
			disk,
			[
				{ type: 0x83, firstLba: 8, sectorCount: 50 },
				{ type: 5, firstLba: 0, sectorCount: 100 },
			],
			1500 * 512,
		);
		assert.deepEqual(
			places(disk).map(([name]) => name),
			['p1', 'p5', 'p6'],
		);
		assert.deepEqual(list(disk).notes, ['the chain of logical partitions is a loop']);
	});

	test('a chain without partitions, and one of too many, end', () => {
		for (const empty of [true, false]) {
			const disk = newDisk();
			writeMbr(disk, [{ type: 5, firstLba: 1000, sectorCount: 3000 }]);
			for (let index = 0; index < 300; index++) {
				const own: MbrEntry = { type: 0x83, firstLba: 1, sectorCount: empty ? 0 : 1 };
				writeMbr(disk, [own, { type: 5, firstLba: index * 2 + 2, sectorCount: 2 }], (1000 + index * 2) * 512);
			}
			const table = list(disk);
			assert.equal(table.volumes.length, empty ? 1 : 1 + MAX_LOGICAL);
			assert.match(table.notes.join(), empty ? /no end/ : /more than 251/);
		}
	});

	test('a chain that leaves the disk, and one that is cut, are told', () => {
		const disk = newDisk();
		writeMbr(disk, [{ type: 5, firstLba: 1000, sectorCount: 2000 }]);
		assert.match(list(disk).notes.join(), /no signature/);
		writeMbr(disk, [{ type: 5, firstLba: SECTORS, sectorCount: 2000 }]);
		assert.match(list(disk).notes.join(), /leaves the disk/);
	});

	test('sectors of 4096 bytes are told by what the partitions hold', () => {
		const disk = newDisk(600, 4096);
		writeMbr(disk, [{ type: 0x83, firstLba: 256, sectorCount: 256 }]);
		assert.equal(list(disk).sectorSize, 512);
		putExt4(disk, 256 * 4096);
		assert.equal(list(disk).sectorSize, 4096);
		assert.deepEqual(places(disk), [['p1', 256 * 4096, 256 * 4096]]);
	});

	test('a boot sector is no table', () => {
		const disk = newDisk();
		writeMbr(disk, [{ type: 0x83, firstLba: 64, sectorCount: 100, bootIndicator: 0x6f }]);
		assert.equal(list(disk).scheme, 'none');
	});

	test('every truncation gives a table', () => {
		const disk = newDisk(64);
		writeMbr(disk, [{ type: 5, firstLba: 8, sectorCount: 20 }]);
		writeMbr(disk, [{ type: 0x83, firstLba: 8, sectorCount: 5 }], 8 * 512);
		for (let size = 0; size <= disk.byteLength; size += 7) list(disk.subarray(0, size));
	});
});

suite('a whole disk', () => {
	test('a filesystem', () => {
		const disk = newDisk();
		putExt4(disk, 0);
		assert.deepEqual(places(disk), [['disk', 0, disk.byteLength]]);
		assert.equal(list(disk).volumes[0]!.type, 'ext4');
	});

	test('a filesystem behind a boot sector without partitions', () => {
		const disk = newDisk();
		putExt4(disk, 0);
		disk.writeUInt16LE(0xaa55, 510);
		assert.deepEqual(places(disk), [['disk', 0, disk.byteLength]]);
	});

	test('nothing', () => {
		assert.deepEqual(list(newDisk()).notes, ['the disk is empty']);
		assert.deepEqual(list(newDisk().fill('x')).notes, ['the disk holds nothing that is recognised']);
		assert.deepEqual(list(Buffer.alloc(0)).volumes, []);
	});

	test('a table with no partitions', () => {
		const disk = newDisk();
		writeMbr(disk, []);
		assert.equal(list(disk).scheme, 'mbr');
		assert.deepEqual(list(disk).volumes, []);
	});
});

test('crc32 by table is that of zlib', () => {
	const bytes = Buffer.from('123456789');
	assert.equal(crc32ByTable(bytes), 0xcbf43926);
	assert.equal(crc32(bytes), 0xcbf43926);
});
