/**
 * The list of registered machines: `sources.json` in Strata's home. Written by rename under a lock, so that several
 * windows and command lines may work at once; read without one.
 */
import {
	closeSync,
	existsSync,
	fsyncSync,
	openSync,
	readFileSync,
	renameSync,
	rmSync,
	statSync,
	writeSync,
} from 'node:fs';
import { basename, extname, isAbsolute, join } from 'node:path';
import * as v from 'valibot';
import type { DiskSpec, MachineConnection } from '../../shared/engine-api.js';
import { ioError } from '../io/file.js';
import type { DiskImage } from '../image/image.js';
import { checkAddress } from '../machine/running/socket.js';
import { EngineError } from '../util/errors.js';
import { listVolumes } from '../volume/list-volumes.js';
import { fingerprintOf, isSameImage, type Fingerprint } from './fingerprint.js';
import { makeHome, type Host } from './home.js';
import { syncFolder } from './journal.js';
import { newSourceId, newToken } from './key.js';
import { Lock } from './lock.js';
import { realImage, type Source } from './source.js';

const VERSION = 1;
const MAX_SOURCES = 10_000;
const MAX_NAME = 100;
const LOCK_ATTEMPTS = 200;
const LOCK_PAUSE_MS = 25;

const FINGERPRINT = v.object({ fixed: v.string(), size: v.number(), disk: v.string(), keys: v.array(v.string()) });
const SOURCE = v.looseObject({
	id: v.string(),
	name: v.string(),
	kind: v.literal('machine'),
	disks: v.pipe(
		v.array(v.object({ path: v.string(), format: v.picklist(['raw', 'qcow2']), fingerprint: FINGERPRINT })),
		v.minLength(1),
	),
	example: v.optional(v.boolean(), false),
	allowOutside: v.optional(v.boolean(), false),
	/** As `MachineConnection`. What a newer Strata added stays. */
	connection: v.optional(v.looseObject({})),
});
const FILE = v.looseObject({ version: v.number(), sources: v.array(v.unknown()) });

type StoredSource = v.InferOutput<typeof SOURCE>;

/** How an image is opened: by the caller, who knows all formats and the rules about outside files. */
export type OpenDisk = (spec: DiskSpec, allowOutside: boolean) => DiskImage;

export interface NewSource {
	readonly disks: readonly DiskSpec[];
	readonly name?: string;
	readonly allowOutside?: boolean;
	readonly example?: boolean;
	readonly connection?: MachineConnection;
}

/** In the order in which they were added. */
export function listSources(host: Host): Source[] {
	return readStored(host).sources.map(toSource);
}

/** By id. @throws EngineError `ERR_NOT_FOUND`. */
export function sourceById(host: Host, id: string): Source {
	const found = listSources(host).find(source => source.id === id);
	if (found) return found;
	throw new EngineError('ERR_NOT_FOUND', `no machine ${id} is registered`);
}

/**
 * Register a machine. Its images are opened, to fix their formats and take their fingerprints; nothing is written to them.
 *
 * @throws EngineError `ERR_EXISTS` when the name or the first disk is registered already; `ERR_USAGE`; what opening throws.
 */
export function addSource(host: Host, options: NewSource, open: OpenDisk): Source {
	if (options.disks.length === 0) throw new EngineError('ERR_USAGE', 'a machine needs a disk image');
	const allowOutside = options.allowOutside ?? false;
	const disks = describeDisks(options.disks, allowOutside, open);
	const connection = options.connection === undefined ? {} : { connection: checkConnection(options.connection) };
	return change(host, sources => {
		const twin = sources.find(source => source.disks.some(disk => isSameFile(disk.path, disks[0]!.path))); // OK: not empty.
		if (twin) {
			throw new EngineError('ERR_EXISTS', `${disks[0]!.path} is registered already, as ${twin.name}`, {
				file: disks[0]!.path,
			});
		}
		if (MAX_SOURCES <= sources.length) throw new EngineError('ERR_LIMIT', `more than ${MAX_SOURCES} machines`);
		const name = options.name === undefined ? freeName(sources, disks[0]!.path) : checkName(sources, options.name);
		let id = newSourceId();
		while (sources.some(source => source.id === id || source.name === id)) id = newSourceId();
		const example = options.example ?? false;
		const added: StoredSource = { id, name, kind: 'machine', disks, example, allowOutside, ...connection };
		return { sources: [...sources, added], result: toSource(added) };
	});
}

/** Forget a machine. Its images and its journal stay. */
export function removeSource(host: Host, id: string): void {
	change(host, sources => {
		const rest = sources.filter(source => source.id !== id);
		if (rest.length === sources.length) throw new EngineError('ERR_NOT_FOUND', `no machine ${id} is registered`);
		return { sources: rest, result: undefined };
	});
}

/**
 * The images lie elsewhere now. Id and name stay, and with the id everything that refers to the machine.
 *
 * @throws EngineError `ERR_REFUSED` when an image there is another one than was registered.
 */
