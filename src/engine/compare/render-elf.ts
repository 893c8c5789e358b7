/**
 * ELF files as text: header, program headers, needed libraries, build id, sections, dynamic symbols.
 *
 * Supported: 32 and 64 bit, both byte orders. Not supported: DWARF, relocations, disassembly.
 * Source: System V ABI, "Object Files" (gABI); Linux Standard Base for notes. Oracle in the tests: a file that cc made, readelf.
 */
import type { ByteSource } from '../io/source.js';
import { corrupt } from '../util/errors.js';
import { printable } from './render.js';

const MAX_SECTIONS = 4096;
const MAX_TABLE = 16 * 1024 * 1024;
const MAX_SYMBOLS = 20_000;

const TYPES = ['none', 'relocatable', 'executable', 'shared object or position-independent executable', 'core'];
const MACHINES: Readonly<Record<number, string>> = {
	3: 'x86',
	8: 'MIPS',
	20: 'PowerPC',
	21: 'PowerPC 64',
	22: 'S/390',
	40: 'Arm',
	62: 'x86-64',
	183: 'AArch64',
	243: 'RISC-V',
	258: 'LoongArch',
};
const SHT_NOTE = 7;
const SHT_DYNAMIC = 6;
const SHT_DYNSYM = 11;
const DT_NEEDED = 1;
const DT_SONAME = 14;
const DT_RPATH = 15;
const DT_RUNPATH = 29;
const DT_LABELS: Readonly<Record<number, string>> = {
	[DT_NEEDED]: 'needs',
	[DT_SONAME]: 'name',
	[DT_RPATH]: 'rpath',
	[DT_RUNPATH]: 'runpath',
};

interface Section {
	readonly name: string;
	readonly type: number;
	readonly offset: number;
	readonly size: number;
	readonly link: number;
	readonly entrySize: number;
}

/** @throws EngineError `ERR_CORRUPT` when a table leaves the file. */
export function renderElf(file: ByteSource): string {
	const elf = new Elf(file);
	const lines = [
		`ELF file`,
		`class    ${elf.is64 ? 64 : 32} bit, ${elf.little ? 'little' : 'big'}-endian`,
		`machine  ${MACHINES[elf.machine] ?? elf.machine}`,
		`type     ${TYPES[elf.type] ?? elf.type}`,
		`entry    0x${elf.entry.toString(16)}`,
		`size     ${file.size} bytes`,
	];
	const sections = elf.sections();
	for (const section of sections) {
		if (section.type === SHT_NOTE && section.name === '.note.gnu.build-id') {
			const note = elf.table(section);
			lines.push(`build    ${note.subarray(16).toString('hex')}`);
		}
	}
	for (const section of sections.filter(({ type }) => type === SHT_DYNAMIC))
		lines.push('', ...dynamic(elf, section, sections));
	lines.push('', 'sections');
	for (const { name, size } of sections.slice(1)) lines.push(`  ${printable(name).padEnd(24)} ${size}`);
	for (const section of sections.filter(({ type }) => type === SHT_DYNSYM))
		lines.push('', ...symbols(elf, section, sections));
	return `${lines.join('\n')}\n`;
}

function dynamic(elf: Elf, section: Section, sections: readonly Section[]): string[] {
	const strings = stringsOf(elf, section, sections);
	const table = elf.table(section);
	const width = elf.is64 ? 8 : 4;
	const lines: string[] = [];
	for (let at = 0; at + width * 2 <= table.length; at += width * 2) {
		const tag = elf.word(table, at);
		if (tag === 0) break;
		const label = DT_LABELS[tag];
		if (label) lines.push(`${label.padEnd(8)} ${printable(strings(elf.word(table, at + width)))}`);
	}
	return lines;
}

function symbols(elf: Elf, section: Section, sections: readonly Section[]): string[] {
	const strings = stringsOf(elf, section, sections);
	const table = elf.table(section);
	const size = elf.is64 ? 24 : 16;
	const imported: string[] = [];
	const exported: string[] = [];
	for (let at = size; at + size <= table.length && imported.length + exported.length < MAX_SYMBOLS; at += size) {
		const name = strings(elf.u32(table, at));
		const sectionIndex = elf.u16(table, at + (elf.is64 ? 6 : 14));
		if (name !== '') (sectionIndex === 0 ? imported : exported).push(`  ${printable(name)}`);
	}
	return ['imports', ...imported.sort(), '', 'exports', ...exported.sort()];
}

