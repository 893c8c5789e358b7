/**
 * What format a file has, by its first bytes. Guests can write any bytes into a raw disk, so this is asked once, when
 * a source is added; from then on the format is given.
 *
 * Supported: qcow2; everything that has no signature is raw.
 * Recognised and not read: qcow (version 1), VMDK, VDI, VHD, VHDX, QED, Parallels, LUKS.
 *
 * Sources: QEMU's probe functions in block/*.c; the formats' own specifications. Oracle in the tests: qemu-img create.
 */
import { EngineError } from '../util/errors.js';
import type { ImageFormat } from './image.js';
import { matchesQcow2 } from './qcow2/header.js';

export type UnreadFormat = 'qcow' | 'vmdk' | 'vdi' | 'vpc' | 'vhdx' | 'qed' | 'parallels' | 'luks';

/** Bytes of the head that `detectFormat()` looks at, and of the tail. */
export const DETECT_HEAD_BYTES = 512;
export const DETECT_TAIL_BYTES = 512;

/** QEMU's name of a format, and what people call it. */
const UNREAD: Readonly<Record<UnreadFormat, string>> = {
	qcow: 'qcow (version 1)',
	vmdk: 'VMDK',
	vdi: 'VDI',
	vpc: 'VHD',
	vhdx: 'VHDX',
	qed: 'QED',
	parallels: 'Parallels',
	luks: 'LUKS',
};

const SIGNATURES: readonly (readonly [UnreadFormat, number, string])[] = [
	['qcow', 0, 'QFI\xfb\0\0\0\x01'],
	['vmdk', 0, 'KDMV'],
	['vmdk', 0, 'COWD'],
	['vmdk', 0, '# Disk DescriptorFile'],
	['vdi', 64, '\x7f\x10\xda\xbe'],
	['vpc', 0, 'conectix'],
	['vhdx', 0, 'vhdxfile'],
	['qed', 0, 'QED\0'],
	['parallels', 0, 'WithoutFreeSpace'],
	['parallels', 0, 'WithouFreSpacExt'],
	['luks', 0, 'LUKS\xba\xbe'],
];

/**
 * @param head The first `DETECT_HEAD_BYTES` of the file, or all there are.
 * @param tail The last `DETECT_TAIL_BYTES`, where a VHD of fixed size has its signature.
 */
export function detectFormat(head: Uint8Array, tail: Uint8Array = new Uint8Array(0)): ImageFormat | UnreadFormat {
	if (matchesQcow2(head)) return 'qcow2';
	for (const [format, offset, signature] of SIGNATURES) if (hasAt(head, offset, signature)) return format;
	return hasAt(tail, 0, 'conectix') ? 'vpc' : 'raw';
}

/** @throws EngineError `ERR_UNSUPPORTED` unless the format can be read. The message has a person's name for it. */
export function checkReadable(format: string, path: string): asserts format is ImageFormat {
	if (format === 'raw' || format === 'qcow2') return;
	const name = Object.hasOwn(UNREAD, format) ? UNREAD[format as UnreadFormat] : `"${format}"`; // OK: own key.
	throw new EngineError('ERR_UNSUPPORTED', `${path}: ${name} images cannot be read yet`, {
		format,
		field: 'format',
		actual: format,
		file: path,
	});
}

function hasAt(bytes: Uint8Array, offset: number, signature: string): boolean {
	if (bytes.byteLength < offset + signature.length) return false;
	for (let i = 0; i < signature.length; i++) if (bytes[offset + i] !== signature.charCodeAt(i)) return false;
	return true;
}
