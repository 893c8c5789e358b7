/** Archives as the kernel unpacks them at its start: "newc" of cpio(5). */

export interface CpioEntry {
	readonly path: string;
	/** Type and permissions. */
	readonly mode: number;
	/** Of a symbolic link: its target. */
	readonly content?: Uint8Array;
}

/** Everything belongs to root, and has no time, so that equal entries give equal bytes. */
export function cpio(entries: readonly CpioEntry[]): Buffer {
	const parts: Buffer[] = [];
	for (const [index, entry] of [...entries, { path: 'TRAILER!!!', mode: 0 }].entries()) {
		const name = Buffer.from(`${entry.path}\0`);
		const content = 'content' in entry ? (entry.content ?? new Uint8Array()) : new Uint8Array();
		const links = (entry.mode & 0o170000) === 0o40000 ? 2 : 1;
		// ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor, rdevminor, namesize, check.
		const fields = [index + 1, entry.mode, 0, 0, links, 0, content.byteLength, 0, 0, 0, 0, name.byteLength, 0];
		const header = `070701${fields.map(field => field.toString(16).padStart(8, '0')).join('')}`;
		parts.push(padded(Buffer.concat([Buffer.from(header), name])), padded(Buffer.from(content)));
	}
	return Buffer.concat(parts);
}

function padded(bytes: Buffer): Buffer {
	return Buffer.concat([bytes, Buffer.alloc(-bytes.byteLength & 3)]);
}
