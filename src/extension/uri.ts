/**
 * Addresses of files in snapshots, as URIs. Knows no VS Code: it gives and takes the parts of a URI.
 *
 *   strata://<source>.<state>[+<label>]/<volume>/<path>
 *   strata-text://<the same authority>/<volume>/<path>.<extension>?<renderer>
 *   strata-change://<comparison>/<path>?<status>
 *
 *   source  id of a registered source; for a bare image "p" and the beginning of a hash of its path
 *   state   "current" or the snapshot's key
 *   label   a slug for people; ignored on reading. It makes tabs read "hosts (before-install)"
 *   path    UTF-8. A byte outside valid UTF-8 is U+EF00 + the byte, and so is each byte of a character that must not
 *           reach a tab's title (controls, what reorders or hides text) and of a real U+EF00–U+EFFF. So every sequence
 *           of bytes has one path, and no two share one.
 *
 * The engine's own text form of a path has `\xHH` instead (engine/util/names.ts); systemd has `\x2d` in file names, so
 * a URI cannot use that.
 */
import { createHash } from 'node:crypto';

export const FILE_SCHEME = 'strata';
export const TEXT_SCHEME = 'strata-text';
export const CHANGE_SCHEME = 'strata-change';

export interface UriParts {
	readonly scheme: string;
	readonly authority: string;
	readonly path: string;
	readonly query: string;
}

/** A file of one state. `path` is the engine's text form. */
export interface FileAddress {
	/** Id of a source, or the token of a bare image. */
	readonly source: string;
	readonly state: string;
	readonly label: string;
	readonly path: string;
}

export interface TextAddress extends FileAddress {
	readonly renderer: string;
	/** Without a dot; the editor takes its language from it. */
	readonly extension: string;
}

export function fileUri(address: FileAddress): UriParts {
	return { scheme: FILE_SCHEME, authority: authorityOf(address), path: uriPathFromText(address.path), query: '' };
}

export function textUri(address: TextAddress): UriParts {
	const path = `${uriPathFromText(address.path)}.${address.extension}`;
	return { scheme: TEXT_SCHEME, authority: authorityOf(address), path, query: address.renderer };
}

/** @returns `undefined` for what is not a `strata:` URI. */
export function parseFileUri(uri: UriParts): FileAddress | undefined {
	return uri.scheme === FILE_SCHEME ? parseAuthority(uri, textFromUriPath(uri.path || '/')) : undefined;
}

export function parseTextUri(uri: UriParts): TextAddress | undefined {
	if (uri.scheme !== TEXT_SCHEME) return undefined;
	const dot = uri.path.lastIndexOf('.');
	if (dot < 0) return undefined;
	const address = parseAuthority(uri, textFromUriPath(uri.path.slice(0, dot)));
	return address && { ...address, renderer: uri.query, extension: uri.path.slice(dot + 1) };
}

export function changeUri(comparison: string, path: string, status: string): UriParts {
	return { scheme: CHANGE_SCHEME, authority: comparison, path: uriPathFromText(path), query: status };
}

/** What stands for an image that is no registered source: its path does not fit into an authority. */
export function bareSourceToken(realPath: string): string {
	return `p${base32(createHash('sha256').update(realPath).digest()).slice(0, 11)}`;
}

/** A label as it may stand in an authority, which VS Code writes in lower case: letters, digits, `-`, `_` and `.`. */
export function slug(label: string): string {
	const words = label
		.normalize('NFKD')
		.toLowerCase()
		.replace(/\p{M}/gu, '')
		.replace(/[^a-z0-9._]+/g, '-')
		.replace(/^-+|-+$/g, '')
		.slice(0, 40);
	return words || 'snapshot';
}

/** What is the same in both forms; nearly every path is. */
const UNCHANGED = /^[ -[\]-~]*$/;

