/**
 * Opens an image with everything it is made of, and decides which files may be opened at all.
 *
 * The format of the image is given, or probed once when a source is added. Of a backing file it is never probed: a
 * guest that was given a raw disk could write a qcow2 header into it that names any file of the host.
 */
import { dirname, isAbsolute, relative, resolve, sep } from 'node:path';
import { LOCAL_FILES, type HostFile, type HostFiles } from '../io/host-files.js';
import { EngineError } from '../util/errors.js';
import { textFromRaw, type RawName } from '../util/names.js';
import { checkReadable } from './detect.js';
import type { DiskImage } from './image.js';
import { detect } from './probe.js';
import { Qcow2Image } from './qcow2/image.js';
import { RawImage } from './raw.js';
import { resolveReference, type FileReference } from './reference.js';

/** More than anybody chains, and few enough for the descriptors of a process. */
const MAX_CHAIN = 200;

export interface OpenImageOptions {
	/** Known from when the source was added; then nothing is probed. */
	readonly format?: string | undefined;
	/** Backing and data files may lie outside the folder of the image. */
	readonly allowOutside?: boolean | undefined;
	/**
	 * Formats of backing files whose overlay does not record it: by absolute path, or by the name as the overlay has
	 * it, to 'raw' or 'qcow2'.
	 */
	readonly backingFormats?: Readonly<Record<string, string>> | undefined;
	/** Where files come from. Default: this host. */
	readonly files?: HostFiles | undefined;
}

/**
 * Open a disk image and its chain of backing files, read only. The caller disposes it, which closes all its files.
 *
 * @throws EngineError `ERR_NOT_FOUND`, `ERR_IO`, `ERR_CORRUPT`, `ERR_UNSUPPORTED`, `ERR_ENCRYPTED`, `ERR_LIMIT`;
 * `ERR_REFUSED` when a file of the chain may not be opened or its format is not recorded: the message names it and says
 * how to allow it.
 */
export function openImage(path: string, options: OpenImageOptions = {}): DiskImage {
	return new Opener(options).open(resolve(path));
}

/** The qcow2 behind an opened image, for what only qcow2 has; `undefined` for other formats. */
export function asQcow2(image: DiskImage): Qcow2Image | undefined {
	return image instanceof Qcow2Image ? image : undefined;
}

/** One call of `openImage()`: the rules, and the files met so far. */
class Opener {
	readonly #files: HostFiles;
	/** Real paths from the top down. */
	readonly #chain: string[] = [];
	#folder = '';

	constructor(private readonly options: OpenImageOptions) {
		this.#files = options.files ?? LOCAL_FILES;
	}

	open(path: string): DiskImage {
		const real = this.#files.realPath(path);
		this.#folder = dirname(real);
		this.#chain.push(real);
		return this.#openAs(this.#files.open(path), this.options.format, dirname(path));
	}

	/**
	 * Takes ownership of `file`. References are relative to `folder`, that of the name it was called by: a symbolic link
	 * to an image brings its backing files along only if they are linked too. So it is in QEMU.
	 */
	#openAs(file: HostFile, givenFormat: string | undefined, folder: string): DiskImage {
		let format: string;
		try {
			format = givenFormat ?? detect(file);
			checkReadable(format, file.path);
		} catch (error) {
			file[Symbol.dispose]();
			throw error;
		}
		if (format === 'raw') return new RawImage(file);
		return Qcow2Image.open(file, {
			openBacking: (reference, recorded) => this.#openBacking(file.path, folder, reference, recorded),
			openData: reference => {
				const found = resolveReference(reference, folder, 'data file');
				if (found.format === 'qcow2') refuse(file.path, found, 'a data file is raw');
				return this.#openFile(file.path, found, 'data file');
			},
		});
	}

	#openBacking(overlay: string, folder: string, raw: RawName, recorded: RawName | undefined): DiskImage {
		const reference = resolveReference(raw, folder, 'backing file');
		const { backingFormats = {} } = this.options;
		const format =
			reference.format ??
			(recorded === undefined ? undefined : textFromRaw(recorded)) ??
			ownValue(backingFormats, reference.path) ??
			ownValue(backingFormats, reference.text);
		if (format === undefined) {
			refuse(
				overlay,
				reference,
				'the image does not record its format. If you know it, say so ("raw" or "qcow2"; option backingFormats), ' +
					'or record it with "qemu-img rebase -u -F FORMAT -b BACKING IMAGE"',
			);
		}
		checkReadable(format, reference.path);
		const file = this.#openFile(overlay, reference, 'backing file');
		return this.#openAs(file, format, dirname(reference.path));
	}

	#openFile(from: string, reference: FileReference, what: string): HostFile {
		const real = this.#realPath(from, reference, what);
		if (this.options.allowOutside !== true && !isInside(this.#folder, real)) {
			throw new EngineError(
				'ERR_REFUSED',
				`${from}: its ${what} ${real} is outside the folder of the image (${this.#folder}); allow it explicitly (option allowOutside)`,
				{ field: what, file: real },
			);
		}
		if (this.#chain.includes(real)) {
			const circle = [...this.#chain.slice(this.#chain.indexOf(real)), real].join(' -> ');
			throw new EngineError('ERR_CORRUPT', `the ${what}s form a circle: ${circle}`, { field: what, file: real });
		}
		if (MAX_CHAIN <= this.#chain.length) {
			throw new EngineError('ERR_LIMIT', `the chain of backing files is longer than ${MAX_CHAIN}`, {
				field: what,
				file: real,
			});
		}
		this.#chain.push(real);
		// The real path, so that what was checked is what is opened.
		return this.#files.open(real);
	}

	#realPath(from: string, reference: FileReference, what: string): string {
		try {
			return this.#files.realPath(reference.path);
		} catch (error) {
			if (!EngineError.is(error, 'ERR_NOT_FOUND')) throw error;
			const details = { field: what, file: reference.path };
			throw new EngineError('ERR_NOT_FOUND', `${from}: its ${what} ${reference.path} is missing`, details, {
				cause: error,
			});
		}
	}
}

function refuse(image: string, reference: FileReference, reason: string): never {
	throw new EngineError('ERR_REFUSED', `${image}: the backing file ${reference.path} is refused: ${reason}`, {
		field: 'backing file',
		actual: reference.text,
		file: reference.path,
	});
}

function isInside(folder: string, path: string): boolean {
	const within = relative(folder, path);
	return within !== '' && within !== '..' && !within.startsWith(`..${sep}`) && !isAbsolute(within);
}

function ownValue(record: Readonly<Record<string, string>>, key: string): string | undefined {
	return Object.hasOwn(record, key) ? record[key] : undefined;
}
