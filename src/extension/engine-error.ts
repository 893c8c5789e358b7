import type { ErrorRecord } from '../shared/records.js';

/** An error of the engine on this side of the thread. Tell errors apart by `code`, never by message. */
export class StrataError extends Error {
	override readonly name = 'StrataError';

	constructor(
		readonly code: string,
		message: string,
		readonly details: ErrorRecord['details'] = {},
	) {
		super(message);
	}

	static from(record: ErrorRecord): StrataError {
		return new StrataError(record.code, record.message, record.details);
	}

	static is(error: unknown, ...codes: readonly string[]): error is StrataError {
		return error instanceof StrataError && (codes.length === 0 || codes.includes(error.code));
	}
}

/** The sentence of any error. */
export function messageOf(error: unknown): string {
	return error instanceof Error ? error.message : String(error);
}

export function isCancelled(error: unknown): boolean {
	return StrataError.is(error, 'ERR_CANCELLED') || (error instanceof Error && error.name === 'Canceled');
}
