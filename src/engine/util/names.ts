/**
 * Names and paths as bytes, and as text that people can read, type and paste.
 *
 * A name on a guest's disk is bytes. Inside the engine it is a `RawName`: a string with one character (U+0000–U+00FF)
 * a byte, so that it can be a map's key and costs no decoding. Text is made only where a name leaves the engine.
 *
 * The text form is UTF-8 with invalid bytes, control characters and the backslash as `\xHH`. It is reversible:
 * `rawFromText(textFromRaw(raw)) === raw` for every sequence of bytes.
 */
import { EngineError } from './errors.js';

/** One component, or a whole `/`-separated path, as bytes: each character is one byte. */
export type RawName = string;
export type RawPath = string;

/** Characters that need no thought: printable ASCII but the backslash. */
const PLAIN = /^[\x20-\x5b\x5d-\x7e]*$/;

export function rawFromBytes(bytes: Uint8Array): RawName {
	return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

export function bytesFromRaw(raw: RawName): Uint8Array {
	return Buffer.from(raw, 'latin1');
}

/** The text form of a raw name or path. */
export function textFromRaw(raw: RawName): string {
	if (PLAIN.test(raw)) return raw;
	const bytes = Buffer.from(raw, 'latin1');
	let text = '';
	for (let at = 0; at < bytes.length;) {
		const length = sequenceLength(bytes, at);
		const character = length === 0 ? '' : bytes.toString('utf8', at, at + length);
		if (character === '' || isEscaped(character)) {
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

/**
 * The bytes that a text form stands for.
 *
 * @throws EngineError `ERR_USAGE` for a backslash that does not begin `\xHH`.
 */
export function rawFromText(text: string): RawName {
	if (PLAIN.test(text)) return text;
	let raw = '';
	for (let at = 0; at < text.length;) {
		const next = text.indexOf('\\', at);
		const end = next < 0 ? text.length : next;
		raw += Buffer.from(text.slice(at, end), 'utf8').toString('latin1');
		if (next < 0) break;
		const escape = /^\\x([0-9a-fA-F]{2})/.exec(text.slice(next, next + 4));
		if (!escape) {
			throw new EngineError(
				'ERR_USAGE',
				`"${text}" has a backslash that does not begin \\xHH (write \\x5c for a backslash)`,
			);
		}
		raw += String.fromCharCode(parseInt(escape[1]!, 16)); // OK: the pattern has one group.
		at = next + 4;
	}
	return raw;
}

/** `/a/b` from `/a` and `b`; the root is `/`. */
export function joinRaw(parent: RawPath, name: RawName): RawPath {
	return parent === '/' ? `/${name}` : `${parent}/${name}`;
}

/** The components of an absolute path, without empty ones. */
export function splitRaw(path: RawPath): RawName[] {
	return path.split('/').filter(part => part !== '');
}

/** The path above, or `/`. */
export function parentRaw(path: RawPath): RawPath {
	const at = path.lastIndexOf('/');
	return at <= 0 ? '/' : path.slice(0, at);
}

/** C0, DEL, C1, the backslash, and what reorders or hides text (bidirectional controls, zero width, line separators). */
function isEscaped(character: string): boolean {
	const code = character.codePointAt(0)!; // OK: not empty.
	return (
		code < 0x20 ||
		code === 0x5c ||
		(0x7f <= code && code <= 0x9f) ||
		code === 0x061c ||
		(0x200b <= code && code <= 0x200f) ||
		(0x2028 <= code && code <= 0x202e) ||
		(0x2060 <= code && code <= 0x2069) ||
		code === 0xfeff
	);
}

/** Length of the well-formed UTF-8 sequence at `at`, 0 when there is none (RFC 3629: no overlong forms, no surrogates). */
function sequenceLength(bytes: Uint8Array, at: number): number {
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