export function relocateSource(host: Host, id: string, specs: readonly DiskSpec[], open: OpenDisk): Source {
	const known = sourceById(host, id);
	if (specs.length !== known.disks.length) {
		throw new EngineError('ERR_USAGE', `${known.name} has ${known.disks.length} disks, and ${specs.length} were given`);
	}
	const withFormats = specs.map((spec, index) => ({ format: known.disks[index]!.format!, ...spec })); // OK: equally many; a registered disk has a format.
	const disks = describeDisks(withFormats, known.allowOutside, open);
	for (const [index, disk] of disks.entries()) {
		if (isSameImage(known.fingerprints[index]!, disk.fingerprint)) continue; // OK: equally many.
		const message = `${disk.path} is another image than the one that was registered as ${known.name}; add it as a machine of its own instead`;
		throw new EngineError('ERR_REFUSED', message, { file: disk.path });
	}
	return change(host, sources => {
		const moved = sources.map(source => (source.id === id ? { ...source, disks } : source));
		return { sources: moved, result: toSource(moved.find(source => source.id === id)!) }; // OK: it was found above, and ids stay; else toSource fails loudly.
	});
}

/** Give a machine another name. */
export function renameSource(host: Host, id: string, name: string): Source {
	return change(host, sources => {
		const others = sources.filter(source => source.id !== id);
		const renamed = sources.map(source => (source.id === id ? { ...source, name: checkName(others, name) } : source));
		const result = renamed.find(source => source.id === id);
		if (!result) throw new EngineError('ERR_NOT_FOUND', `no machine ${id} is registered`);
		return { sources: renamed, result: toSource(result) };
	});
}

/**
 * Say how a machine is reached while it runs, in place of what was said before; `null` forgets it. Nobody is asked whether
 * it is there: it may not run now.
 *
 * @throws EngineError `ERR_USAGE` for what cannot be reached that way.
 */
export function setConnection(host: Host, id: string, connection: MachineConnection | null): Source {
	const checked = connection === null ? undefined : checkConnection(connection);
	return change(host, sources => {
		const changed = sources.map(source => {
			if (source.id !== id) return source;
			const { connection: _before, ...rest } = source;
			return checked === undefined ? rest : { ...rest, connection: checked };
		});
		const result = changed.find(source => source.id === id);
		if (!result) throw new EngineError('ERR_NOT_FOUND', `no machine ${id} is registered`);
		return { sources: changed, result: toSource(result) };
	});
}

/** Differs when the list does. */
export function sourcesStamp(host: Host): string {
	const stat = statSync(filePath(host), { bigint: true, throwIfNoEntry: false });
	return stat === undefined ? '' : `${stat.ino}.${stat.size}.${stat.mtimeNs}`;
}

function toSource(stored: StoredSource): Source {
	const { id, name, disks, example, allowOutside } = stored;
	const connection = connectionOf(stored.connection);
	return {
		id,
		name,
		disks: disks.map(({ path, format }) => ({ path, format })),
		registered: true,
		example,
		allowOutside,
		...(connection === undefined ? {} : { connection }),
		fingerprints: disks.map(disk => disk.fingerprint),
	};
}

/** @throws EngineError `ERR_USAGE` for what cannot be reached that way. */
function checkConnection(connection: MachineConnection): Record<string, unknown> {
	const { qmp, agent, libvirt, command } = connection;
	// A person names them here, and may name a TCP port.
	for (const address of [qmp, agent]) if (address !== undefined) checkAddress(address, { allowTcp: true });
	for (const text of [libvirt, command]) {
		if (text === undefined || (text.trim() !== '' && !/[\0\n]/.test(text))) continue;
		throw new EngineError('ERR_USAGE', `${JSON.stringify(text)} is no name of a libvirt domain, and no command`);
	}
	return { ...connection };
}

function connectionOf(stored: StoredSource['connection']): MachineConnection | undefined {
	const known = ['qmp', 'agent', 'libvirt', 'command'] as const;
	const texts = known.flatMap(name => {
		const value = (stored as Readonly<Record<string, unknown>> | undefined)?.[name];
		return typeof value === 'string' ? [[name, value] as const] : [];
	});
	return texts.length === 0 ? undefined : Object.fromEntries(texts);
}

function describeDisks(specs: readonly DiskSpec[], allowOutside: boolean, open: OpenDisk): StoredSource['disks'] {
	const seen = new Set<string>();
	return specs.map(spec => {
		if (!isAbsolute(spec.path))
			throw new EngineError('ERR_USAGE', `${spec.path} is not an absolute path`, { file: spec.path });
		const real = realImage(spec.path);
		if (seen.has(real)) throw new EngineError('ERR_USAGE', `${spec.path} is named twice`, { file: spec.path });
		seen.add(real);
		using image = open(spec, allowOutside);
		if (spec.format === undefined) requireDisk(image);
		const { fixed, size, disk, keys }: Fingerprint = fingerprintOf(image);
		return { path: spec.path, format: image.format, fingerprint: { fixed, size, disk, keys: [...keys] } };
	});
}

