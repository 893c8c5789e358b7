/** What is known of one path besides its content: one fact a line, in a fixed order, so that two moments diff well. */
import type { TreeEntry } from '../tree/file-tree.js';
import type { Xattr } from '../filesystem/filesystem.js';
import { isoTime, modeText } from '../tree/records.js';
import { textFromRaw } from '../util/names.js';

const MAX_VALUE = 4096;

/** The properties of `entry` as text. `target` is that of a symbolic link. */
export function propertiesText(entry: TreeEntry, xattrs: readonly Xattr[], target: string | undefined): string {
	const lines: [string, string][] = [
		['path', textFromRaw(entry.path)],
		['type', entry.kind],
	];
	const { inode, volume } = entry;
	if (inode) {
		lines.push(
			['size', `${inode.size}`],
			['mode', `${modeText(inode.mode)} ${modeLetters(inode.mode)}`],
			['owner', `${inode.uid}:${inode.gid}`],
			['links', `${inode.links}`],
			['modified', isoTime(inode.mtime)],
			['changed', isoTime(inode.ctime)],
			['accessed', isoTime(inode.atime)],
		);
		if (inode.crtime) lines.push(['created', isoTime(inode.crtime)]);
		lines.push(['inode', `${inode.number} generation ${inode.generation}`]);
		if (inode.device) lines.push(['device', `${inode.device.major}:${inode.device.minor}`]);
		if (inode.attributes.length > 0) lines.push(['attributes', inode.attributes.join(', ')]);
	}
	if (target !== undefined) lines.push(['target', textFromRaw(target)]);
	if (volume) {
		lines.push(
			['volume', `${volume.type} ${textFromRaw(volume.label)}`.trim()],
			['offset', `${volume.offset}`],
			['bytes', `${volume.size}`],
		);
		if (volume.uuid) lines.push(['uuid', volume.uuid]);
	}
	for (const { name, value } of xattrs) lines.push([`xattr ${textFromRaw(name)}`, xattrText(value)]);
	if (entry.problem) lines.push(['problem', `${entry.problem.code}: ${entry.problem.message}`]);
	const width = Math.max(...lines.map(([key]) => key.length));
	return lines.map(([key, value]) => `${key.padEnd(width)}  ${value}\n`).join('');
}

/** `rwxr-sr-t`, as ls writes it. */
export function modeLetters(mode: number): string {
	return (
		triple((mode >> 6) & 7, (mode & 0o4000) !== 0, 's') +
		triple((mode >> 3) & 7, (mode & 0o2000) !== 0, 's') +
		triple(mode & 7, (mode & 0o1000) !== 0, 't')
	);
}

function triple(bits: number, special: boolean, letter: string): string {
	const x = (bits & 1) !== 0;
	return `${bits & 4 ? 'r' : '-'}${bits & 2 ? 'w' : '-'}${special ? (x ? letter : letter.toUpperCase()) : x ? 'x' : '-'}`;
}

/** A value that is text stands as text; else as hex. */
function xattrText(value: Uint8Array): string {
	const bytes = Buffer.from(value.subarray(0, MAX_VALUE));
	const more = value.length > MAX_VALUE ? ` … ${value.length} bytes` : '';
	const text = bytes.toString('latin1').replace(/\0$/, '');
	return (/^[\x20-\x7e]+$/.test(text) ? `"${text}"` : `0x${bytes.toString('hex')}`) + more;
}
