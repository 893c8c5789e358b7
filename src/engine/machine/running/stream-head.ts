/**
 * What saved memory says of the machine that it belongs to, without decoding devices: the machine's type, the blocks of RAM, and
 * the sections of all devices. Two streams of one configuration agree in all three.
 *
 * Supported: QEMU's migration stream, version 3, as savevm and migrate write it. Not supported: devices without the JSON
 * description at the end (`suppress-vmdesc=on`), of which nothing is known. Sources: QEMU docs/devel/migration; migration/ram.c,
 * migration/savevm.c for numbers. Oracle in tests: QEMU.
 *
 * All integers are big-endian:
 *
 *     u32 "QEVM", u32 3, [0x07 u32 length, machine type], 0x01 u32 section, u8 length, "ram", u32 instance, u32 version,
 *     u64 (bytes of RAM | 0x04), { u8 length, name of a block, u64 bytes } …, …, 0x00, 0x06 u32 length, JSON
 */
import type { ByteSource } from '../../io/source.js';
import { readBytes } from '../../io/source.js';
import { corrupt, unsupported } from '../../util/errors.js';

const FORMAT = 'vmstate';
const MAGIC = 0x5145564d;
const VERSION = 3;
const CONFIGURATION = 0x07;
const SECTION_START = 0x01;
const DESCRIPTION = 0x06;
const RAM_MEM_SIZE = 0x04n;
const MAX_HEAD = 64 * 1024;
const MAX_DESCRIPTION = 16 * 1024 * 1024;
const MAX_BLOCKS = 1000;

export interface StreamHead {
	/** "pc-q35-7.2"; `undefined` when the stream does not say. */
	readonly machineType: string | undefined;
	/** Name to bytes: "pc.ram", … */
	readonly ramBlocks: ReadonlyMap<string, number>;
	/** "name/instance" of every device; `undefined` when the stream does not describe itself. */
	readonly sections: ReadonlySet<string> | undefined;
}

/** @throws EngineError `ERR_CORRUPT`, `ERR_UNSUPPORTED`, and what reading throws. */
export function readStreamHead(stream: ByteSource): StreamHead {
	const head = readBytes(stream, 0, Math.min(MAX_HEAD, stream.size));
	let at = 0;
	const need = (count: number) => {
		if (head.byteLength < at + count) corrupt(FORMAT, 'head', at, 'more bytes', head.byteLength);
		at += count;
		return at - count;
	};
	const u8 = () => head.readUInt8(need(1));
	const u32 = () => head.readUInt32BE(need(4));
	const u64 = () => head.readBigUInt64BE(need(8));
	const text = (length: number) => head.toString('latin1', need(length), at);
	const magic = u32();
	if (magic !== MAGIC) corrupt(FORMAT, 'magic', 0, MAGIC, magic);
	const version = u32();
	if (version !== VERSION) unsupported(FORMAT, 'version', 4, version);
	let type = u8();
	let machineType: string | undefined;
	if (type === CONFIGURATION) {
		machineType = text(u32());
		type = u8();
	}
	// Subsections of the configuration (0x05) occur on other architectures: then RAM is not looked for.
	const ramBlocks = new Map<string, number>();
	if (type === SECTION_START) {
		u32();
		const name = text(u8());
		u32();
		u32();
		const size = u64();
		if (name === 'ram' && (size & 0xfffn) === RAM_MEM_SIZE) {
			for (let left = size - RAM_MEM_SIZE; left > 0n;) {
				if (MAX_BLOCKS <= ramBlocks.size) corrupt(FORMAT, 'ram blocks', at, `at most ${MAX_BLOCKS}`, 'more');
				const block = text(u8());
				const bytes = u64();
				if (left < bytes) corrupt(FORMAT, 'ram block length', at - 8, `at most ${left}`, String(bytes));
				ramBlocks.set(block, Number(bytes));
				left -= bytes;
			}
		}
	}
	return { machineType, ramBlocks, sections: readSections(stream) };
}

/** Why memory cannot be loaded into a machine of another configuration; empty when nothing speaks against it. */
export function differences(saved: StreamHead, running: StreamHead): string[] {
	const found: string[] = [];
	if (
		saved.machineType !== undefined &&
		running.machineType !== undefined &&
		saved.machineType !== running.machineType
	) {
		found.push(`it is of a ${saved.machineType}, and this machine is a ${running.machineType}`);
	}
	for (const [name, size] of saved.ramBlocks) {
		const now = running.ramBlocks.get(name);
		if (now === undefined) found.push(`it has memory called ${name}, which this machine does not have`);
		else if (now !== size) found.push(`${name} has ${mib(size)} in it, and ${mib(now)} in this machine`);
	}
	if (saved.sections && running.sections) {
		// Those with a place on a bus. Others come and go with their state, and depend on the type of the machine.
		const missing = [...saved.sections].filter(name => isDevice(name) && !running.sections!.has(name)); // OK: checked above.
		if (missing.length > 0) found.push(`this machine does not have its ${missing.slice(0, 5).join(', ')}`);
	}
	return found;
}

/** The description is the last thing in the stream, and its length leads to the end. */
function readSections(stream: ByteSource): Set<string> | undefined {
	const length = Math.min(MAX_DESCRIPTION, stream.size);
	const start = stream.size - length;
	const tail = readBytes(stream, start, length);
	for (let at = tail.lastIndexOf('{"'); 5 <= at; at = tail.lastIndexOf('{"', at - 1)) {
		if (tail[at - 5] !== DESCRIPTION || tail.readUInt32BE(at - 4) !== length - at) continue;
		let described: { devices?: readonly { name?: unknown; instance_id?: unknown }[] };
		try {
			described = JSON.parse(tail.toString('utf8', at)) as typeof described; // OK: its fields are checked below.
		} catch {
			continue; // Bytes that only looked like it.
		}
		if (!Array.isArray(described.devices)) continue;
		return new Set(described.devices.map(({ name, instance_id: instance }) => `${String(name)}/${String(instance)}`));
	}
	return undefined;
}

/** "0000:00:02.0/virtio-blk/0" is one, "apic/0" is not. */
function isDevice(section: string): boolean {
	return section.split('/').length > 2;
}

function mib(bytes: number): string {
	return `${Math.round(bytes / 1024 / 1024)} MiB`;
}
