/** Parents and position of a machine's snapshots: what the journal recorded, checked against the disks, else what they suggest. */
import { inUseHint } from '../machine/qemu-img.js';
import { asQcow2 } from '../image/open-image.js';
import type { Qcow2Image } from '../image/qcow2/image.js';
import type { JournalState } from './journal.js';
import type { Machine, Moment } from './machine.js';
import { Ancestry, MAX_EARLIER, diskState, nearest, type DiskState } from './parents.js';

export interface Parentage {
	readonly parent: string | null;
	readonly inferred: boolean;
	/** Keys; of a tie. */
	readonly candidates: readonly string[];
}

export interface Lineage {
	readonly parents: ReadonlyMap<string, Parentage>;
	readonly position: string | null;
	readonly positionInferred: boolean;
	/** Sentences: what was not guessed, and why. */
	readonly notes: readonly string[];
}

/** Above this many snapshots of unknown parentage none is guessed: the time grows with the square. */
const MAX_GUESSES = 200;
/** Descendants of the recorded position that are looked at: whoever goes to one by another tool takes a late one. */
const MAX_GROWN = 16;

/** @param holdsItself the caller's own storage daemon holds the images, and has written nothing: the files are the truth. */
export function lineageOf(
	machine: Machine,
	journal: JournalState,
	{ holdsItself = false }: { readonly holdsItself?: boolean } = {},
): Lineage {
	const { moments } = machine;
	const indexOf = new Map(moments.map((moment, index) => [moment.key, index]));
	const parents = new Map<string, Parentage>();
	const unknown: number[] = [];
	for (const [index, { key }] of moments.entries()) {
		const facts = journal.facts.get(key);
		if (facts) {
			const parent = surviving(facts.parent, indexOf, journal);
			parents.set(key, { parent, inferred: facts.inferred && parent !== null, candidates: [] });
		} else unknown.push(index);
	}
	const notes: string[] = [];
	const guesser = new Guesser(machine);
	if (MAX_GUESSES < unknown.length) {
		notes.push(`the parents of ${unknown.length} snapshots are not recorded, and are too many to be guessed`);
	}
	let gaveUp = false;
	for (const index of unknown) {
		const { key } = moments[index]!; // OK: an index of `moments`.
		const guess = unknown.length <= MAX_GUESSES ? guesser.parentOf(index) : NOTHING;
		gaveUp ||= guess === undefined;
		parents.set(key, guess ?? NOTHING);
	}
	if (gaveUp) notes.push('some parents could not be guessed: too many clusters differ, or a table is damaged');
	return { parents, ...positionOf(machine, journal, indexOf, parents, guesser, holdsItself), notes };
}

const NOTHING: Parentage = { parent: null, inferred: false, candidates: [] };

/** The recorded parent, or the nearest ancestor that was not deleted. */
export function surviving(
	key: string | null,
	exists: { has(key: string): boolean },
	journal: JournalState,
): string | null {
	const seen = new Set<string>();
	while (key !== null && !exists.has(key)) {
		// A journal cannot hold a circle unless somebody wrote one into it.
		if (seen.has(key)) return null;
		seen.add(key);
		key = journal.deleted.get(key) ?? null;
	}
	return key;
}

function positionOf(
	machine: Machine,
	journal: JournalState,
	indexOf: ReadonlyMap<string, number>,
	parents: ReadonlyMap<string, Parentage>,
	guesser: Guesser,
	holdsItself: boolean,
): Pick<Lineage, 'position' | 'positionInferred'> {
	const { position } = journal;
	const recorded = position === undefined ? null : surviving(position.key, indexOf, journal);
	// The file does not show the current state while a hypervisor holds it, so nothing can be held against the record.
	if (!holdsItself && machine.images.some(image => inUseHint(image.path) === 'writer'))
		return { position: recorded, positionInferred: false };
	// Snapshots that somebody else made since: the current state may have grown from one of them.
	const later = position === undefined ? [] : strangersSince(machine.moments, journal, Date.parse(position.time));
	const recordedIndex = recorded === null ? undefined : indexOf.get(recorded);
	// And those that grew from it: another tool may have gone to one of them. From any other the record is told by
	// what the current state contradicts.
	const grown = recorded === null ? [] : descendantsOf(recorded, machine.moments, parents);
	const candidates = recordedIndex === undefined ? [] : [...new Set([recordedIndex, ...later, ...grown])];
	const distances = recordedIndex === undefined ? undefined : guesser.distancesOfCurrent(candidates);
	if (recorded !== null && recordedIndex !== undefined) {
		const distance = distances?.get(recordedIndex) ?? 0; // Not to be told: the record stands.
		const nearer = [...(distances ?? [])].filter(([index, other]) => index !== recordedIndex && other < distance);
		if (distance !== Infinity && nearer.length === 0) return { position: recorded, positionInferred: false };
	}
	const guess = guesser.parentOfCurrent();
	return { position: guess?.parent ?? null, positionInferred: (guess?.parent ?? null) !== null };
}

