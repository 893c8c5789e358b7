/** Small real machines for tests of the timeline: qcow2 images made by qemu-img and written by qemu-io. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { hostFrom, type Host } from '../../../src/engine/timeline/home.js';
import { pathSource, type Source } from '../../../src/engine/timeline/source.js';
import { qcow2Image } from '../../../src/engine/machine/tools.js';

/** A folder of its own, with a home inside; removed at the end of the block. */
export class Sandbox implements Disposable {
	readonly folder: string;
	readonly host: Host;

	/** In memory where that is possible: a verb costs a dozen fsyncs. */
	constructor(options: Partial<Host> = {}, below = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()) {
		this.folder = realpathSync(mkdtempSync(join(below, 'strata-timeline-')));
		const home = join(this.folder, 'home');
		mkdirSync(home);
		// Not the variable: other tests of this process may have their own.
		this.host = { ...hostFrom({}), libvirtFolders: [], ...options, home };
	}

	path(name: string): string {
		return join(this.folder, name);
	}

	/** An image with `pattern` in its first bytes. */
	image(
		name = 'disk.qcow2',
		options: { readonly size?: string; readonly create?: readonly string[]; readonly pattern?: number } = {},
	): string {
		const path = this.path(name);
		const create = (options.create ?? []).flatMap(option => ['-o', option]);
		// Absolute, but a colon in it would still be read as the end of a protocol's name.
		qemuImg('create', '-q', '-f', 'qcow2', ...create, `file:${path}`, options.size ?? '4M');
		write(path, options.pattern ?? 1, 0, 256 * 1024);
		return path;
	}

	[Symbol.dispose](): void {
		rmSync(this.folder, { recursive: true, force: true });
	}
}

export function machineOf(...paths: readonly string[]): Source {
	return {
		...pathSource(paths[0]!, 'qcow2'),
		name: 'test',
		disks: paths.map(path => ({ path, format: 'qcow2' as const })),
	}; // OK: called with a path.
}

export function qemuImg(...args: readonly string[]): string {
	return execFileSync('qemu-img', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Fill `[offset, offset + length)` of the current state with a byte. */
export function write(image: string, pattern: number, offset: number, length: number): void {
	const result = spawnSync('qemu-io', ['-c', `write -q -P ${pattern} ${offset} ${length}`, qcow2Image(image)], {
		encoding: 'utf8',
	});
	assert.equal(result.status, 0, `qemu-io: ${result.stdout}${result.stderr}`);
}

/** Hash of the disk at a snapshot (by name), or of the current state, as qemu-img reads it. */
export function contentOf(image: string, snapshot?: string, folder = dirname(image)): string {
	const which = snapshot === undefined ? [] : ['-l', `snapshot.name=${snapshot.replaceAll(',', ',,')}`];
	const raw = join(folder, `content.${process.pid}.raw`);
	try {
		// With its backing file, unlike qcow2Image().
		const chain = `json:${JSON.stringify({ driver: 'qcow2', file: { driver: 'file', filename: image } })}`;
		qemuImg('convert', '-O', 'raw', ...which, chain, `file:${raw}`);
		return createHash('sha256').update(readFileSync(raw)).digest('hex').slice(0, 16);
	} finally {
		rmSync(raw, { force: true });
	}
}

/** Id and name of each snapshot, as qemu-img lists them. */
export function listed(image: string): { id: string; name: string }[] {
	const info = JSON.parse(qemuImg('info', '--output=json', qcow2Image(image))) as {
		snapshots?: { id: string; name: string }[];
	};
	return (info.snapshots ?? []).map(({ id, name }) => ({ id, name }));
}

/** @throws when qemu-img finds anything at all; or, with `leaks`, anything that could harm data. */
export function assertClean(image: string, message = '', options: { readonly leaks?: boolean } = {}): void {
	const result = spawnSync('qemu-img', ['check', qcow2Image(image)], { encoding: 'utf8' });
	const allowed = options.leaks === true ? [0, 3] : [0];
	assert.ok(allowed.includes(result.status ?? -1), `${message} qemu-img check: ${result.stdout}${result.stderr}`);
}
