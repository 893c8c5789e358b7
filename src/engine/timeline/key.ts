/** Keys: the name that a snapshot keeps for ever, whatever its id, its label and the image's path become. */
import { createHash, randomBytes } from 'node:crypto';
import type { ImageSnapshot } from '../image/image.js';

/** RFC 4648's alphabet, lower case, for file names, URIs and authorities alike. */
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567';

export const KEY_LENGTH = 10;
/** Of the hash: as many bytes as the key's characters hold. */
const KEY_BYTES = 7;
export const SOURCE_ID_LENGTH = 8;

/**
 * The key of one snapshot: from the facts of its image that never change, and from its own. Moving, copying or growing
 * the image keeps it; a second snapshot of the same name does not get it, because its date differs.
 */
export function snapshotKey(fixedFacts: string, snapshot: ImageSnapshot): string {
	// Lengths go first, so that no two lists of fields give the same bytes. One string and one update: the calls cost
	// more than the hashing, and a machine may have ten thousand snapshots.
	let text = '';
	for (const part of [
		fixedFacts,
		snapshot.id,
		snapshot.rawName,
		String(snapshot.dateSec),
		String(snapshot.dateNsec),
		snapshot.vmClockNsec,
	]) {
		text += `${part.length}:${part}`;
	}
	return base32(createHash('sha256').update(text, 'latin1').digest().subarray(0, KEY_BYTES)).slice(0, KEY_LENGTH);
}

export function isKey(text: string): boolean {
	return /^[a-z2-7]{10}$/.test(text);
}

export function newSourceId(): string {
	return base32(randomBytes(5)).slice(0, SOURCE_ID_LENGTH);
}

export function newToken(): string {
	return base32(randomBytes(10));
}

function base32(bytes: Uint8Array): string {
	let text = '';
	let bits = 0;
	let value = 0;
	for (const byte of bytes) {
		value = ((value << 8) | byte) & 0xfff; // At most 4 bits are left over from the byte before.
		bits += 8;
		for (; bits >= 5; bits -= 5) text += ALPHABET[(value >>> (bits - 5)) & 31];
	}
	return text;
}