/** Indexes, the latest ones. */
function descendantsOf(
	key: string,
	moments: readonly Moment[],
	parents: ReadonlyMap<string, Parentage>,
): readonly number[] {
	const family = new Set([key]);
	const found: number[] = [];
	// A child comes after its parent in the table.
	for (const [index, moment] of moments.entries()) {
		const parent = parents.get(moment.key)?.parent ?? null;
		if (parent === null || !family.has(parent)) continue;
		family.add(moment.key);
		found.push(index);
	}
	return found.slice(-MAX_GROWN);
}

function strangersSince(moments: readonly Moment[], journal: JournalState, since: number): number[] {
	return (
		[...moments.entries()]
			// A second's grace: a date in the table may be rounded down.
			.filter(([, moment]) => !journal.facts.has(moment.key) && since <= moment.first.dateSec * 1000 + 1000)
			.map(([index]) => index)
			.slice(-MAX_EARLIER)
	);
}

interface Disk {
	readonly image: Qcow2Image;
	readonly stateAt: (index: number) => DiskState | undefined;
	readonly ancestry: Ancestry;
}

/** Guesses over all disks of a machine: distances add up, and one disk's contradiction is enough. */
class Guesser {
	/** `undefined` when a disk is no qcow2. */
	readonly #disks: readonly Disk[] | undefined;

	constructor(private readonly machine: Machine) {
		const images = machine.images.map(asQcow2);
		this.#disks = images.every(image => image !== undefined)
			? images.map((image, disk) => this.#open(image, disk))
			: undefined;
	}

	parentOf(index: number): Parentage | undefined {
		if (index === 0) return NOTHING;
		const distances = this.#distances(index, this.#before(index));
		return distances && this.#parentage(distances);
	}

	parentOfCurrent(): Parentage | undefined {
		const { length } = this.machine.moments;
		if (length === 0) return NOTHING;
		const distances = this.#distances(undefined, this.#before(length));
		return distances && this.#parentage(distances);
	}

	distancesOfCurrent(candidates: readonly number[]): Map<number, number> | undefined {
		return this.#distances(undefined, candidates);
	}

	#before(index: number): number[] {
		const from = Math.max(0, index - MAX_EARLIER);
		return Array.from({ length: index - from }, (_, offset) => from + offset);
	}

	#distances(child: number | undefined, candidates: readonly number[]): Map<number, number> | undefined {
		if (this.#disks === undefined) return undefined;
		const total = new Map(candidates.map(index => [index, 0]));
		for (const { image, stateAt, ancestry } of this.#disks) {
			const state = child === undefined ? currentState(image) : stateAt(child);
			if (state === undefined) continue;
			const distances = ancestry.distances(state, candidates, child ?? this.machine.moments.length);
			if (distances === undefined) return undefined;
			for (const [index, distance] of distances) total.set(index, total.get(index)! + distance); // OK: the same candidates.
		}
		return total;
	}

	#parentage(distances: ReadonlyMap<number, number>): Parentage {
		const { moments } = this.machine;
		const { parent, candidates } = nearest(distances);
		if (parent !== undefined) return { parent: moments[parent]!.key, inferred: true, candidates: [] }; // OK: an index of `moments`.
		return { parent: null, inferred: candidates.length > 0, candidates: candidates.map(index => moments[index]!.key) }; // OK: as above.
	}

	#open(image: Qcow2Image, disk: number): Disk {
		const { moments } = this.machine;
		// Loaded when first asked for: a machine whose parents are all recorded needs few of them.
		const loaded = new Map<number, DiskState>();
		const stateAt = (index: number) => {
			const snapshot = moments[index]?.onDisk[disk];
			if (snapshot === undefined) return undefined;
			const state = loaded.get(index) ?? diskState(image, snapshot.id, snapshot.diskSize);
			loaded.set(index, state);
			return state;
		};
		return { image, stateAt, ancestry: new Ancestry(image, stateAt) };
	}
}

function currentState(image: Qcow2Image): DiskState {
	return diskState(image, undefined, image.header.size);
}
