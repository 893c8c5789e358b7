// Files that are not text, made from nothing and always the same: programs, pictures, bytes that look like a kernel.
import { createHash } from 'node:crypto';
import { crc32, deflateSync } from 'node:zlib';

/** Bytes that no compressor can shorten, the same for the same seed. */
export function noise(seed, size) {
	const blocks = [];
	for (let counter = 0; blocks.length * 32 < size; counter++)
		blocks.push(createHash('sha256').update(`${seed} ${counter}`).digest());
	return Buffer.concat(blocks).subarray(0, size);
}

/** A program for x86-64 Linux that prints its name and version, padded with `padding` bytes of "code". It really runs. */
export function program(name, version, padding) {
	const message = Buffer.from(`${name} ${version}\n`);
	const body = noise(`${name} ${version}`, padding);
	const HEADERS = 64 + 56;
	const base = 0x400000;
	// mov eax,1; mov edi,1; lea rsi,[rip+…]; mov edx,length; syscall; mov eax,60; xor edi,edi; syscall
	const code = Buffer.from('b801000000bf01000000488d3500000000ba000000000f05b83c00000031ff0f05', 'hex');
	const lea = 10;
	code.writeInt32LE(code.length - (lea + 7), lea + 3);
	code.writeUInt32LE(message.length, lea + 8);
	const size = HEADERS + code.length + message.length + body.length;
	const header = Buffer.alloc(HEADERS);
	Buffer.from('7f454c46020101', 'hex').copy(header);
	header.writeUInt16LE(2, 16); // e_type: ET_EXEC
	header.writeUInt16LE(62, 18); // e_machine: x86-64
	header.writeUInt32LE(1, 20); // e_version
	header.writeBigUInt64LE(BigInt(base + HEADERS), 24); // e_entry
	header.writeBigUInt64LE(64n, 32); // e_phoff
	header.writeUInt16LE(64, 52); // e_ehsize
	header.writeUInt16LE(56, 54); // e_phentsize
	header.writeUInt16LE(1, 56); // e_phnum
	header.writeUInt16LE(64, 58); // e_shentsize
	header.writeUInt32LE(1, 64); // p_type: PT_LOAD
	header.writeUInt32LE(5, 68); // p_flags: read, execute
	header.writeBigUInt64LE(BigInt(base), 80); // p_vaddr
	header.writeBigUInt64LE(BigInt(base), 88); // p_paddr
	header.writeBigUInt64LE(BigInt(size), 96); // p_filesz
	header.writeBigUInt64LE(BigInt(size), 104); // p_memsz
	header.writeBigUInt64LE(0x1000n, 112); // p_align
	return Buffer.concat([header, code, message, body]);
}

/** A square picture: rings of two colours. */
export function picture(size, [inner, outer]) {
	const rows = [];
	for (let y = 0; y < size; y++) {
		const row = Buffer.alloc(1 + size * 3);
		for (let x = 0; x < size; x++) {
			const distance = Math.hypot(x - size / 2, y - size / 2) / (size / 2);
			const colour = Math.floor(distance * 5) % 2 === 0 ? inner : outer;
			colour.forEach((value, channel) => row.writeUInt8(Math.round(value * (1 - distance / 3)), 1 + x * 3 + channel));
		}
		rows.push(row);
	}
	const header = Buffer.alloc(13);
	header.writeUInt32BE(size, 0);
	header.writeUInt32BE(size, 4);
	header.set([8, 2, 0, 0, 0], 8); // 8 bits a channel, RGB
	const chunk = (type, data) => {
		const named = Buffer.concat([Buffer.from(type), data]);
		const out = Buffer.alloc(named.length + 8);
		out.writeUInt32BE(data.length, 0);
		named.copy(out, 4);
		out.writeUInt32BE(crc32(named), out.length - 4);
		return out;
	};
	return Buffer.concat([
		Buffer.from('89504e470d0a1a0a', 'hex'),
		chunk('IHDR', header),
		chunk('IDAT', deflateSync(Buffer.concat(rows), { level: 9 })),
		chunk('IEND', Buffer.alloc(0)),
	]);
}
