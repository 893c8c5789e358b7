/** Builds journals in memory from a description, byte by byte from the format's document, for the tests of replay. */
import type { JournalInput } from '../../../../../src/engine/filesystem/ext4/journal/replay.js';
import { crc32c } from '../../../../../src/engine/util/crc32c.js';

export interface JournalOptions {
	readonly blockSize?: number;
	readonly journalBlocks?: number;
	readonly fsBlocks?: number;
	/** Of the superblock. */
	readonly version?: 1 | 2;
	readonly checksum?: 0 | 1 | 2 | 3;
	readonly is64bit?: boolean;
	readonly asyncCommit?: boolean;
	readonly fastCommitBlocks?: number;
	readonly first?: number;
	readonly start?: number;
	readonly sequence?: number;
	/** Each tag carries a UUID, instead of the first alone. */
	readonly uuidInEachTag?: boolean;
}

export interface TransactionOptions {
	readonly writes?: readonly (readonly [block: number, content: Uint8Array])[];
	readonly revokes?: readonly number[];
	/** Tags of one descriptor block, at most. */
	readonly tagsPerDescriptor?: number;
	/** The machine stopped before the commit block. */
	readonly isCutOff?: boolean;
	readonly commitSec?: number;
}

const MAGIC = 0xc03b3998;

export class JournalBuilder {
	readonly bytes: Uint8Array;
	readonly blockSize: number;
	readonly journalBlocks: number;
	readonly fsBlocks: number;
	readonly logEnd: number;
	readonly uuid = Uint8Array.from({ length: 16 }, (_, i) => 0xa0 + i);
	/** Block of the log that the next transaction begins with, and its number. */
	position: number;
	sequence: number;
	/** Where the blocks of the log were put, by kind, for tests that damage them. */
	readonly placed: { kind: 'descriptor' | 'data' | 'revoke' | 'commit'; index: number }[] = [];
	#commitSec = 1_700_000_000;
	readonly #view: DataView;

	constructor(private readonly options: JournalOptions = {}) {
		this.blockSize = options.blockSize ?? 1024;
		this.journalBlocks = options.journalBlocks ?? 64;
		this.fsBlocks = options.fsBlocks ?? 1000;
		this.bytes = new Uint8Array(this.blockSize * this.journalBlocks);
		this.#view = new DataView(this.bytes.buffer);
		this.position = options.start ?? this.#first;
		this.sequence = options.sequence ?? 1;
		this.logEnd = this.journalBlocks - (options.fastCommitBlocks ?? 0);
		this.writeSuperblock();
	}

