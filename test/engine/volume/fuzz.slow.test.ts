/**
 * Partition tables and signatures against bytes that mean harm: whatever a disk holds, a table comes back or an
 * EngineError, in bounded time. `STRATA_SEED` repeats a run.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemorySource } from '../../../src/engine/io/memory.js';
import { EngineError } from '../../../src/engine/util/errors.js';
import { identify } from '../../../src/engine/volume/identify.js';
import { listVolumes } from '../../../src/engine/volume/list-volumes.js';
import { LINUX_FILESYSTEM, sealGptHeader, writeGpt, writeMbr } from '../../builders/partition-table.js';

const CASES = 30_000;
const SECTORS = 512;
const SEED = Number(process.env['STRATA_SEED'] ?? 20261120);

/** Mulberry32: small, and the same everywhere. */
function random(seed: number): (below: number) => number {
	let state = seed >>> 0;
	return below => {
		state = (state + 0x6d2b79f5) >>> 0;
		let value = Math.imul(state ^ (state >>> 15), state | 1);
		value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
		return ((value ^ (value >>> 14)) >>> 0) % below;
	};
}

function gptDisk(): Buffer {
	const disk = Buffer.alloc(SECTORS * 512);
	writeGpt(disk, [
		{ type: LINUX_FILESYSTEM, firstLba: 40, lastLba: 200 },
		{ type: LINUX_FILESYSTEM, firstLba: 210, lastLba: 400, name: 'second' },
	]);
	return disk;
}

function mbrDisk(): Buffer {
	const disk = Buffer.alloc(SECTORS * 512);
	writeMbr(disk, [
		{ type: 0x83, firstLba: 8, sectorCount: 100 },
		{ type: 5, firstLba: 120, sectorCount: 300 },
	]);
	for (let index = 0; index < 5; index++) {
		const next = { type: 5, firstLba: (index + 1) * 50, sectorCount: 50 };
		writeMbr(
			disk,
			[{ type: 0x83, firstLba: 1, sectorCount: 40 }, ...(index < 4 ? [next] : [])],
			(120 + index * 50) * 512,
		);
	}
	return disk;
}

/** One signature each, with random bytes around it: the reader of the rest must stand them. */
const MAGICS: readonly (readonly [number, string])[] = [
	[3, 'NTFS    '],
	[3, 'EXFAT   '],
	[54, 'FAT16   '],
	[82, 'FAT32   '],
	[0, 'XFSB'],
	[0, 'LUKS\xba\xbe\0\x02'],
	[0, 'hsqs'],
	[32, 'NXSB'],
	[512, 'LABELONE'],
	[1024 + 0x38, '\x53\xef'],
	[1024, 'H+\0\x04'],
	[1024, '\x10\x20\xf5\xf2'],
	[4086, 'SWAPSPACE2'],
	[4096, '\xfc\x4e\x2b\xa9\x01\0\0\0'],
	[4096 + 24, '\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81'],
	[16384, '\x01\x01\0\0'],
	[32768, 'JFS1'],
	[32768, '\x01CD001\x01'],
	[65536 + 52, 'ReIsEr2Fs'],
	[65536 + 64, '_BHRfS_M'],
];
/** Offsets within a GPT header whose damage must be met behind a right checksum. */
const HEADER_FIELDS = [12, 24, 32, 40, 48, 72, 80, 84, 88];
const HARD_VALUES = [0, 1, 2, 33, 127, 128, 0x7fffffff, 0x80000000, 0xfffffff8, 0xffffffff];

test(`${CASES} hostile disks`, t => {
	t.diagnostic(`seed ${SEED}`);
	const gpt = gptDisk();
	const mbr = mbrDisk();
	const byte = random(SEED);
	const noise = Buffer.from(Uint8Array.from({ length: SECTORS * 512 }, () => byte(256)));
	for (let index = 0; index < CASES; index++) {
		const next = random(SEED + index);
		let disk = Buffer.from(
			index % 4 === 0 ? gpt : index % 4 === 1 ? mbr : index % 4 === 2 ? noise : Buffer.alloc(gpt.byteLength),
		);
		if (index % 4 >= 2) {
			const [at, magic] = MAGICS[next(MAGICS.length)]!; // OK: below the length.
			disk.write(magic, at, 'latin1');
			for (let n = next(40); n > 0; n--)
				disk.writeUInt32LE((HARD_VALUES[next(HARD_VALUES.length)] ?? 0) >>> 0, at + 8 + next(600));
		}
		if (index % 8 === 0) {
			const header = next(2) === 0 ? 512 : disk.byteLength - 512;
			disk.writeUInt32LE(HARD_VALUES[next(HARD_VALUES.length)]!, header + HEADER_FIELDS[next(HEADER_FIELDS.length)]!); // OK: below the lengths.
			sealGptHeader(disk, header);
		}
		for (let flips = next(12); flips > 0; flips--) {
			const place =
				next(3) === 0
					? next(disk.byteLength)
					: index % 4 === 1
						? [0, 120, 170, 220][next(4)]! * 512 + 440 + next(72)
						: next(2048); // OK: below 4.
			disk[place] = next(256);
		}
		if (next(10) === 0) disk = disk.subarray(0, next(disk.byteLength));
		try {
			const source = new MemorySource(disk);
			const table = listVolumes(source);
			assert.ok(table.volumes.length <= 4096 + 4);
			for (const volume of table.volumes)
				assert.ok(volume.problem !== undefined || volume.offset + volume.size <= disk.byteLength);
			identify(source);
		} catch (error) {
			if (!EngineError.is(error)) throw new Error(`seed ${SEED}, case ${index}`, { cause: error });
		}
	}
});
