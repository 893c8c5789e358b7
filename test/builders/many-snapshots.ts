/**
 * A machine with thousands of snapshots on many branches, written within seconds: tables as QEMU writes them, a small
 * ext4 whose two files differ from snapshot to snapshot, and a journal that knows every parent.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { JOURNAL_VERSION, type NewRecord } from '../../src/engine/timeline/journal.js';
import { Machine } from '../../src/engine/timeline/machine.js';
import { pathSource } from '../../src/engine/timeline/source.js';
import { buildExt4, withTemporary } from './ext4.js';
import { buildQcow2, mulberry, type Cluster, type SnapshotDescription } from './qcow2.js';

/** The smallest there are: 10,000 L1 tables then are 5 MB. */
const CLUSTER_BITS = 9;
/** Different disks; snapshots take turns. */
const VARIANTS = 8;
const WORDS = ['apt install nginx', 'upgrade', 'config', 'clean', 'docker', 'experiment', 'kernel', 'nightly'];

export interface ManySnapshots {
	/** Names, oldest first. */
	readonly names: readonly string[];
	/** Of each snapshot, the index of the one that it grew from. */
	readonly parents: readonly (number | null)[];
}

/** Writes `path` and the journal beside it. The newest snapshot was taken at `end`, the oldest about two years before. */
export function makeManySnapshots(path: string, count: number, end = Date.now() - 60_000): ManySnapshots {
	const random = mulberry(count);
	const variants = diskVariants();
	const parents: (number | null)[] = [];
	const names: string[] = [];
	let position: number | null = null;
	for (let index = 0; index < count; index++) {
		// Now and then somebody goes back: mostly a little, seldom far.
		const draw = random();
		if (position !== null && draw < 0.08) {
			const back = Math.floor(random() * (draw < 0.005 ? index : Math.min(index, 40)));
			position = index - 1 - back;
		}
		parents.push(position);
		names.push(`before-${WORDS[Math.floor(random() * WORDS.length)]!.replaceAll(' ', '-')}-${index}`); // OK: below the length.
		position = index;
	}
	// Busy days, quiet weeks.
	const ages = names.map(() => random() ** 40);
	const scale = (2 * 365 * 86_400) / ages.reduce((sum, age) => sum + age, 0);
	let time = end / 1000 - ages.reduce((sum, age) => sum + age * scale, 0);
	const snapshots = names.map((name, index): SnapshotDescription => {
		time += ages[index]! * scale; // OK: one a name.
		return {
			id: String(index + 1),
			name,
			clusters: variants[index % VARIANTS]!, // OK: below the length.
			dateSec: Math.floor(time),
			...(index % 50 === 7 ? { vmState: new Uint8Array(700) } : {}),
		};
	});
	const image = buildQcow2({
		clusters: variants[(count - 1) % VARIANTS]!, // OK: below the length.
		snapshots,
		clusterBits: CLUSTER_BITS,
	});
	writeFileSync(path, image.bytes);
	writeJournal(path, parents);
	return { names, parents };
}

function writeJournal(path: string, parents: readonly (number | null)[]): void {
	using machine = Machine.open(pathSource(path));
	const keys = machine.moments.map(({ key }) => key);
	const time = new Date(machine.moments.at(-1)!.first.dateSec * 1000).toISOString(); // OK: there are snapshots.
	const records = keys.map((key, index): NewRecord => {
		const parent = parents[index] ?? null;
		return {
			type: 'end',
			action: `made${index}`,
			verb: 'take',
			outcome: 'done',
			made: [
				{
					key,
					parent: parent === null ? null : keys[parent]!, // OK: an earlier index.
					note: index % 20 === 3 ? `note ${index}` : '',
					safety: index % 60 === 11,
					consistency: index % 5 === 0 ? 'crash' : 'offline',
				},
			],
			position: key,
		};
	});
	const journal = join(dirname(path), '.strata', `${basename(path)}.journal`);
	mkdirSync(dirname(journal), { recursive: true });
	writeFileSync(
		journal,
		records.map(record => `${JSON.stringify({ v: JOURNAL_VERSION, time, ...record })}\n`).join(''),
	);
}

/** Disks of one ext4, which share the clusters that are equal. */
function diskVariants(): Cluster[][] {
	const known = new Map<string, Cluster>();
	return Array.from({ length: VARIANTS }, (_, variant) => {
		const disk = withTemporary(root => {
			mkdirSync(join(root, 'etc'));
			writeFileSync(join(root, 'etc', 'hosts'), `127.0.0.1 localhost\n10.0.0.${variant} box\n`);
			writeFileSync(join(root, 'state'), `state ${variant}\n`);
			return buildExt4({ size: '512K', mke2fs: ['-t', 'ext4', '-b', '1024', '-O', '^has_journal'], from: root });
		});
		const clusters: Cluster[] = [];
		for (let at = 0; at < disk.length; at += 2 ** CLUSTER_BITS) {
			const bytes = disk.subarray(at, at + 2 ** CLUSTER_BITS);
			// By place: no cluster may have more references than 16 bits count.
			const key = `${at} ${bytes.toString('latin1')}`;
			let cluster = known.get(key);
			if (!cluster) known.set(key, (cluster = bytes.every(byte => byte === 0) ? 'hole' : { bytes }));
			clusters.push(cluster);
		}
		return clusters;
	});
}