	get #first(): number {
		return this.options.first ?? 1;
	}

	get #checksum(): number {
		return this.options.checksum ?? 0;
	}

	get #seed(): number {
		return crc32c(0xffffffff, this.uuid);
	}

	writeSuperblock(): void {
		const view = this.#view;
		const { options } = this;
		view.setUint32(0, MAGIC);
		view.setUint32(4, options.version === 1 ? 3 : 4);
		view.setUint32(12, this.blockSize);
		view.setUint32(16, this.journalBlocks);
		view.setUint32(20, this.#first);
		view.setUint32(24, options.sequence ?? 1);
		view.setUint32(28, options.start ?? this.#first);
		if (options.version !== 1) {
			view.setUint32(36, this.#checksum === 1 ? 1 : 0);
			let incompat = 1;
			if (options.is64bit) incompat |= 2;
			if (options.asyncCommit) incompat |= 4;
			if (this.#checksum === 2) incompat |= 8;
			if (this.#checksum === 3) incompat |= 16;
			if (options.fastCommitBlocks !== undefined) incompat |= 32;
			view.setUint32(40, incompat);
			view.setUint32(84, options.fastCommitBlocks ?? 0);
		}
		this.bytes.set(this.uuid, 48);
		if (2 <= this.#checksum) this.bytes[80] = 4;
		this.sealSuperblock();
	}

	/** Make the superblock's checksum right, after a change to it. */
	sealSuperblock(): void {
		if (this.#checksum < 2) return;
		this.#view.setUint32(252, 0);
		this.#view.setUint32(252, crc32c(0xffffffff, this.bytes, 0, 1024));
	}

	/** Write one transaction behind the last one. */
	transaction(transaction: TransactionOptions): this {
		const { writes = [], revokes = [], tagsPerDescriptor = 1000 } = transaction;
		let crc = 0xffffffff;
		for (let from = 0; from < writes.length;) {
			const data: Uint8Array[] = [];
			const descriptor = this.#descriptor(writes.slice(from, from + tagsPerDescriptor), data);
			this.#put('descriptor', descriptor);
			crc = crcMsbFirst(crc, descriptor);
			for (const block of data) {
				this.#put('data', block);
				crc = crcMsbFirst(crc, block);
			}
			from += data.length;
		}
		if (revokes.length > 0) this.#put('revoke', this.#revoke(revokes));
		this.#commitSec = transaction.commitSec ?? this.#commitSec + 1;
		if (transaction.isCutOff) return this;
		this.#put('commit', this.#commit(crc));
		this.sequence = (this.sequence + 1) >>> 0;
		return this;
	}

	/** Put bytes at the beginning of fast commit block `n`. */
	fastCommit(n: number, bytes: Uint8Array): this {
		this.bytes.set(bytes, (this.logEnd + 1 + n) * this.blockSize);
		return this;
	}

	/** Block `index` of the journal, to damage it. */
	block(index: number): Uint8Array {
		return this.bytes.subarray(index * this.blockSize, (index + 1) * this.blockSize);
	}

	/** The n-th block of a kind in the order of writing; counted from the end when negative. */
	placedBlock(kind: 'descriptor' | 'data' | 'revoke' | 'commit', n: number): Uint8Array {
		return this.block(this.placed.filter(place => place.kind === kind).at(n)!.index); // OK: a test names what it made.
	}

	input(): JournalInput {
		const { blockSize } = this;
		return {
			blockSize,
			blockCount: this.fsBlocks,
			journalBlocks: this.journalBlocks,
			readJournalBlock: (index, into) => {
				if (!(0 <= index && index < this.journalBlocks)) throw new RangeError(`block ${index} of the journal`);
				into.set(this.bytes.subarray(index * blockSize, (index + 1) * blockSize));
			},
			fsUuid: new Uint8Array(16),
			fastCommit: this.options.fastCommitBlocks !== undefined,
		};
	}

	#put(kind: 'descriptor' | 'data' | 'revoke' | 'commit', bytes: Uint8Array): void {
		this.bytes.set(bytes, this.position * this.blockSize);
		this.placed.push({ kind, index: this.position });
		this.position++;
		if (this.position === this.logEnd) this.position = this.#first;
	}

	#header(type: number): { block: Uint8Array; view: DataView } {
		const block = new Uint8Array(this.blockSize);
		const view = new DataView(block.buffer);
		view.setUint32(0, MAGIC);
		view.setUint32(4, type);
		view.setUint32(8, this.sequence);
		return { block, view };
	}

	#descriptor(writes: readonly (readonly [number, Uint8Array])[], data: Uint8Array[]): Uint8Array {
		const { block, view } = this.#header(1);
		const tagSize = this.#checksum === 3 ? 16 : 8 + (this.#checksum === 2 ? 2 : 0) + (this.options.is64bit ? 4 : 0);
		const end = this.blockSize - (2 <= this.#checksum ? 4 : 0);
		let at = 12;
		for (const [n, [target, content]] of writes.entries()) {
			const hasUuid = n === 0 || this.options.uuidInEachTag === true;
			if (end < at + tagSize + (hasUuid ? 16 : 0)) throw new Error('too many tags for one descriptor block');
			const stored = content.slice();
			let flags = hasUuid ? 0 : 2;
			if (new DataView(stored.buffer).getUint32(0) === MAGIC) {
				flags |= 1;
				stored.fill(0, 0, 4);
			}
			if (n === writes.length - 1) flags |= 8;
			const number = new Uint8Array(4);
			new DataView(number.buffer).setUint32(0, this.sequence);
			const crc = crc32c(crc32c(this.#seed, number), stored);
			view.setUint32(at, target % 2 ** 32);
			if (this.#checksum === 3) {
				view.setUint32(at + 4, flags);
				view.setUint32(at + 12, crc);
			} else {
				view.setUint16(at + 4, this.#checksum === 2 ? crc & 0xffff : 0);
				view.setUint16(at + 6, flags);
			}
			if (this.options.is64bit) view.setUint32(at + 8, Math.floor(target / 2 ** 32));
			at += tagSize;
			if (hasUuid) {
				block.set(this.uuid, at);
				at += 16;
			}
			data.push(stored);
		}
		return this.#seal(block, this.blockSize - 4);
	}

	#revoke(blocks: readonly number[]): Uint8Array {
		const { block, view } = this.#header(5);
		const size = this.options.is64bit ? 8 : 4;
		view.setUint32(12, 16 + blocks.length * size);
		for (const [n, number] of blocks.entries()) {
			if (this.options.is64bit) view.setBigUint64(16 + n * 8, BigInt(number));
			else view.setUint32(16 + n * 4, number);
		}
		return this.#seal(block, this.blockSize - 4);
	}

	#commit(crc: number): Uint8Array {
		const { block, view } = this.#header(2);
		view.setBigUint64(48, BigInt(this.#commitSec));
		if (this.#checksum === 1) {
			block[12] = 1;
			block[13] = 4;
			view.setUint32(16, crc);
		}
		return this.#seal(block, 16);
	}

	#seal(block: Uint8Array, at: number): Uint8Array {
		if (2 <= this.#checksum) new DataView(block.buffer).setUint32(at, crc32c(this.#seed, block));
		return block;
	}
}

/** Bit by bit, as a second opinion on the engine's table. */
function crcMsbFirst(state: number, bytes: Uint8Array): number {
	let crc = state;
	for (const byte of bytes) {
		crc = (crc ^ (byte << 24)) >>> 0;
		for (let k = 0; k < 8; k++) crc = ((crc & 0x80000000) !== 0 ? (crc << 1) ^ 0x04c11db7 : crc << 1) >>> 0;
	}
	return crc;
}

/** A block of the filesystem with a known pattern: its number and version are visible in it. */
export function pattern(block: number, version: number, blockSize = 1024): Uint8Array {
	const bytes = new Uint8Array(blockSize);
	const view = new DataView(bytes.buffer);
	for (let at = 0; at + 8 <= blockSize; at += 8) {
		view.setUint32(at, block % 2 ** 32);
		view.setUint32(at + 4, version);
	}
	return bytes;
}

/** A fast commit tag. */
export function fastCommitTag(tag: number, value: Uint8Array): Uint8Array {
	const bytes = new Uint8Array(4 + value.byteLength);
	const view = new DataView(bytes.buffer);
	view.setUint16(0, tag, true);
	view.setUint16(2, value.byteLength, true);
	bytes.set(value, 4);
	return bytes;
}

export function words32(...words: readonly number[]): Uint8Array {
	const bytes = new Uint8Array(words.length * 4);
	const view = new DataView(bytes.buffer);
	for (const [n, word] of words.entries()) view.setUint32(n * 4, word, true);
	return bytes;
}

/** One fast commit in one block: the tags, then the tail that fills the block. */
export function fastCommitBlock(tags: readonly Uint8Array[], sequence: number, blockSize = 1024): Uint8Array {
	const block = new Uint8Array(blockSize);
	let at = 0;
	for (const tag of tags) {
		block.set(tag, at);
		at += tag.byteLength;
	}
	const view = new DataView(block.buffer);
	view.setUint16(at, 8, true);
	view.setUint16(at + 2, blockSize - at - 4, true);
	view.setUint32(at + 4, sequence, true);
	view.setUint32(at + 8, crc32c(0, block, 0, at + 8), true);
	return block;
}
