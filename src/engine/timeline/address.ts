/**
 * `SOURCE[@SNAPSHOT]`: how a person names a state. An argument that is an existing path is a path; else it is split at
 * the last `@`. A source is a registered id or name, or the path of an image. A snapshot is its exact id, when that is a
 * number; else its exact name or key, when no other snapshot is called so.
 */
import { existsSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { SnapshotRecord } from '../../shared/records.js';
import { EngineError } from '../util/errors.js';
import { rawFromBytes, textFromRaw } from '../util/names.js';
import type { Host } from './home.js';
import { pathSource, type Source } from './source.js';
import { listSources } from './sources.js';

/** What a snapshot can be named by. */
export type NamedSnapshot = Pick<SnapshotRecord, 'key' | 'id' | 'name' | 'tag' | 'time'>;

export interface Address {
	readonly source: Source;
	/** What followed the `@`, still to be resolved; `undefined` when nothing did. */
	readonly snapshot: string | undefined;
}

/** The word for the state that a machine is in. No snapshot may be called so. */
export const CURRENT = 'current';
/** Reserved for layers. */
export const BASE = 'base';

/** @param folder relative paths start here. @throws EngineError `ERR_NOT_FOUND`, `ERR_AMBIGUOUS`. */
export function parseAddress(host: Host, text: string, folder: string): Address {
	const whole = sourceAtPath(host, text, folder);
	if (whole) return { source: whole, snapshot: undefined };
	const at = text.lastIndexOf('@');
	if (at < 0) return { source: findSource(host, text, folder), snapshot: undefined };
	return { source: findSource(host, text.slice(0, at), folder), snapshot: text.slice(at + 1) };
}

/** A source by path, id or name. @throws EngineError `ERR_NOT_FOUND`, `ERR_AMBIGUOUS`. */
export function findSource(host: Host, text: string, folder: string): Source {
	const atPath = sourceAtPath(host, text, folder);
	if (atPath) return atPath;
	const sources = listSources(host);
	const byId = sources.find(source => source.id === text);
	if (byId) return byId;
	const named = sources.filter(source => source.name === text);
	if (named.length === 1) return named[0]!; // OK: one.
	if (named.length > 1) {
		throw new EngineError(
			'ERR_AMBIGUOUS',
			`${text} names ${named.length} machines; use an id: ${named.map(source => source.id).join(', ')}`,
		);
	}
	const known = sources.map(source => source.name).slice(0, 10);
	const hint =
		known.length === 0
			? 'no machine is registered'
			: `registered are ${known.join(', ')}${known.length < sources.length ? ', …' : ''}`;
	throw new EngineError('ERR_NOT_FOUND', `${shown(text)} is neither a file nor a registered machine; ${hint}`);
}

/**
 * The state that `word` names in a timeline: `current`, or a snapshot's key.
 *
 * @throws EngineError `ERR_NOT_FOUND`; `ERR_AMBIGUOUS` with the ids and keys that tell the snapshots apart.
 */
export function resolveState(snapshots: readonly NamedSnapshot[], word: string | undefined): string {
	if (word === undefined || word === CURRENT) return CURRENT;
	if (word === BASE) throw new EngineError('ERR_USAGE', `@${BASE} is a state of layers; a machine has snapshots`);
	// A person may type the escapes of a name, or the name itself.
	const text = textFromRaw(rawFromBytes(Buffer.from(word, 'utf8')));
	const isCalled = ({ name, tag }: NamedSnapshot) => [name, tag].some(each => each === word || each === text);
	// QEMU's ids are numbers, and a number is an id first. Anything else names one snapshot or none: another tool may have
	// given a snapshot the key of another for a name, and a verb that deletes must not be led to it.
	const byNumber = /^\d+$/.test(word) ? snapshots.filter(({ id }) => id === word) : [];
	const found =
		byNumber.length > 0 ? byNumber : snapshots.filter(each => each.id === word || isCalled(each) || each.key === word);
	if (found.length === 1) return found[0]!.key; // OK: one.
	if (found.length > 1) {
		const list = found.slice(0, 8).map(({ id, key, time }) => `id ${id} (key ${key}, ${time.slice(0, 19)}Z)`);
		throw new EngineError(
			'ERR_AMBIGUOUS',
			`${shown(word)} names ${found.length} snapshots; use an id or a key: ${list.join(', ')}`,
		);
	}
	const near = snapshots.slice(0, 8).map(({ name }) => name);
	const hint =
		near.length === 0 ? 'there are none' : `there are ${near.join(', ')}${near.length < snapshots.length ? ', …' : ''}`;
	throw new EngineError('ERR_NOT_FOUND', `no snapshot ${shown(word)}; ${hint}`);
}

function sourceAtPath(host: Host, text: string, folder: string): Source | undefined {
	if (text === '') return undefined;
	const path = resolve(folder, text);
	if (!existsSync(path)) return undefined;
	if (statSync(path).isDirectory()) {
		const twin = listSources(host).find(source => source.name === text);
		const hint = twin ? `; the machine of that name is ${twin.id}` : '';
		throw new EngineError('ERR_IS_A_DIRECTORY', `${shown(text)} is a folder, not a disk image${hint}`, { file: path });
	}
	return pathSource(path);
}

/** For a message: what a person typed may hold anything. */
function shown(text: string): string {
	return textFromRaw(rawFromBytes(Buffer.from(text, 'utf8')));
}