/** Any file is a raw disk of sorts: without a format given, it must look like one. @throws EngineError `ERR_UNSUPPORTED`. */
function requireDisk(image: DiskImage): void {
	if (image.format !== 'raw' || listVolumes(image.current()).volumes.length > 0) return;
	const message = `${image.path} does not look like a disk image: no format, partition table or filesystem is recognised. If it is a raw disk, say so with --format raw`;
	throw new EngineError('ERR_UNSUPPORTED', message, { file: image.path });
}

function freeName(sources: readonly StoredSource[], path: string): string {
	const file = basename(path);
	const plain = file.slice(0, file.length - extname(file).length) || file;
	const stem = plain.replace(/[@/\p{Cc}\p{Cf}]/gu, '-').slice(0, MAX_NAME - 10) || 'machine';
	const taken = (name: string) => sources.some(source => source.name === name || source.id === name);
	let name = stem;
	for (let number = 2; taken(name); number++) name = `${stem}-${number}`;
	return name;
}

function checkName(others: readonly StoredSource[], name: string): string {
	if (name.trim() !== name || name === '' || MAX_NAME < name.length || /[@/\p{Cc}\p{Cf}]/u.test(name)) {
		const rule = `1 to ${MAX_NAME} characters, without @, /, control characters and spaces at the ends`;
		throw new EngineError('ERR_USAGE', `${JSON.stringify(name)} cannot name a machine: ${rule}`);
	}
	if (others.some(source => source.name === name || source.id === name)) {
		throw new EngineError('ERR_EXISTS', `a machine is called ${name} already`);
	}
	return name;
}

function isSameFile(a: string, b: string): boolean {
	const [x, y] = [a, b].map(path => statSync(path, { bigint: true, throwIfNoEntry: false }));
	return a === b || (x !== undefined && y !== undefined && x.ino === y.ino && x.dev === y.dev && x.ino !== 0n);
}

function filePath(host: Host): string {
	return join(host.home, 'sources.json');
}

/** The known records, and what a newer Strata wrote between them. */
function readStored(host: Host): { version: number; sources: StoredSource[]; unknown: unknown[] } {
	const path = filePath(host);
	let text: string;
	try {
		text = readFileSync(path, 'utf8');
	} catch (cause) {
		if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return { version: VERSION, sources: [], unknown: [] };
		throw ioError(path, cause);
	}
	let file: v.InferOutput<typeof FILE>;
	try {
		file = v.parse(FILE, JSON.parse(text));
	} catch (cause) {
		throw new EngineError(
			'ERR_CORRUPT',
			`${path} is damaged: repair it, or move it away and add the machines again`,
			{ file: path },
			{ cause },
		);
	}
	const sources: StoredSource[] = [];
	const unknown: unknown[] = [];
	for (const value of file.sources) {
		const source = v.safeParse(SOURCE, value);
		if (source.success) sources.push(source.output);
		else unknown.push(value);
	}
	return { version: file.version, sources, unknown };
}

function change<T>(host: Host, edit: (sources: StoredSource[]) => { sources: StoredSource[]; result: T }): T {
	try {
		makeHome(host.home);
	} catch (cause) {
		throw ioError(host.home, cause);
	}
	using _lock = acquireWithPatience(join(host.home, 'sources.lock'));
	const { version, sources, unknown } = readStored(host);
	const path = filePath(host);
	if (VERSION < version) {
		throw new EngineError(
			'ERR_UNSUPPORTED',
			`${path} was written by a newer Strata (version ${version}): update Strata to change the list of machines`,
			{
				file: path,
				field: 'version',
				expected: VERSION,
				actual: version,
			},
		);
	}
	const { sources: edited, result } = edit(sources);
	replaceFile(path, `${JSON.stringify({ version: VERSION, sources: [...edited, ...unknown] }, undefined, '\t')}\n`);
	return result;
}

/** The change itself takes a millisecond, so whoever holds the lock is worth waiting for. */
function acquireWithPatience(path: string): Lock {
	const pause = new Int32Array(new SharedArrayBuffer(4));
	for (let attempt = 1; ; attempt++) {
		try {
			return Lock.acquire(path, { action: 'changing the list of machines', marker: '', journal: '' });
		} catch (error) {
			if (!EngineError.is(error, 'ERR_BUSY') || LOCK_ATTEMPTS <= attempt) throw error;
			Atomics.wait(pause, 0, 0, LOCK_PAUSE_MS);
		}
	}
}

/** Temporary name, fsync, rename, fsync of the folder: there is the old file or the new one, whole. */
function replaceFile(path: string, text: string): void {
	const temporary = `${path}.${newToken()}.new`;
	try {
		const fd = openSync(temporary, 'wx', 0o600);
		try {
			const bytes = Buffer.from(text);
			for (let done = 0; done < bytes.byteLength;) done += writeSync(fd, bytes, done);
			fsyncSync(fd);
		} finally {
			closeSync(fd);
		}
		renameSync(temporary, path);
		syncFolder(join(path, '..'));
	} catch (cause) {
		if (existsSync(temporary)) rmSync(temporary, { force: true });
		throw ioError(path, cause);
	}
}
