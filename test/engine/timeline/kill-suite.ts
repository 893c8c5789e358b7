/**
 * QEMU's programs are killed at each of their writes to the image, before it and half-way through it, in every verb and on every
 * kind of image. After settling: `qemu-img check` finds nothing, every snapshot holds what it held, the current state is the old
 * one or the new one; and then, with the whole current state overwritten, every snapshot still does.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { suite, test } from 'node:test';
import { openImage } from '../../../src/engine/image/open-image.js';
import type { DiskView } from '../../../src/engine/image/image.js';
import { readTimeline } from '../../../src/engine/timeline/snapshots.js';
import type { Source } from '../../../src/engine/timeline/source.js';
import { deleteSnapshot, rollBack, settle, takeSnapshot, undo } from '../../../src/engine/timeline/verbs.js';
import { textFromRaw } from '../../../src/engine/util/names.js';
import { Killer } from './kill-fixture.js';
import { Sandbox, assertClean, machineOf, write } from './machine-fixture.js';

const SIZE = 1024 * 1024;
/** Kill points of one verb on one kind of image, spread evenly over its writes. */
const MAX_POINTS = Number(process.env['STRATA_KILL_POINTS'] ?? 25);

type Verb = (box: Sandbox, source: Source, keys: Keys) => Promise<unknown>;
interface Keys {
	readonly first: string;
	readonly second: string;
}

const VERBS: Readonly<Record<string, Verb>> = {
	take: (box, source) => takeSnapshot(box.host, source, { label: 'third' }),
	rollback: (box, source, { first }) => rollBack(box.host, source, first),
	delete: (box, source, { first }) => deleteSnapshot(box.host, source, first),
	undo: (box, source) => undo(box.host, source),
};

/** @param kinds Options of `qemu-img create` for each kind of image. */
export function killSuite(kinds: Readonly<Record<string, readonly string[]>>): void {
	suite('kill QEMU at its writes', () => {
		for (const [kind, create] of Object.entries(kinds)) {
			test(kind, () => killInAllVerbs(create));
		}
	});
}

async function killInAllVerbs(create: readonly string[]): Promise<void> {
	using box = new Sandbox();
	const killer = new Killer(box.folder);
	const { source, keys } = await prepare(box, create);
	for (const [name, verb] of Object.entries(VERBS)) await killEverywhere(box, killer, source, keys, name, verb);
}

/** A machine with two snapshots on one line, a rollback that can be undone, and changes in the current state. */
async function prepare(box: Sandbox, create: readonly string[]): Promise<{ source: Source; keys: Keys }> {
	mkdirSync(box.path('work'));
	const path = box.image('work/disk.qcow2', { size: String(SIZE), create });
	const source = machineOf(path);
	const first = await takeSnapshot(box.host, source, { label: 'first' });
	write(path, 2, 65536, 131072);
	const second = await takeSnapshot(box.host, source, { label: 'second' });
	write(path, 3, 131072, 262144);
	// Leaves a safety snapshot, and the current state on a branch.
	await rollBack(box.host, source, second.key);
	write(path, 4, 0, 65536);
	write(path, 5, 524288, 65536);
	cpSync(box.path('work'), box.path('saved'), { recursive: true });
	return { source, keys: { first: first.key, second: second.key } };
}

async function killEverywhere(
	box: Sandbox,
	killer: Killer,
	source: Source,
	keys: Keys,
	name: string,
	verb: Verb,
): Promise<void> {
	const path = source.disks[0]!.path;
	const before = contents(path);
	await killer.during({ file: path, at: 0 }, () => verb(box, source, keys));
	const { writes } = killer;
	const after = contents(path);
	assert.ok(writes > 3, `${name} makes ${writes} writes`);
	const count = Math.min(writes, MAX_POINTS);
	for (let point = 0; point < count; point++) {
		const at = 1 + Math.floor((point * writes) / count);
		for (const half of [false, true]) {
			const what = `${name}, killed ${half ? 'half-way through' : 'before'} write ${at} of ${writes}`;
			rmSync(box.path('work'), { recursive: true });
			cpSync(box.path('saved'), box.path('work'), { recursive: true });
			// Every other time what Strata does at once to mend it is killed as well, as if Strata had died too.
			const again = (point + (half ? 1 : 0)) % 2 === 1;
			await assert.rejects(
				killer.during({ file: path, at, half, after: again }, () => verb(box, source, keys)),
				what,
			);
			assertSettled(box, await settleAfter(box, source, what), source, before, after);
		}
	}
	rmSync(box.path('work'), { recursive: true });
	cpSync(box.path('saved'), box.path('work'), { recursive: true });
}

async function settleAfter(box: Sandbox, source: Source, what: string): Promise<string> {
	try {
		const { done } = await settle(box.host, source);
		return `${what} (${done.join(' ')})`;
	} catch (error) {
		throw new Error(`${what}: settling failed: ${error instanceof Error ? error.message : String(error)}`, {
			cause: error,
		});
	}
}

function assertSettled(box: Sandbox, what: string, source: Source, before: Contents, after: Contents): void {
	const path = source.disks[0]!.path;
	assertClean(path, what);
	const now = contents(path);
	const timeline = readTimeline(box.host, source);
	assert.equal(timeline.source.status, 'ready', `${what}: ${timeline.source.statusText}`);
	const names = (each: Contents) => [...each.snapshots.keys()].map(plainName).sort().join();
	assert.ok([names(before), names(after)].includes(names(now)), `${what}: snapshots are ${names(now)}`);
	assert.ok([before.current, after.current].includes(now.current), `${what}: the current state is neither old nor new`);
	// Both at once: a state that is new with the snapshots of the old one would have lost what was there.
	if (now.current !== before.current) assert.equal(names(now), names(after), what);
	const made = [...after.snapshots].filter(([name]) => !before.snapshots.has(name)).map(([, hash]) => hash);
	for (const [name, hash] of now.snapshots) {
		// What the verb makes has another name each time: it carries the time of day.
		assert.equal(hash, before.snapshots.get(name) ?? made[0], `${what}: "${name}" changed`);
	}
	write(path, 0xee, 0, SIZE);
	assert.deepEqual(
		contents(path).snapshots,
		now.snapshots,
		`${what}: a snapshot changed when the current state was overwritten`,
	);
	// QEMU itself may lose a cluster when it writes behind a file end that a kill left inside one: no harm to data.
	assertClean(path, what, { leaks: true });
}

interface Contents {
	readonly current: string;
	readonly snapshots: ReadonlyMap<string, string>;
}

function contents(path: string): Contents {
	using image = openImage(path, { format: 'qcow2' });
	const hash = (view: DiskView) => {
		const bytes = new Uint8Array(view.size);
		view.read(0, bytes);
		return createHash('sha256').update(bytes).digest('hex').slice(0, 16);
	};
	return {
		current: hash(image.current()),
		snapshots: new Map(image.snapshots.map(({ id, rawName }) => [textFromRaw(rawName), hash(image.atSnapshot(id))])),
	};
}

/** Safety snapshots carry the time of day. */
function plainName(name: string): string {
	return name.replace(/ \d\d:\d\d( \(\d+\))?$/, '');
}
