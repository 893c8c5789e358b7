/** The timeline of a source: its snapshots as the images hold them, with what the journal knows of them. */
import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import type { TimelineRecord } from '../../shared/engine-api.js';
import type { SnapshotRecord } from '../../shared/records.js';
import { readBytes } from '../io/source.js';
import { FileSource } from '../io/file.js';
import { inUseHint } from '../machine/qemu-img.js';
import { EngineError } from '../util/errors.js';
import { textFromRaw } from '../util/names.js';
import type { Host } from './home.js';
import { JOURNAL_VERSION, journalStamp, readJournal, type JournalState } from './journal.js';
import { lineageOf, type Lineage } from './lineage.js';
import { isAtWork, readLock } from './lock.js';
import { Machine, type Moment } from './machine.js';
import { nameOf, timeOf } from './moment-names.js';
import { journalPath, lockPaths, type Source } from './source.js';
import { sourceRecord } from './status.js';
import { sourcesStamp } from './sources.js';

/** Header fields up to the end of version 3's: with the snapshot table's place, which every change of the table moves. */
const HEAD_BYTES = 104;

/**
 * What the images and the journal say of a source. Never fails for what is wrong with the images: then the timeline is
 * empty, and the source's status says why.
 */
export function readTimeline(host: Host, source: Source): TimelineRecord {
	const generation = generationOf(host, source);
	const record = sourceRecord(host, source);
	const empty = {
		source: record,
		snapshots: [],
		position: null,
		positionInferred: false,
		undo: null,
		readOnlyReason: null,
		generation,
	};
	if (record.status === 'missing' || record.status === 'changed' || record.status === 'error') return empty;
	try {
		return { ...empty, ...readMachine(host, source) };
	} catch (error) {
		// An image whose table was cut off cannot be read before it is settled; the status says that.
		if (!EngineError.is(error) || record.status === 'ready') throw error;
		return { ...empty, notes: [error.message] };
	}
}

function readMachine(host: Host, source: Source): Omit<TimelineRecord, 'source' | 'generation'> {
	const journal = readJournal(journalPath(host, source));
	using machine = Machine.open(source);
	const lineage = lineageOf(machine, journal);
	return {
		snapshots: snapshotRecords(machine, journal, lineage),
		position: lineage.position,
		positionInferred: lineage.positionInferred,
		undo: undoOf(machine, journal),
		notes: [...lineage.notes, ...journalNotes(journal)],
		readOnlyReason: machine.images.map(image => image.noSnapshotsReason).find(reason => reason !== undefined) ?? null,
	};
}

/** Newest first; of equal dates, the later entry of the table first. */
export function snapshotRecords(machine: Machine, journal: JournalState, lineage: Lineage): SnapshotRecord[] {
	return machine.moments
		.map((moment, index) => ({
			index,
			sec: moment.first.dateSec,
			nsec: moment.first.dateNsec,
			record: snapshotRecord(machine, journal, lineage, moment),
		}))
		.sort((a, b) => b.sec - a.sec || b.nsec - a.nsec || b.index - a.index)
		.map(({ record }) => record);
}

/** What undoing the last rollback needs, as long as its safety snapshot stands. */
export function lastRollback(machine: Machine, journal: JournalState): JournalState['rollbacks'][number] | undefined {
	const last = journal.rollbacks.at(-1);
	return last !== undefined && machine.moments.some(moment => moment.key === last.safety) ? last : undefined;
}

/**
 * Differs when the timeline may: from the host's word on each file, the image's header, the journal and the locks. Reads a few
 * hundred bytes. While a hypervisor writes to an image its times say nothing, and its header alone counts.
 */
export function generationOf(host: Host, source: Source): string {
	const hash = createHash('sha256');
	const add = (text: string) => hash.update(`${text}\n`);
	add(source.registered ? sourcesStamp(host) : '');
	try {
		for (const disk of source.disks) {
			const stat = statSync(disk.path, { bigint: true, throwIfNoEntry: false });
			if (stat === undefined) {
				add('missing');
				continue;
			}
			const hold = inUseHint(disk.path);
			add(`${hold} ${stat.dev} ${stat.ino}`);
			if (hold !== 'writer') add(`${stat.size} ${stat.mtimeNs} ${stat.ctimeNs}`);
			hash.update(headOf(disk.path));
		}
		const journal = journalPath(host, source);
		add(journalStamp(journal));
		for (const path of lockPaths(host, source)) {
			const owner = readLock(path);
			if (owner !== undefined) add(`${owner.token} ${isAtWork(owner)}`);
		}
	} catch (error) {
		if (!EngineError.is(error)) throw error;
		add(error.code); // The timeline says more.
	}
	return hash.digest('hex').slice(0, 24);
}

function headOf(path: string): Uint8Array {
	using file = FileSource.open(path);
	return readBytes(file, 0, Math.min(HEAD_BYTES, file.size));
}

function snapshotRecord(machine: Machine, journal: JournalState, lineage: Lineage, moment: Moment): SnapshotRecord {
	const { key, first, onDisk } = moment;
	const facts = journal.facts.get(key);
	const parentage = lineage.parents.get(key)!; // OK: lineageOf() gives one for each moment.
	const vmStateSize = Math.max(...onDisk.map(snapshot => snapshot?.vmStateSize ?? 0));
	return {
		key,
		id: textFromRaw(first.id),
		name: nameOf(moment, journal),
		tag: textFromRaw(moment.rawName),
		note: journal.notes.get(key) ?? facts?.note ?? '',
		parent: parentage.parent,
		inferred: parentage.inferred,
		candidates: parentage.candidates,
		time: timeOf(first),
		kind: vmStateSize > 0 ? 'memory' : 'disk',
		consistency: facts?.consistency ?? 'unknown',
		exclusiveBytes: null,
		current: lineage.position === key,
		safety: isSafety(moment, journal),
		vmStateSize,
		missingOn: machine.source.disks.filter((_, index) => onDisk[index] === undefined).map(disk => disk.path),
	};
}

/** A safety snapshot that got a label or a note was adopted by a person: it is theirs, and stays. */
export function isSafety(moment: Moment, journal: JournalState): boolean {
	const { key } = moment;
	return journal.facts.get(key)?.safety === true && !journal.labels.has(key) && (journal.notes.get(key) ?? '') === '';
}

function undoOf(machine: Machine, journal: JournalState): TimelineRecord['undo'] {
	const last = lastRollback(machine, journal);
	if (last === undefined) return null;
	const { time, to, safety } = last;
	return { time, rolledBackTo: to, safetySnapshot: safety };
}

function journalNotes({ damagedLines, version }: JournalState): string[] {
	const notes: string[] = [];
	// One is an append that was cut off, which is passed over as if it had never begun.
	if (damagedLines > 1) notes.push(`${damagedLines} records of the journal are damaged and were passed over`);
	if (JOURNAL_VERSION < version)
		notes.push('a newer Strata wrote to the journal of this machine: it can be looked at, and not changed');
	return notes;
}
