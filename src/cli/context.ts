/** What a command gets: the engine, the streams, and how to print. */
import type { Readable, Writable } from 'node:stream';
import type { CallOptions, StateRef } from '../shared/engine-api.js';
import type { StrataEngine } from '../engine/timeline/engine.js';
import type { Style } from './style.js';

export interface Streams {
	readonly stdin: Readable & { readonly isTTY?: boolean };
	readonly stdout: Writable & { readonly isTTY?: boolean; readonly columns?: number };
	readonly stderr: Writable & { readonly isTTY?: boolean; readonly columns?: number };
}

export interface Context {
	readonly engine: StrataEngine;
	readonly streams: Streams;
	/** Of standard output. */
	readonly style: Style;
	/** One JSON document, or one record a line for lists, instead of text for people. */
	readonly json: boolean;
	/** A line for people who watch: nothing where standard error is no terminal. */
	readonly call: (step: string) => CallOptions & { done(): void };
	/** See `RunOptions`. */
	readonly interruptible: () => { readonly signal: AbortSignal } & Disposable;
	/** The state that an argument names: `SOURCE[@SNAPSHOT]`. */
	readonly state: (address: string) => Promise<StateRef>;
	/** The source that an argument names; an `@SNAPSHOT` is refused. */
	readonly source: (address: string) => Promise<string>;
	/** A line of standard output. Text from images has been made safe by the caller or is safe by its form. */
	readonly line: (text: string) => void;
	/** One JSON record, on one line. */
	readonly record: (value: unknown) => void;
	/** A remark on standard error, for people. Nothing with `--json`. */
	readonly remark: (text: string) => void;
	/** The command finished, but parts could not be read: exit code 4. */
	readonly partial: () => void;
	/** Exit code of a command that found differences and was asked to say so. */
	readonly exitWith: (code: number) => void;
}
