/**
 * Names in encrypted directories, when there is no key: encrypted bytes may hold slashes and zero bytes, so they are
 * shown in a form that is a name, the one that Linux shows.
 *
 *     base64url of: hash u32, minor hash u32, the first 149 bytes, SHA-256 of the rest when there is one
 *
 * Source: Linux, Documentation/filesystems/fscrypt.rst ("no-key names"), fs/crypto/fname.c (struct fscrypt_nokey_name).
 * Oracle in the tests: mount without the key.
 */
import { createHash } from 'node:crypto';
import { le32 } from '../../util/bytes.js';
import type { RawName } from '../../util/names.js';
import { alignUp } from '../../util/numbers.js';
import { directoryHash } from './dirhash.js';

const HASH_SIZE = 8;
const MAX_PLAIN = 149;

/** Where the hash in front of a name comes from. */
export type NameHash =
	/** The directory has no hash tree and could not have one: zeros. */
	| { readonly from: 'nowhere' }
	/** It is behind the name: encrypted and casefold. */
	| { readonly from: 'entry' }
	| { readonly from: 'name'; readonly version: number; readonly seed: Uint8Array };

/** The shown form of the name in `bytes[start, start + length)`. */
export function nokeyName(hash: NameHash, bytes: Uint8Array, start: number, length: number): RawName {
	const stored = bytes.subarray(start, start + length);
	const isLong = MAX_PLAIN < length;
	const shown = Buffer.alloc(HASH_SIZE + (isLong ? MAX_PLAIN + 32 : length));
	const [major, minor] = hashOf(hash, bytes, start, stored);
	shown.writeUInt32LE(major, 0);
	shown.writeUInt32LE(minor, 4);
	shown.set(stored.subarray(0, MAX_PLAIN), HASH_SIZE);
	if (isLong) shown.set(createHash('sha256').update(stored.subarray(MAX_PLAIN)).digest(), HASH_SIZE + MAX_PLAIN);
	return shown.toString('base64url');
}

function hashOf(hash: NameHash, bytes: Uint8Array, start: number, stored: Uint8Array): readonly [number, number] {
	if (hash.from === 'name') return directoryHash(hash.version, hash.seed, stored) ?? [0, 0];
	if (hash.from === 'nowhere') return [0, 0];
	const at = start + alignUp(stored.byteLength, 4);
	return [le32(bytes, at), le32(bytes, at + 4)];
}
