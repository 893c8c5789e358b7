/**
 * What an image writes about another file: its backing file or its external data file.
 *
 * Supported: paths, absolute or relative to the folder of the image; `file:` before a path; `json:` with the drivers
 * file, qcow2 and raw, nested or with dotted keys.
 * Refused by name: network protocols, host devices, other drivers, options that would change what is read.
 *
 * Source: QEMU, docs/interop/qcow2.rst, qapi/block-core.json, and `bdrv_get_full_backing_filename` for the rules.
 */
import { isAbsolute, resolve } from 'node:path';
import { EngineError } from '../util/errors.js';
import { bytesFromRaw, textFromRaw, type RawName } from '../util/names.js';

export interface FileReference {
	readonly path: string;
	/** When the reference itself says. */
	readonly format: string | undefined;
	/** As the image has it, escaped: for messages. */
	readonly text: string;
}

/** What stands before a colon and is no part of a file's name. A file called `a:b.qcow2` is a file. */
const PROTOCOLS = new Set(
	(
		'nbd nbd+tcp nbd+unix nbds http https ftp ftps ssh rbd iscsi iser nfs gluster gluster+tcp gluster+unix gluster+rdma ' +
		'sheepdog sheepdog+tcp sheepdog+unix vxhs fat vvfat host_device host_cdrom host_floppy nvme null-co null-aio ' +
		'blkdebug blkverify blkreplay blklogwrites quorum throttle fuse curl vhdx dmg'
	).split(' '),
);

/** Options of QEMU that do not change what is read. */
const HARMLESS_OPTIONS =
	/^(?:file\.)?(?:node-name|read-only|auto-read-only|force-share|discard|detect-zeroes|locking|aio|aio-max-batch|cache\.[a-z-]+|cache-size|l2-cache-size|l2-cache-entry-size|refcount-cache-size|cache-clean-interval|lazy-refcounts|overlap-check|pass-discard-[a-z]+|discard-no-unref|check-cache-dropped|drop-cache)$/;

/**
 * Where a reference leads. Nothing is opened.
 *
 * @param folder Of the image that holds the reference.
 * @param what 'backing file' or 'data file', for messages.
 * @throws EngineError `ERR_REFUSED` for what is no local file, `ERR_UNSUPPORTED`, `ERR_CORRUPT`.
 */
export function resolveReference(raw: RawName, folder: string, what: string): FileReference {
	const text = textFromRaw(raw);
	const name = Buffer.from(bytesFromRaw(raw)).toString('utf8');
	if (name === '' || name.includes('\0')) {
		throw new EngineError('ERR_CORRUPT', `the name of the ${what} is ${name === '' ? 'empty' : `"${text}"`}`, {
			field: what,
			actual: text,
		});
	}
	// A name is shown, logged and typed: one with control characters or bytes that are not UTF-8 cannot be.
	if (text.replaceAll('\\x5c', '\\') !== name) {
		throw new EngineError('ERR_UNSUPPORTED', `the name of the ${what}, "${text}", has unprintable characters`, {
			field: what,
			actual: text,
		});
	}
	if (name.startsWith('json:')) return { ...fromJson(name.slice('json:'.length), folder, what), text };
	const protocol = /^([a-z][a-z0-9+_-]*):/i.exec(name)?.[1]?.toLowerCase();
	if (protocol !== undefined && PROTOCOLS.has(protocol)) refuse(what, text, `"${protocol}:" is no local file`);
	const path = protocol === 'file' ? withoutFileScheme(name) : name;
	return { path: absolute(folder, path), format: undefined, text };
}

function withoutFileScheme(name: string): string {
	const path = name.slice('file:'.length);
	return path.startsWith('///') ? path.slice(2) : path;
}

function fromJson(json: string, folder: string, what: string): Pick<FileReference, 'path' | 'format'> {
	let value: unknown;
	try {
		value = JSON.parse(json);
	} catch (cause) {
		throw new EngineError('ERR_CORRUPT', `the json: of the ${what} cannot be parsed`, { field: what }, { cause });
	}
	const options = new Map<string, unknown>();
	flatten(value, '', options, what);
	const driver = options.get('driver');
	const isFile = driver === 'file';
	const fileDriver = isFile ? driver : (options.get('file.driver') ?? 'file');
	for (const name of [driver ?? 'qcow2', fileDriver]) {
		if (name === 'file' || ((name === 'qcow2' || name === 'raw') && name !== fileDriver)) continue;
		refuse(what, json, `driver ${JSON.stringify(name)} is not allowed, only qcow2 and raw on a local file`);
	}
	const filenameKey = isFile ? 'filename' : 'file.filename';
	const filename = options.get(filenameKey);
	if (typeof filename !== 'string' || filename === '' || filename.includes('\0')) {
		refuse(what, json, `it names no file ("${filenameKey}")`);
	}
	for (const key of options.keys()) {
		if (key === 'driver' || key === filenameKey || (key === 'file.driver' && !isFile)) continue;
		if (!HARMLESS_OPTIONS.test(key)) refuse(what, json, `option "${key}" is not understood`);
	}
	return { path: absolute(folder, filename), format: isFile ? undefined : (driver as string | undefined) }; // OK: checked above.
}

function flatten(value: unknown, prefix: string, into: Map<string, unknown>, what: string, depth = 0): void {
	if (typeof value !== 'object' || value === null || Array.isArray(value) || 8 < depth) {
		throw new EngineError('ERR_CORRUPT', `the json: of the ${what} is no object of options`, { field: what });
	}
	for (const [key, item] of Object.entries(value)) {
		if (typeof item === 'object') flatten(item, `${prefix}${key}.`, into, what, depth + 1);
		else into.set(prefix + key, item);
	}
}

function absolute(folder: string, path: string): string {
	return isAbsolute(path) ? path : resolve(folder, path);
}

function refuse(what: string, text: string, reason: string): never {
	throw new EngineError('ERR_REFUSED', `the ${what} ${text} is refused: ${reason}`, { field: what, actual: text });
}
