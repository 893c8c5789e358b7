/**
 * Archives as text: one line a member, sorted as stored. Zip, tar, tar.gz, gzip, and ar (Debian packages, static libraries).
 *
 * Not supported: xz, zstd and bzip2 tarballs (rendered as bytes), zip members above 4 GiB with hostile headers.
 * Source: POSIX.1-2017 pax, "ustar Interchange Format"; ar(5). Zip by fflate.
 */
import { gunzipSync } from 'node:zlib';
import { unzipSync } from 'fflate';
import { corrupt } from '../util/errors.js';
import { textFromRaw } from '../util/names.js';
import { printable } from './render.js';

const MAX_MEMBERS = 50_000;
const MAX_INFLATED = 256 * 1024 * 1024;
/** Of a compressed text: a few thousand compressed bytes can hold hundreds of megabytes. */
const MAX_TEXT = 16 * 1024 * 1024;
const TAR_KINDS: Readonly<Record<string, string>> = {
	'1': 'hard link',
	'2': 'symlink',
	'3': 'chardev',
	'4': 'blockdev',
	'5': 'directory',
	'6': 'fifo',
};

/** @throws EngineError `ERR_CORRUPT`; whatever the decompressor says of a damaged stream. */
export function renderArchive(bytes: Buffer): string {
	if (bytes[0] === 0x50) return listing('Zip archive', zipMembers(bytes));
	if (bytes[0] === 0x1f) {
		const inner = gunzipSync(bytes, { maxOutputLength: MAX_INFLATED });
		if (isTar(inner)) return listing('Compressed tar archive', tarMembers(inner));
		const text = inner.includes(0) ? '' : inner.toString('utf8', 0, MAX_TEXT);
		const more = text !== '' && MAX_TEXT < inner.length ? '\n… the rest is not shown: it is too much text\n' : '';
		return `gzip file\nsize inside  ${inner.length} bytes\n\n${text}${more}`;
	}
	if (bytes.toString('latin1', 0, 8) === '!<arch>\n') return listing('ar archive', arMembers(bytes));
	return listing('Tar archive', tarMembers(bytes));
}

function listing(title: string, members: string[]): string {
	const shown = members.slice(0, MAX_MEMBERS);
	const more = members.length > shown.length ? [`… only the first ${MAX_MEMBERS} are shown`] : [];
	return `${[`${title}, ${members.length} members`, '', ...shown, ...more].join('\n')}\n`;
}

function zipMembers(bytes: Uint8Array): string[] {
	const members: string[] = [];
	unzipSync(bytes, {
		filter: member => {
			members.push(`${String(member.originalSize).padStart(12)}  ${printable(member.name)}`);
			return false;
		},
	});
	return members;
}

function isTar(bytes: Buffer): boolean {
	return bytes.toString('latin1', 257, 262) === 'ustar';
}

function tarMembers(bytes: Buffer): string[] {
	const members: string[] = [];
	let longName: string | undefined;
	for (let at = 0; at + 512 <= bytes.length;) {
		const header = bytes.subarray(at, at + 512);
		if (header[0] === 0 && header[345] === 0) break; // The end: blocks of zeros.
		const size = octal(header, 124, 12, at);
		const content = bytes.subarray(at + 512, at + 512 + size);
		if (content.length < size) corrupt('tar', 'size', at + 124, `at most ${content.length}`, size);
		const kind = String.fromCharCode(header[156]!); // OK: the header is 512 bytes.
		at += 512 + Math.ceil(size / 512) * 512;
		if (kind === 'L') longName = field(content, 0, content.length);
		else if (kind === 'x') longName = /\d+ path=(.*)\n/.exec(content.toString('latin1'))?.[1] ?? longName;
		else if (kind !== 'g' && kind !== 'K') {
			const prefix = field(header, 345, 155);
			const name = longName ?? (prefix ? `${prefix}/${field(header, 0, 100)}` : field(header, 0, 100));
			longName = undefined;
			const mode = (octal(header, 100, 8, at) & 0o7777).toString(8).padStart(4, '0');
			const target = kind === '1' || kind === '2' ? ` -> ${textFromRaw(field(header, 157, 100))}` : '';
			members.push(
				`${mode} ${String(size).padStart(12)}  ${textFromRaw(name)}${target}${TAR_KINDS[kind] ? ` (${TAR_KINDS[kind]})` : ''}`,
			);
			if (members.length > MAX_MEMBERS) break;
		}
	}
	return members;
}

function arMembers(bytes: Buffer): string[] {
	const members: string[] = [];
	for (let at = 8; at + 60 <= bytes.length && members.length <= MAX_MEMBERS;) {
		const name = field(bytes, at, 16).trimEnd();
		const size = Number(field(bytes, at + 48, 10).trim());
		if (!Number.isSafeInteger(size) || size < 0)
			corrupt('ar', 'ar_size', at + 48, 'a decimal number', field(bytes, at + 48, 10));
		members.push(`${String(size).padStart(12)}  ${textFromRaw(name)}`);
		at += 60 + size + (size % 2);
	}
	return members;
}

function field(bytes: Buffer, at: number, length: number): string {
	const end = bytes.subarray(at, at + length).indexOf(0);
	return bytes.toString('latin1', at, end < 0 ? at + length : at + end);
}

/** Octal digits, or GNU's base-256 form for large values. */
function octal(bytes: Buffer, at: number, length: number, header: number): number {
	if ((bytes[at]! & 0x80) !== 0) return bytes.readUIntBE(at + length - 6, 6);
	const text = field(bytes, at, length).trim();
	if (!/^[0-7]*$/.test(text)) corrupt('tar', 'header', header + at, 'octal digits', printable(text));
	return text === '' ? 0 : parseInt(text, 8);
}
