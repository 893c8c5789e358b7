import { LOCAL_FILES, type HostFile, type HostFiles } from '../io/host-files.js';
import { readBytes } from '../io/source.js';
import { EngineError, type ErrorRecord } from '../util/errors.js';
import { textFromRaw } from '../util/names.js';
import { blame } from './blame.js';
import { DETECT_HEAD_BYTES, DETECT_TAIL_BYTES, detectFormat, type UnreadFormat } from './detect.js';
import type { ImageFormat } from './image.js';
import { MAX_HEADER_BYTES, decodeHeader } from './qcow2/header.js';

/** What can be said of an image without opening its tables or any other file. Names are escaped text. */
export interface ImageProbe {
	readonly format: ImageFormat | UnreadFormat;
	readonly fileSize: number;
	/** Bytes of the disk; `undefined` when the format is not read, or the header is damaged. */
	readonly virtualSize: number | undefined;
	readonly snapshots: number;
	/** As the header has it: `resolveReference()` says where it leads. */
	readonly backing: { readonly name: string; readonly format: string | undefined } | undefined;
	readonly dataFile: string | undefined;
	readonly encrypted: boolean;
	/** Why the image cannot be opened, as far as its header tells. */
	readonly problem: ErrorRecord | undefined;
}

/**
 * Look at the header of a file, to find images among other files. Reads 64 KiB of an image at most, 1 KiB of others.
 *
 * @param format Given, nothing is probed.
 * @throws EngineError `ERR_NOT_FOUND`, `ERR_IO`, `ERR_REFUSED` when the file cannot be read at all.
 */
export function probeImage(path: string, options: { format?: ImageFormat; files?: HostFiles } = {}): ImageProbe {
	using file = (options.files ?? LOCAL_FILES).open(path);
	const format = options.format ?? detect(file);
	const nothing: ImageProbe = {
		format,
		fileSize: file.size,
		virtualSize: undefined,
		snapshots: 0,
		backing: undefined,
		dataFile: undefined,
		encrypted: format === 'luks',
		problem: undefined,
	};
	if (format === 'raw') return { ...nothing, virtualSize: file.size };
	if (format !== 'qcow2') return nothing;
	try {
		const header = decodeHeader(readBytes(file, 0, Math.min(MAX_HEADER_BYTES, file.size)));
		const { backingName, backingFormat, dataFileName } = header;
		return {
			...nothing,
			virtualSize: header.size,
			snapshots: header.snapshotCount,
			backing:
				backingName === undefined
					? undefined
					: {
							name: textFromRaw(backingName),
							format: backingFormat === undefined ? undefined : textFromRaw(backingFormat),
						},
			dataFile: dataFileName === undefined ? undefined : textFromRaw(dataFileName),
			encrypted: header.encryption !== 'none',
		};
	} catch (error) {
		const blamed = blame(error, 'qcow2', path);
		if (EngineError.is(blamed)) return { ...nothing, problem: blamed.toJSON() };
		throw error;
	}
}

/** The format of a file by its content: its first and its last bytes. */
export function detect(file: HostFile): ImageFormat | UnreadFormat {
	const head = readBytes(file, 0, Math.min(DETECT_HEAD_BYTES, file.size));
	const tailLength = Math.min(DETECT_TAIL_BYTES, file.size);
	return detectFormat(head, readBytes(file, file.size - tailLength, tailLength));
}
