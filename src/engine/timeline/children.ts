/** Images that have another one as their backing file: changing what they show through destroys them silently. */
import { readdirSync, realpathSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { FileSource } from '../io/file.js';
import { readBytes } from '../io/source.js';
import { MAX_HEADER_BYTES, decodeHeader, matchesQcow2 } from '../image/qcow2/header.js';
import { resolveReference } from '../image/reference.js';
import { EngineError } from '../util/errors.js';
import type { Host } from './home.js';
import { listSources } from './sources.js';

/** A folder with more files is not looked through to its end. */
const MAX_FILES = 10_000;

/**
 * The paths of images that show through to `image`: those in its own folder, and all registered ones. Images elsewhere that
 * nobody registered cannot be known.
 */
export function childrenOf(host: Host, image: string): string[] {
	const real = realpathSync.native(image);
	const folder = dirname(real);
	const candidates = new Set<string>();
	for (const entry of readdirSync(folder, { withFileTypes: true }).slice(0, MAX_FILES)) {
		if (entry.isFile() || entry.isSymbolicLink()) candidates.add(join(folder, entry.name));
	}
	for (const source of listSources(host)) for (const disk of source.disks) candidates.add(disk.path);
	// By file, not by path: hard links and bind mounts give one file several.
	const file = fileAt(real);
	return [...candidates].filter(path => fileAt(path) !== file && backingOf(path) === file).sort();
}

/** Which file the backing file is that a qcow2 names; `undefined` for what has none, or is none. */
function backingOf(path: string): string | undefined {
	try {
		using file = FileSource.open(path);
		// The first bytes decide before the rest is read: most neighbours of an image are none.
		if (!matchesQcow2(readBytes(file, 0, Math.min(8, file.size)))) return undefined;
		const { backingName } = decodeHeader(readBytes(file, 0, Math.min(MAX_HEADER_BYTES, file.size)));
		if (backingName === undefined) return undefined;
		return fileAt(resolveReference(backingName, dirname(file.path), 'backing file').path);
	} catch (error) {
		// Damaged, forbidden, or it names something that is no local file: then it does not name this image in a way that could be known.
		if (EngineError.is(error)) return undefined;
		throw error;
	}
}

/** Names a file whatever it is called; `undefined` where there is none. */
function fileAt(path: string): string | undefined {
	try {
		const { dev, ino } = statSync(path, { bigint: true });
		return `${dev}:${ino}`;
	} catch {
		return undefined; // It leads nowhere.
	}
}
