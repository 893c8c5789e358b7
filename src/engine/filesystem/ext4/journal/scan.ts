/**
 * The first pass of a replay: walk the log from its oldest transaction and find where it ends. What lies behind the end
 * are leftovers of older rounds, so most reasons to end are no damage at all.
 *
 * The log ends, silently, before a block that is not the log's or that has another transaction's number: the last commit
 * block before it closed the last transaction. It also ends at a transaction whose checksum is wrong:
 *
 * - commit times going backwards: a leftover, silent.
 * - `async_commit` (the commit block may reach the disk before the blocks it commits): the transaction was cut off.
 *   Silent when no further transaction follows, damage otherwise.
 * - else: damage. Mounting stops there and fails. Here the transactions before it are replayed, and it is a problem:
 *   they are complete, and a person who looks at a damaged disk wants to see as much as can be trusted.
 *
 * Source: do_one_pass (PASS_SCAN) in fs/jbd2/recovery.c of Linux 6.x.
 */
import { crc32MsbFirst } from './crc32.js';
import {
	COMMIT_BLOCK,
	COMMIT_CRC32,
	COMMIT_CRC32_SIZE,
	COMMIT_HEADER,
	DESCRIPTOR_BLOCK,
	JOURNAL_MAGIC,
	REVOKE_BLOCK,
} from './format.js';
import { advance } from './layout.js';
import type { JournalLayout } from './layout.js';
import type { ReadJournalBlock } from './blocks.js';
import type { JournalProblems } from './problems.js';
import { countTags, isCommitValid, isTailValid, viewOf } from './records.js';

/** A complete transaction: the blocks of the journal that hold its descriptor and revoke blocks, in order. */
export interface Transaction {
	readonly sequence: number;
	readonly descriptors: readonly number[];
	readonly revokes: readonly number[];
}

export interface Scan {
	readonly transactions: readonly Transaction[];
	/** Number of the transaction that would have come next: the one that fast commits belong to. */
	readonly end: number;
	/** The log ended in damage, so what lies behind it in time cannot be trusted. */
	readonly isDamaged: boolean;
}

export function scanLog(layout: JournalLayout, read: ReadJournalBlock, problems: JournalProblems): Scan {
	return new Scanner(layout, read, problems).scan();
}

/** A commit time, in two halves that are compared and nothing else. */
interface CommitTime {
	readonly high: number;
	readonly low: number;
}

class Scanner {
	readonly #transactions: Transaction[] = [];
	#sequence: number;
	#descriptors: number[] = [];
	#revokes: number[] = [];
	/** Of the transaction being walked, version 1 of checksums. */
	#crc = 0xffffffff;
	/** A descriptor or revoke block of the transaction being walked has a wrong checksum. */
	#suspect: number | undefined;
	#lastCommit: CommitTime = { high: 0, low: 0 };
	/** The first transaction whose commit was cut off (`async_commit`). Only what comes before it is replayed. */
	#cutOff: { readonly sequence: number; readonly index: number } | undefined;
	#isDamaged = false;

	constructor(
		private readonly layout: JournalLayout,
		private readonly read: ReadJournalBlock,
		private readonly problems: JournalProblems,
	) {
		this.#sequence = layout.sequence;
	}

	scan(): Scan {
		const { layout } = this;
		const block = new Uint8Array(layout.blockSize);
		const view = viewOf(block);
		const length = layout.end - layout.first;
		let index = layout.start;
		// OK: a log cannot be longer than the circle; a made-up one that bites its tail ends here.
		for (let walked = 0; walked < length;) {
			this.read(index, block);
			if (view.getUint32(0) !== JOURNAL_MAGIC || view.getUint32(8) !== this.#sequence) break;
			const type = view.getUint32(4);
			let count = 1;
			if (type === DESCRIPTOR_BLOCK) {
				count += this.#descriptor(index, block);
			} else if (type === REVOKE_BLOCK) {
				this.#revokes.push(index);
				if (!isTailValid(layout, block)) this.#suspect ??= index;
			} else if (type !== COMMIT_BLOCK || !this.#commit(index, block)) {
				break;
			}
			walked += count;
			index = advance(layout, index, count);
		}
		const end = this.#cutOff?.sequence ?? this.#sequence;
		return { transactions: this.#transactions, end, isDamaged: this.#isDamaged };
	}

	/** @returns how many blocks it describes. */
	#descriptor(index: number, block: Uint8Array): number {
		this.#descriptors.push(index);
		if (!isTailValid(this.layout, block)) this.#suspect ??= index;
		const count = countTags(this.layout, block);
		if (this.layout.checksumVersion === 1 && this.#cutOff === undefined) {
			this.#crc = crc32MsbFirst(this.#crc, block);
			const data = new Uint8Array(this.layout.blockSize);
			for (let n = 1; n <= count; n++) {
				this.read(advance(this.layout, index, n), data);
				this.#crc = crc32MsbFirst(this.#crc, data);
			}
		}
		return count;
	}

	/** @returns whether the log goes on. */
	#commit(index: number, block: Uint8Array): boolean {
		const header = COMMIT_HEADER.decode(block);
		const time = { high: header.commitSecHigh, low: header.commitSecLow };
		const isOlder = compareTimes(time, this.#lastCommit) < 0;
		if (this.#suspect !== undefined) {
			if (isOlder) return false;
			return this.#damaged(this.#suspect, 't_checksum', `a block of transaction ${this.#sequence} is damaged`);
		}
		const isValid = this.layout.checksumVersion === 1 ? this.#isSumOfBlocks(header) : isCommitValid(this.layout, block);
		if (this.#cutOff !== undefined && this.layout.checksumVersion === 1) {
			const { sequence, index: place } = this.#cutOff;
			return this.#damaged(place, 'h_chksum', `transaction ${sequence} is damaged, and others follow it`);
		}
		if (!isValid) {
			if (isOlder) return false;
			if (!this.layout.asyncCommit) {
				return this.#damaged(index, 'h_chksum', `the checksum of transaction ${this.#sequence} does not match`);
			}
			this.#cutOff ??= { sequence: this.#sequence, index };
		}
		if (this.#cutOff === undefined) {
			this.#transactions.push({
				sequence: this.#sequence,
				descriptors: this.#descriptors,
				revokes: this.#revokes,
			});
		}
		this.#descriptors = [];
		this.#revokes = [];
		this.#crc = 0xffffffff;
		this.#lastCommit = time;
		this.#sequence = (this.#sequence + 1) >>> 0;
		return true;
	}

	/** Version 1. A commit block without a checksum is as good: it was written while checksums were off. */
	#isSumOfBlocks(header: ReturnType<typeof COMMIT_HEADER.decode>): boolean {
		const { checksum, checksumType, checksumSize } = header;
		if (checksum === 0 && checksumType === 0 && checksumSize === 0) return true;
		return checksum === this.#crc && checksumType === COMMIT_CRC32 && checksumSize === COMMIT_CRC32_SIZE;
	}

	#damaged(index: number, field: string, message: string): false {
		this.#isDamaged = true;
		this.problems.add(index, field, `${message}; it and what follows are not replayed`);
		return false;
	}
}

function compareTimes(a: CommitTime, b: CommitTime): number {
	return a.high === b.high ? a.low - b.low : a.high - b.high;
}
