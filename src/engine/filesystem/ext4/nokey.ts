/**
 * Names in encrypted directories, when there is no key: encrypted bytes may hold slashes and zero bytes, so they are
 * shown in a form that is a name, as Linux does.
 *
 *     base64url of: hash u32, hash u32 (both 0 here), the first 149 bytes, SHA-256 of the rest when there is one
 *
 * Source: Linux, fs/crypto/fname.c (struct fscrypt_nokey_name).
 */
import { createHash } from 'node:crypto';
import type { RawName } from '../../util/names.js';

const HASH_SIZE = 8;
const MAX_PLAIN = 149;

export function nokeyName(stored: Uint8Array): RawName {
	const parts = [Buffer.alloc(HASH_SIZE), stored.subarray(0, MAX_PLAIN)];
	if (MAX_PLAIN < stored.byteLength) parts.push(createHash('sha256').update(stored.subarray(MAX_PLAIN)).digest());
	return Buffer.concat(parts).toString('base64url');
}
