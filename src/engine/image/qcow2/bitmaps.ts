/**
 * The names of the persistent bitmaps of a qcow2 image, which keep QEMU from reverting to a snapshot.
 *
 * Source: QEMU, docs/interop/qcow2.rst, "Bitmap directory". Oracle: qemu-img bitmap, qemu-img info.
 */
import { readBytes, type ByteSource } from '../../io/source.js';
import { corrupt } from '../../util/errors.js';
import { rawFromBytes, type RawName } from '../../util/names.js';
import { alignUp } from '../../util/numbers.js';
import { Struct, u16be, u32be } from '../../util/struct.js';
import { FORMAT, type BitmapsExtension } from './header.js';

/** QEMU's BME_MAX_* limits: 65,535 bitmaps; 64 MiB of directory. */
const MAX_BITMAPS = 65535;
const MAX_DIRECTORY_BYTES = 64 * 1024 * 1024;

const ENTRY = new Struct('qcow2 bitmap directory entry', 24, {
	flags: u32be(12),
	nameSize: u16be(18), // name_size
	extraSize: u32be(20), // extra_data_size
});

/** @throws EngineError `ERR_CORRUPT`. */
export function readBitmapNames(file: ByteSource, bitmaps: BitmapsExtension | undefined): readonly RawName[] {
	if (!bitmaps) return [];
	const { count, directoryOffset, directorySize } = bitmaps;
	if (MAX_BITMAPS < count) corrupt(FORMAT, 'nb_bitmaps', directoryOffset, `at most ${MAX_BITMAPS}`, count);
	if (MAX_DIRECTORY_BYTES < directorySize || file.size < directoryOffset + directorySize) {
		corrupt(FORMAT, 'bitmap_directory_size', directoryOffset, `a directory inside ${file.size} bytes`, directorySize);
	}
	const directory = readBytes(file, directoryOffset, directorySize);
	const names: RawName[] = [];
	let at = 0;
	for (let index = 0; index < count; index++) {
		const { nameSize, extraSize } = ENTRY.decode(directory, at);
		const end = at + ENTRY.size + extraSize + nameSize;
		if (directorySize < end)
			corrupt(FORMAT, 'name_size', directoryOffset + at, `an entry inside ${directorySize} bytes`, end);
		names.push(rawFromBytes(directory.subarray(end - nameSize, end)));
		at = alignUp(end, 8);
	}
	return names;
}
