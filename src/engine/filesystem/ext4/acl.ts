/**
 * POSIX access control lists: ext4 stores them shorter than getxattr(2) shows them.
 *
 *     on disk     version 1; entries: tag u16, perm u16, and an id u32 only for a named user or group
 *     shown       version 2; entries: tag u16, perm u16, id u32 (2^32 - 1 where there is none)
 *
 * Source: Linux, fs/ext4/acl.h (layout), include/uapi/linux/posix_acl_xattr.h. Oracle in the tests: mount and getxattr.
 */
import { le16, le32 } from '../../util/bytes.js';
import { corrupt } from '../../util/errors.js';

const DISK_VERSION = 1;
const SHOWN_VERSION = 2;
const NO_ID = 0xffff_ffff;
const SHOWN_ENTRY = 8;

/** Tags: with an id or without. */
const TAGS_WITH_ID: readonly number[] = [0x02, 0x08]; // ACL_USER, ACL_GROUP
const TAGS_WITHOUT_ID: readonly number[] = [0x01, 0x04, 0x10, 0x20]; // ACL_USER_OBJ, ACL_GROUP_OBJ, ACL_MASK, ACL_OTHER

/** @throws EngineError `ERR_CORRUPT`. */
export function userspaceAcl(stored: Uint8Array, inode: number): Uint8Array {
	const version = le32(stored, 0);
	if (stored.byteLength < 4 || version !== DISK_VERSION) {
		return corrupt('ext4', `a_version of inode ${inode}`, 0, DISK_VERSION, version);
	}
	const shown = new DataView(new ArrayBuffer(4 + (stored.byteLength / 4) * SHOWN_ENTRY));
	shown.setUint32(0, SHOWN_VERSION, true);
	let length = 4;
	for (let at = 4; at < stored.byteLength;) {
		const tag = le16(stored, at);
		const hasId = TAGS_WITH_ID.includes(tag);
		const size = hasId ? 8 : 4;
		if ((!hasId && !TAGS_WITHOUT_ID.includes(tag)) || stored.byteLength < at + size) {
			corrupt('ext4', `e_tag of inode ${inode}`, 0, 'an entry of an access control list', tag);
		}
		shown.setUint16(length, tag, true);
		shown.setUint16(length + 2, le16(stored, at + 2), true);
		shown.setUint32(length + 4, hasId ? le32(stored, at + 4) : NO_ID, true);
		length += SHOWN_ENTRY;
		at += size;
	}
	return new Uint8Array(shown.buffer, 0, length);
}