function stringsOf(elf: Elf, section: Section, sections: readonly Section[]): (at: number) => string {
	const linked = sections[section.link];
	const table = linked ? elf.table(linked) : Buffer.alloc(0);
	return at => stringAt(table, at);
}

function stringAt(table: Buffer, at: number): string {
	if (table.length <= at) return '';
	const end = table.indexOf(0, at);
	return table.toString('utf8', at, end < 0 ? table.length : end);
}

class Elf {
	readonly is64: boolean;
	readonly little: boolean;
	readonly type: number;
	readonly machine: number;
	readonly entry: number;
	readonly #header: Buffer;

	constructor(private readonly file: ByteSource) {
		this.#header = this.bytes(0, Math.min(64, file.size), 'header');
		if (this.#header.length < 52) corrupt('elf', 'e_ident', 0, 'at least 52 bytes', this.#header.length);
		this.is64 = this.#header[4] === 2;
		this.little = this.#header[5] !== 2;
		if (this.is64 && this.#header.length < 64) corrupt('elf', 'e_ehsize', 52, 64, this.#header.length);
		this.type = this.u16(this.#header, 16);
		this.machine = this.u16(this.#header, 18);
		this.entry = this.word(this.#header, 24);
	}

	sections(): Section[] {
		const h = this.#header;
		const [offset, entrySize, declared, namesIndex] = this.is64
			? [this.word(h, 40), this.u16(h, 58), this.u16(h, 60), this.u16(h, 62)]
			: [this.word(h, 32), this.u16(h, 46), this.u16(h, 48), this.u16(h, 50)];
		const least = this.is64 ? 64 : 40;
		if (offset === 0 || declared === 0) return [];
		if (entrySize < least) corrupt('elf', 'e_shentsize', this.is64 ? 58 : 46, `at least ${least}`, entrySize);
		const count = Math.min(declared, MAX_SECTIONS);
		const raw = this.bytes(offset, count * entrySize, 'section headers');
		const decoded = Array.from({ length: count }, (_, i) => {
			const at = i * entrySize;
			return this.is64
				? {
						nameAt: this.u32(raw, at),
						type: this.u32(raw, at + 4),
						offset: this.word(raw, at + 24),
						size: this.word(raw, at + 32),
						link: this.u32(raw, at + 40),
						entrySize: this.word(raw, at + 56),
					}
				: {
						nameAt: this.u32(raw, at),
						type: this.u32(raw, at + 4),
						offset: this.u32(raw, at + 16),
						size: this.u32(raw, at + 20),
						link: this.u32(raw, at + 24),
						entrySize: this.u32(raw, at + 36),
					};
		});
		const names = decoded[namesIndex];
		const strings = names ? this.bytes(names.offset, names.size, 'section names') : Buffer.alloc(0);
		return decoded.map(({ nameAt, ...section }) => ({ ...section, name: stringAt(strings, nameAt) }));
	}

	table(section: Section): Buffer {
		return this.bytes(section.offset, section.size, section.name);
	}

	u16(bytes: Buffer, at: number): number {
		return this.little ? bytes.readUInt16LE(at) : bytes.readUInt16BE(at);
	}

	u32(bytes: Buffer, at: number): number {
		return this.little ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at);
	}

	/** An address or size of the file's class. Values above 2^53 lose low bits: they are only shown or found out of range. */
	word(bytes: Buffer, at: number): number {
		if (!this.is64) return this.u32(bytes, at);
		return Number(this.little ? bytes.readBigUInt64LE(at) : bytes.readBigUInt64BE(at));
	}

	private bytes(offset: number, length: number, field: string): Buffer {
		if (this.file.size < offset + length) corrupt('elf', field, offset, `at most ${this.file.size}`, offset + length);
		if (MAX_TABLE < length) corrupt('elf', field, offset, `at most ${MAX_TABLE} bytes`, length);
		const into = Buffer.alloc(length);
		this.file.read(offset, into);
		return into;
	}
}
