import { EngineError } from './errors.js';

/** One field of an on-disk record. Offsets are bytes from the start of the record, as in the specification's table. */
export interface Field<T> {
	readonly offset: number;
	readonly size: number;
	/** `name` is for error messages. */
	decode(view: DataView, at: number, name: string): T;
}

type Fields = Readonly<Record<string, Field<unknown>>>;
type Decoded<F extends Fields> = { readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never };

/** The TypeScript type of a record: `type Header = RecordOf<typeof HEADER>`. */
export type RecordOf<S> = S extends Struct<infer F> ? Decoded<F> : never;

/** A fixed-size on-disk record, declared as data. The declaration is checked when the module loads. */
export class Struct<F extends Fields> {
	readonly #entries: readonly (readonly [string, Field<unknown>])[];

	constructor(
		readonly name: string,
		/** Bytes. */
		readonly size: number,
		readonly fields: F,
	) {
		this.#entries = Object.entries(fields);
		let end = 0;
		for (const [key, field] of [...this.#entries].sort(([, a], [, b]) => a.offset - b.offset)) {
			if (field.offset < end) throw new TypeError(`${name}.${key} overlaps the field before it`);
			end = field.offset + field.size;
		}
		if (size < end) throw new TypeError(`${name} is ${size} bytes but its fields need ${end}`);
	}

	/**
	 * Decode the record that starts at `at` in `bytes`.
	 *
	 * @throws EngineError `ERR_CORRUPT` when fewer than `size` bytes remain; `ERR_LIMIT` when a size is above 2^53 - 1.
	 */
	decode(bytes: Uint8Array, at = 0): Decoded<F> {
		if (at < 0 || bytes.byteLength - at < this.size) {
			throw new EngineError('ERR_CORRUPT', `${this.name} is truncated`, {
				field: this.name,
				offset: at,
				expected: this.size,
				actual: Math.max(0, bytes.byteLength - at),
			});
		}
		// The view must carry byteOffset and byteLength: a Buffer is usually a window on a shared pool.
		const view = new DataView(bytes.buffer, bytes.byteOffset + at, this.size);
		const record: Record<string, unknown> = {};
		for (const [key, field] of this.#entries) {
			record[key] = field.decode(view, field.offset, `${this.name}.${key}`);
		}
		return record as Decoded<F>;
	}
}

export const u8 = scalar(1, (view, at) => view.getUint8(at));
export const u16le = scalar(2, (view, at) => view.getUint16(at, true));
export const u16be = scalar(2, (view, at) => view.getUint16(at, false));
export const u32le = scalar(4, (view, at) => view.getUint32(at, true));
export const u32be = scalar(4, (view, at) => view.getUint32(at, false));
/** For flag words and checksums, where every bit matters. */
export const u64le = scalar(8, (view, at) => view.getBigUint64(at, true));
export const u64be = scalar(8, (view, at) => view.getBigUint64(at, false));
/** For sizes and offsets: a `number`, refused above 2^53 - 1. */
export const size64le = scalar(8, (view, at, name) => toSafe(view.getBigUint64(at, true), at, name));
export const size64be = scalar(8, (view, at, name) => toSafe(view.getBigUint64(at, false), at, name));

/** Raw bytes. A copy, so that the record does not keep a large buffer alive. */
export function bytes(offset: number, size: number): Field<Uint8Array> {
	return {
		offset,
		size,
		decode: (view, at) => new Uint8Array(view.buffer.slice(view.byteOffset + at, view.byteOffset + at + size)),
	};
}

function scalar<T>(size: number, decode: Field<T>['decode']): (offset: number) => Field<T> {
	return offset => ({ offset, size, decode });
}

function toSafe(value: bigint, at: number, name: string): number {
	if (value > BigInt(Number.MAX_SAFE_INTEGER)) {
		throw new EngineError('ERR_LIMIT', `${name} is ${value}, above 2^53 - 1`, { field: name, offset: at });
	}
	return Number(value);
}
