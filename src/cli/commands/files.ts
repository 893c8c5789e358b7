/** `strata ls`, `cat`, `restore`, `history`. */
import { once } from 'node:events';
import { resolve } from 'node:path';
import { EngineError } from '../../engine/util/errors.js';
import { modeLetters } from '../../engine/compare/properties.js';
import { rawFromText, textFromRaw } from '../../engine/util/names.js';
import type { MachineTree, TreeEntry } from '../../engine/tree/file-tree.js';
import { isoTime, linkOf, listRecord } from '../../engine/tree/records.js';
import { walk } from '../../engine/tree/walk.js';
import type { StateRef } from '../../shared/engine-api.js';
import type { Context } from '../context.js';
import { formatAge, formatSize, safe } from '../style.js';

const KIND_LETTERS = {
	file: '-',
	directory: 'd',
	symlink: 'l',
	fifo: 'p',
	socket: 's',
	chardev: 'c',
	blockdev: 'b',
} as const;
const PIECE = 1024 * 1024;

export async function ls(
	context: Context,
	address: string,
	path: string,
	options: { long?: boolean; recursive?: boolean },
): Promise<void> {
	const state = await context.state(address);
	const print = printer(context, options.long === true);
	await sayWhereElse(context, state, address, path, tree => {
		const raw = rawFromText(path);
		const top = tree.stat(raw);
		if (top.kind !== 'directory') return print.entry(tree, top);
		if (options.recursive !== true) {
			for (const entry of tree.list(raw)) print.entry(tree, entry);
			return;
		}
		for (const item of walk(tree, raw)) {
			if ('error' in item) print.problem(textFromRaw(item.path), item.error);
			else print.entry(tree, item.entry);
		}
	});
	print.flush();
}

/** Uses the tree of a state; a path that it lacks is looked for in the other snapshots, and the error says where it is. */
async function sayWhereElse(
	context: Context,
	state: StateRef,
	address: string,
	path: string,
	use: (tree: MachineTree) => void | Promise<void>,
): Promise<void> {
	try {
		await context.engine.withTree(state, use);
	} catch (error) {
		if (!EngineError.is(error, 'ERR_NOT_FOUND')) throw error;
		const where = await context.engine.whereElse(state, path);
		if (where.length === 0) throw error;
		const source = address.includes('@') ? address.slice(0, address.lastIndexOf('@')) : address;
		const list = where.map(name => `${source}@${name}`).join(', ');
		throw new EngineError('ERR_NOT_FOUND', `no ${path} in ${address} (it is in ${list})`, error.details, {
			cause: error,
		});
	}
}

/** Lines are gathered: a write for each of 100,000 entries would cost more than finding them. */
function printer(context: Context, long: boolean) {
	let lines: string[] = [];
	const flush = () => {
		if (lines.length > 0) context.streams.stdout.write(`${lines.join('\n')}\n`);
		lines = [];
	};
	const push = (text: string) => {
		lines.push(text);
		if (lines.length >= 2000) flush();
	};
	return {
		flush,
		entry(tree: MachineTree, entry: TreeEntry): void {
			if (context.json) {
				const record = listRecord(tree, entry);
				if (record.error) context.partial();
				push(JSON.stringify(record));
				return;
			}
			const link = linkOf(tree, entry);
			if (link.error) context.partial();
			push(long ? longLine(entry, link) : textFromRaw(entry.path));
		},
		problem(path: string, error: EngineError): void {
			context.partial();
			if (context.json) push(JSON.stringify({ path, error: error.code }));
			else {
				flush();
				context.remark(`${path}: ${error.code}: ${safe(error.message)}`);
			}
		},
	};
}

/** Straight from the entry, without the record that JSON gets: making 100,000 of those takes as long as reading the inodes. */
function longLine(entry: TreeEntry, { target, error }: ReturnType<typeof linkOf>): string {
	const { inode, volume } = entry;
	const { major, minor } = inode?.device ?? {};
	const size = major === undefined ? `${inode?.size ?? 0}` : `${major}:${minor}`;
	const line = `${ownerColumns(entry)}${size.padStart(10)} ${timeColumn(inode?.mtime.sec ?? 0)} ${textFromRaw(entry.path)}`;
	if (target === undefined && error === undefined && volume === undefined) return line;
	const about = volume
		? `  ${volume.type} ${safe(textFromRaw(volume.label))} ${formatSize(volume.size)}`.trimEnd()
		: '';
	return `${line}${target === undefined ? '' : ` -> ${target}`}${about}${error === undefined ? '' : `  [${error}]`}`;
}

