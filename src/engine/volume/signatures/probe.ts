import { readBytes, type ByteSource } from '../../io/source.js';
import { rawFromBytes, type RawName } from '../../util/names.js';

/** What something on a volume is, by its signature. Names of types are those that blkid prints. */
export interface Identity {
	readonly type: string;
	/** As bytes; empty when there is none. */
	readonly label: RawName;
	/** In the form that is usual for the type; empty when there is none. */
	readonly uuid: string;
}

/** Looks for one kind of thing. `undefined`: it is not there. Never trusts a length or an offset that it reads. */
export type Matcher = (probe: Probe) => Identity | undefined;

/** Bytes from the start that nearly every signature lies in: the last is btrfs, at 64 KiB. */
const HEAD_SIZE = 68 * 1024;

/** A volume while it is being identified: its first bytes, read once, and the rest on demand. */
export class Probe {
	readonly head: Buffer;

	constructor(private readonly source: ByteSource) {
		this.head = readBytes(source, 0, Math.min(HEAD_SIZE, source.size));
	}

	get size(): number {
		return this.source.size;
	}

	/** Bytes at `offset`, or `undefined` where the volume does not have them all. `length` is at most 256 KiB. */
	at(offset: number, length: number): Buffer | undefined {
		if (offset < 0 || !Number.isSafeInteger(offset) || this.size < offset + length) return undefined;
		if (offset + length <= this.head.byteLength) return this.head.subarray(offset, offset + length);
		return readBytes(this.source, offset, length);
	}

	/** Whether the bytes at `offset` are those of `magic` (one character a byte). */
	has(offset: number, magic: string): boolean {
		const bytes = this.at(offset, magic.length);
		return bytes !== undefined && bytes.toString('latin1') === magic;
	}
}

/** 16 bytes as a UUID in the order in which they are stored; empty when all are zero. */
export function uuidOf(bytes: Uint8Array): string {
	if (bytes.every(byte => byte === 0)) return '';
	const hex = Buffer.from(bytes).toString('hex');
	return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** A label of fixed width: up to the first NUL, without trailing blanks. */
export function labelOf(bytes: Uint8Array): RawName {
	const end = bytes.indexOf(0);
	return rawFromBytes(end < 0 ? bytes : bytes.subarray(0, end)).replace(/[ \t\n\v\f\r]+$/, '');
}

/** A label in UTF-16, as raw UTF-8. */
export function wideLabelOf(bytes: Uint8Array): RawName {
	const text = Buffer.from(bytes).toString('utf16le');
	const end = text.indexOf('\0');
	return labelOf(Buffer.from(end < 0 ? text : text.slice(0, end), 'utf8'));
}

export function isPowerOfTwoBetween(value: number, low: number, high: number): boolean {
	return low <= value && value <= high && (value & (value - 1)) === 0;
}