/** `%`-free path of a URI from the engine's text form. */
export function uriPathFromText(text: string): string {
	if (UNCHANGED.test(text)) return text;
	const bytes = bytesFromText(text);
	let path = '';
	for (let at = 0; at < bytes.length;) {
		const length = sequenceLength(bytes, at);
		const character = length === 0 ? '' : bytes.toString('utf8', at, at + length);
		if (character === '' || isMappedByte(character) || HIDDEN.test(character)) {
			const count = Math.max(1, length);
			for (const byte of bytes.subarray(at, at + count)) path += String.fromCharCode(0xef00 + byte);
			at += count;
		} else {
			path += character;
			at += length;
		}
	}
	return path;
}

/** The engine's text form of a URI's path. */
export function textFromUriPath(path: string): string {
	if (UNCHANGED.test(path)) return path;
	const chunks: Buffer[] = [];
	for (const character of path) {
		const code = character.codePointAt(0)!; // OK: the iterator gives whole characters.
		chunks.push(isMappedByte(character) ? Buffer.of(code - 0xef00) : Buffer.from(character, 'utf8'));
	}
	return textFromBytes(Buffer.concat(chunks));
}

function authorityOf({ source, state, label }: FileAddress): string {
	return `${source}.${state}+${slug(label)}`;
}

function parseAuthority(uri: UriParts, path: string): FileAddress | undefined {
	const match = /^([a-z0-9]+)\.([a-z0-9]+)(?:\+(.*))?$/.exec(uri.authority);
	if (!match) return undefined;
	const [, source, state, label] = match;
	return { source: source!, state: state!, label: label ?? '', path }; // OK: the pattern has both groups.
}

/** U+EF00–U+EFFF stand for the bytes 0x00–0xFF. */
function isMappedByte(character: string): boolean {
	const code = character.codePointAt(0)!; // OK: not empty.
	return 0xef00 <= code && code <= 0xefff;
}

function bytesFromText(text: string): Buffer {
	if (!text.includes('\\')) return Buffer.from(text, 'utf8');
	const parts = text.split(/\\x([0-9a-fA-F]{2})/);
	return Buffer.concat(
		parts.map((part, i) => (i % 2 === 0 ? Buffer.from(part, 'utf8') : Buffer.of(parseInt(part, 16)))),
	);
}

/** As `textFromRaw` of the engine does it; a test holds the two together. */
function textFromBytes(bytes: Buffer): string {
	let text = '';
	for (let at = 0; at < bytes.length;) {
		const length = sequenceLength(bytes, at);
		const character = length === 0 ? '' : bytes.toString('utf8', at, at + length);
		if (character === '' || character === '\\' || HIDDEN.test(character)) {
			const count = Math.max(1, length);
			for (const byte of bytes.subarray(at, at + count)) text += `\\x${byte.toString(16).padStart(2, '0')}`;
			at += count;
		} else {
			text += character;
			at += length;
		}
	}
	return text;
}

const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/u;

/** Length of the well-formed UTF-8 sequence at `at`, 0 when there is none. */
function sequenceLength(bytes: Buffer, at: number): number {
	const lead = bytes[at]!; // OK: at < length.
	if (lead < 0x80) return 1;
	const length = lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
	if (length === 0 || bytes.length < at + length) return 0;
	for (let i = 1; i < length; i++) if ((bytes[at + i]! & 0xc0) !== 0x80) return 0;
	const second = bytes[at + 1]!;
	if ((lead === 0xe0 && second < 0xa0) || (lead === 0xed && 0x9f < second)) return 0;
	if ((lead === 0xf0 && second < 0x90) || (lead === 0xf4 && 0x8f < second)) return 0;
	return length;
}

function base32(bytes: Uint8Array): string {
	const alphabet = 'abcdefghijklmnopqrstuvwxyz234567';
	let text = '';
	let bits = 0;
	let value = 0;
	for (const byte of bytes) {
		value = (value << 8) | byte;
		bits += 8;
		for (; 5 <= bits; bits -= 5) text += alphabet[(value >>> (bits - 5)) & 31];
		value &= (1 << bits) - 1;
	}
	return 0 < bits ? text + alphabet[(value << (5 - bits)) & 31] : text;
}