// Most files are like the one before in all but size and name. The columns made last are kept, whole, because it is the
// number of pieces in a line that costs.
let lastOwner = { kind: '', mode: 0, links: 0, uid: 0, gid: 0, text: '' };
let lastTime = { sec: NaN, text: '' };

function ownerColumns({ kind, inode }: TreeEntry): string {
	const { links, uid, gid } = inode ?? { links: 1, uid: 0, gid: 0 };
	const mode = inode?.mode ?? (kind === 'directory' ? 0o755 : 0);
	const last = lastOwner;
	if (last.kind !== kind || last.mode !== mode || last.links !== links || last.uid !== uid || last.gid !== gid) {
		const text = `${KIND_LETTERS[kind]}${modeLetters(mode)} ${padded(links, 3)} ${padded(uid, 5)} ${padded(gid, 5)} `;
		lastOwner = { kind, mode, links, uid, gid, text };
	}
	return lastOwner.text;
}

function timeColumn(sec: number): string {
	if (lastTime.sec !== sec) lastTime = { sec, text: `${isoTime({ sec, nsec: 0 }).slice(0, 19)}Z` };
	return lastTime.text;
}

function padded(value: number, width: number): string {
	return String(value).padStart(width);
}

export async function cat(context: Context, address: string, path: string): Promise<void> {
	const state = await context.state(address);
	const { stdout } = context.streams;
	// Bytes go to a terminal only when they are text: an escape sequence in a file must not drive it.
	const guard = stdout.isTTY === true;
	await sayWhereElse(context, state, address, path, async tree => {
		using file = tree.openFile(rawFromText(path));
		for (let at = 0; at < file.size; at += PIECE) {
			const piece = Buffer.alloc(Math.min(PIECE, file.size - at));
			file.read(at, piece);
			if (guard && at === 0 && piece.includes(0))
				throw new EngineError('ERR_REFUSED', `${path} is not text: send it to a file or a pipe`);
			const bytes = guard
				? Buffer.from(piece.toString('utf8').replace(/[^\n]+/g, text => safe(text.replaceAll('\t', '        '))))
				: piece;
			if (!stdout.write(bytes)) await once(stdout, 'drain');
		}
	});
}

export async function restore(
	context: Context,
	address: string,
	paths: readonly string[],
	options: { to: string; keepOwner?: boolean; keepSetuid?: boolean },
): Promise<void> {
	const state = await context.state(address);
	const call = context.call('Restoring');
	const result = await context.engine
		.restore(
			state,
			paths,
			{
				to: resolve(options.to),
				...(options.keepOwner ? { keepOwner: true } : {}),
				...(options.keepSetuid ? { keepSetuid: true } : {}),
			},
			call,
		)
		.finally(() => call.done());
	if (result.skipped.length > 0) context.partial();
	if (context.json) return context.record(result);
	context.line(
		`${context.style.added('✓')} ${result.files} files, ${result.directories} directories, ${result.links} links  ${formatSize(result.bytes)}  ${safe(resolve(options.to))}`,
	);
	for (const { path, reason } of result.skipped) context.remark(`${path}: ${safe(reason)}`);
}

export async function history(context: Context, address: string, path: string): Promise<void> {
	const source = await context.source(address);
	const call = context.call('Looking through snapshots');
	const list = await context.engine.history(source, path, call).finally(() => call.done());
	if (list.some(version => version.error)) context.partial();
	if (context.json) return list.forEach(version => context.record(version));
	for (const version of list) {
		const what = version.error
			? context.style.warning(`${version.error.code}: ${safe(version.error.message)}`)
			: version.state === 'absent'
				? context.style.muted('not there')
				: `${formatSize(version.size).padStart(10)}  ${version.sha256.slice(0, 12)}`;
		context.line(`${formatAge(version.time, Date.now()).padEnd(12)}  ${what}  ${version.names.map(safe).join(', ')}`);
	}
}
