/** What a replay has to complain about: one record each, bounded, with the place in the journal. */
import { EngineError } from '../../../util/errors.js';
import type { ErrorCode, ErrorDetails, ErrorRecord } from '../../../util/errors.js';

/** A wholly damaged journal could complain about each of its blocks. */
const MAX_PROBLEMS = 32;

export class JournalProblems {
	readonly #records: ErrorRecord[] = [];
	#more = 0;

	constructor(private readonly blockSize: number) {}

	/** @param index block of the journal that is damaged. */
	add(
		index: number,
		field: string,
		message: string,
		details: ErrorDetails = {},
		code: ErrorCode = 'ERR_CORRUPT',
	): void {
		if (MAX_PROBLEMS <= this.#records.length) {
			this.#more++;
			return;
		}
		const place = { format: 'ext4 journal', field, offset: index * this.blockSize };
		this.#records.push(new EngineError(code, `ext4 journal: ${message}`, { ...place, ...details }).toJSON());
	}

	get records(): readonly ErrorRecord[] {
		if (this.#more === 0) return this.#records;
		const message = `ext4 journal: ${this.#more} more blocks are damaged`;
		return [...this.#records, new EngineError('ERR_CORRUPT', message, { format: 'ext4 journal' }).toJSON()];
	}
}
