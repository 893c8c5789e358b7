import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { MemorySource } from '../../../../src/engine/io/memory.js';
import { differences, readStreamHead, type StreamHead } from '../../../../src/engine/machine/running/stream-head.js';
import { EngineError } from '../../../../src/engine/util/errors.js';

const u8 = (value: number) => Buffer.from([value]);
const u32 = (value: number) => {
	const into = Buffer.alloc(4);
	into.writeUInt32BE(value);
	return into;
};
const u64 = (value: bigint) => {
	const into = Buffer.alloc(8);
	into.writeBigUInt64BE(value);
	return into;
};
const short = (text: string) => Buffer.concat([u8(text.length), Buffer.from(text)]);

interface Wanted {
	readonly machineType?: string;
	readonly ram?: Readonly<Record<string, number>>;
	readonly devices?: readonly string[];
}

/** A stream with the parts that are read, and bytes that look like a description before the real one. */
function build({ machineType = 'pc-q35-7.2', ram = { 'pc.ram': 4096, 'pc.bios': 8192 }, devices = ['apic'] }: Wanted) {
	const total = Object.values(ram).reduce((sum, size) => sum + size, 0);
	const description = JSON.stringify({
		page_size: 4096,
		devices: devices.map(name => ({ name, instance_id: 0, fields: [{ name: '{"devices":[]}' }] })),
	});
	return Buffer.concat([
		...[u32(0x5145564d), u32(3), u8(7), u32(machineType.length), Buffer.from(machineType)],
		...[u8(1), u32(2), short('ram'), u32(0), u32(4), u64(BigInt(total) | 4n)],
		...Object.entries(ram).flatMap(([name, size]) => [short(name), u64(BigInt(size))]),
		...[u64(0x10n), u8(0x7e), u32(2), Buffer.from('\x06\0\0\0\x02{"x'), u8(0)],
		...[u8(6), u32(description.length), Buffer.from(description)],
	]);
}

const head = (bytes: Uint8Array): StreamHead => readStreamHead(new MemorySource(bytes));

suite('the head of saved memory', () => {
	test('machine, RAM and devices', () => {
		const { machineType, ramBlocks, sections } = head(build({ devices: ['apic', '0000:00:02.0/virtio-blk'] }));
		assert.equal(machineType, 'pc-q35-7.2');
		assert.deepEqual(
			[...ramBlocks],
			[
				['pc.ram', 4096],
				['pc.bios', 8192],
			],
		);
		assert.deepEqual([...sections!], ['apic/0', '0000:00:02.0/virtio-blk/0']);
	});

	test('what keeps it from being loaded', () => {
		const saved = head(build({ devices: ['apic', '0000:00:02.0/virtio-blk'] }));
		const against = (running: Wanted) =>
			differences(saved, head(build({ devices: ['0000:00:02.0/virtio-blk'], ...running })));
		assert.deepEqual(against({}), []);
		assert.match(against({ machineType: 'pc-i440fx-7.2' })[0] ?? '', /pc-q35-7\.2.*pc-i440fx-7\.2/);
		assert.match(
			against({ ram: { 'pc.ram': 1048576, 'pc.bios': 8192 } })[0] ?? '',
			/pc\.ram has 0 MiB in it, and 1 MiB/,
		);
		assert.match(against({ ram: { 'pc.ram': 4096 } })[0] ?? '', /called pc\.bios/);
		assert.match(against({ devices: ['0000:00:03.0/virtio-blk'] })[0] ?? '', /0000:00:02\.0\/virtio-blk/);
		assert.deepEqual(differences(saved, { ...saved, sections: undefined }), []);
	});

	test('every truncation, and every flipped byte, gives an answer or an error', () => {
		const bytes = build({});
		const tryIt = (damaged: Uint8Array) => {
			try {
				head(damaged);
			} catch (error) {
				if (!EngineError.is(error)) throw error;
			}
		};
		for (let length = 0; length < bytes.byteLength; length++) tryIt(bytes.subarray(0, length));
		for (let at = 0; at < bytes.byteLength; at++) {
			for (const flip of [0x01, 0x80, 0xff]) {
				const damaged = Buffer.from(bytes);
				damaged[at]! ^= flip;
				tryIt(damaged);
			}
		}
		assert.throws(() => head(Buffer.from('QEVX\0\0\0\x03\0\0\0\0')), { code: 'ERR_CORRUPT' });
		assert.throws(() => head(Buffer.from('QEVM\0\0\0\x04\0\0\0\0')), { code: 'ERR_UNSUPPORTED' });
	});
});
