/** What went wrong, in terms a caller can act on. Codes are public API: scripts match on them, so none is ever renamed. */
export type ErrorCode =
	| 'ERR_CORRUPT' // The bytes contradict the format. Retrying will not help.
	| 'ERR_UNSUPPORTED' // The bytes are legal, but use a feature that Strata does not have.
	| 'ERR_ENCRYPTED' // The bytes are encrypted, and there is no key.
	| 'ERR_IO' // The source could not deliver the bytes. `cause` holds the original error.
	| 'ERR_NOT_FOUND' // No such source, snapshot, volume or path.
	| 'ERR_AMBIGUOUS' // A name that stands for more than one thing.
	| 'ERR_NOT_A_DIRECTORY'
	| 'ERR_IS_A_DIRECTORY'
	| 'ERR_EXISTS' // A name that is taken.
	| 'ERR_USAGE' // An argument that makes no sense, whatever the state of the source.
	| 'ERR_LIMIT' // A value is plausible but above the cap that protects memory or time.
	| 'ERR_BUSY' // A hypervisor or another Strata holds the image.
	| 'ERR_CHANGED' // The image changed while it was being read: the answer was thrown away.
	| 'ERR_REFUSED' // The action would lose something. The message says what, and what to do instead.
	| 'ERR_UNSETTLED' // An action was cut off half-way. `strata settle` finishes or undoes it.
	| 'ERR_NO_SPACE'
	| 'ERR_TOOL' // A program that Strata drives is missing or failed.
	| 'ERR_CANCELLED';

/** Where it went wrong: enough to find the byte in a hex editor. */
export interface ErrorDetails {
	/** 'qcow2', 'gpt', 'ext4', … */
	readonly format?: string;
	/** The name that the format's specification uses. */
	readonly field?: string;
	/** Bytes, from the start of the source that was being parsed. */
	readonly offset?: number;
	readonly expected?: string | number;
	readonly actual?: string | number;
	/** The file of the host that holds the bytes. */
	readonly file?: string;
	/** The path inside the source. */
	readonly path?: string;
}

/** The plain-data form of an error: what `--json` prints and what crosses the worker's boundary. */
export interface ErrorRecord {
	readonly code: ErrorCode;
	readonly message: string;
	readonly details: ErrorDetails;
}

/** Survives two copies of this module in one process (the extension's bundle and the engine's). */
const brand = Symbol.for('strata.EngineError');

/** The one error class of the engine. Tell errors apart by `code`, never by message. */
export class EngineError extends Error {
	override readonly name = 'EngineError';
	readonly [brand] = true;

	constructor(
		readonly code: ErrorCode,
		message: string,
		readonly details: ErrorDetails = {},
		options?: ErrorOptions,
	) {
		super(message, options);
	}

	static is(error: unknown, code?: ErrorCode): error is EngineError {
		return error instanceof Error && brand in error && (code === undefined || (error as EngineError).code === code);
	}

	/** The error that `record` was made from, on the other side of a boundary. */
	static from(record: ErrorRecord): EngineError {
		return new EngineError(record.code, record.message, record.details);
	}

	/** The same error, with what the caller knows and the thrower did not (which file, which path). */
	with(details: ErrorDetails): EngineError {
		return new EngineError(this.code, this.message, { ...details, ...this.details }, { cause: this });
	}

	toJSON(): ErrorRecord {
		return { code: this.code, message: this.message, details: this.details };
	}
}

/** A damaged field. `actual` against `expected` goes into the message. @throws always. */
export function corrupt(
	format: string,
	field: string,
	offset: number,
	expected: string | number,
	actual: string | number,
): never {
	const details = { format, field, offset, expected, actual };
	throw new EngineError('ERR_CORRUPT', `${format}: ${field} is ${actual}, expected ${expected}`, details);
}

/** A legal feature that Strata does not read. `what` names it in the words of the specification. @throws always. */
export function unsupported(format: string, field: string, offset: number, what: string | number): never {
	const details = { format, field, offset, actual: what };
	throw new EngineError('ERR_UNSUPPORTED', `${format}: ${field} ${what} is not supported`, details);
}
