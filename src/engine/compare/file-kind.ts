/** What a file is, told from its first bytes, so that a caller can choose how to show it. */
import type { ByteSource } from '../io/source.js';

export type ContentKind = 'empty' | 'text' | 'binary' | 'sqlite' | 'elf' | 'archive' | 'image';

const HEAD_SIZE = 8192;
/** Files above this size are not read through to find their longest line. */
const MAX_LINE_SCAN = 50 * 1024 * 1024;
/** Above this many characters a line hangs the editor; the exact number no longer matters. */
const LONG_ENOUGH = 1_000_000;

const SIGNATURES: readonly (readonly [ContentKind, number, readonly number[]])[] = [
	['sqlite', 0, [...Buffer.from('SQLite format 3\0')]],
	['elf', 0, [0x7f, 0x45, 0x4c, 0x46]],
	['archive', 0, [0x50, 0x4b, 0x03, 0x04]],
	['archive', 0, [0x50, 0x4b, 0x05, 0x06]],
	['archive', 0, [0x1f, 0x8b]],
	['archive', 0, [...Buffer.from('!<arch>\n')]],
	['archive', 257, [...Buffer.from('ustar')]],
	['image', 0, [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]],
	['image', 0, [0xff, 0xd8, 0xff]],
	['image', 0, [...Buffer.from('GIF8')]],
	['image', 0, [...Buffer.from('BM')]],
	['image', 8, [...Buffer.from('WEBP')]],
	['image', 0, [0x00, 0x00, 0x01, 0x00]],
];

/** The kind of a regular file's content. Reads at most 8 KiB. */
export function contentKind(file: ByteSource): ContentKind {
	if (file.size === 0) return 'empty';
	const head = new Uint8Array(Math.min(HEAD_SIZE, file.size));
	file.read(0, head);
	for (const [kind, offset, bytes] of SIGNATURES) {
		if (offset + bytes.length <= head.length && bytes.every((byte, i) => head[offset + i] === byte)) {
			// "BM" and an icon's zeros also begin text and other things: let the bytes after them decide.
			if (kind !== 'image' || bytes.length > 2 || !looksLikeText(head)) return kind;
		}
	}
	return looksLikeText(head) ? 'text' : 'binary';
}

/** Text in any 8-bit encoding has no NUL; UTF-16 with its mark is text all the same. */
export function looksLikeText(head: Uint8Array): boolean {
	if ((head[0] === 0xff && head[1] === 0xfe) || (head[0] === 0xfe && head[1] === 0xff)) return true;
	return !head.includes(0);
}

/** Bytes of the longest line of a text file; 0 for files too large to look through. */
export function longestLine(file: ByteSource): number {
	if (MAX_LINE_SCAN < file.size) return 0;
	const part = Buffer.alloc(Math.min(file.size, 1024 * 1024));
	let longest = 0;
	let current = 0;
	for (let at = 0; at < file.size; at += part.length) {
		const piece = part.subarray(0, Math.min(part.length, file.size - at));
		file.read(at, piece);
		for (let from = 0; ;) {
			const next = piece.indexOf(0x0a, from);
			current += (next < 0 ? piece.length : next) - from;
			longest = Math.max(longest, current);
			if (next < 0) break;
			current = 0;
			from = next + 1;
		}
		if (LONG_ENOUGH < longest) break;
	}
	return longest;
}
