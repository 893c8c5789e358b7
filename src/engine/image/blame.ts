import { EngineError } from '../util/errors.js';

/** The same error, with the file that holds the bytes in its message and its details. What is no `EngineError` stays as it is. */
export function blame(error: unknown, format: string, path: string): unknown {
	if (!EngineError.is(error) || error.details.file !== undefined) return error;
	const details = { format, ...error.details, file: path };
	return new EngineError(error.code, `${path}: ${error.message}`, details, { cause: error });
}
