/**
 * Which document to open for a file or a change: the file itself, a rendering as text, its properties, or an
 * explanation of why it cannot be shown. VS Code never shows the text of an error that a file system throws, hangs in
 * very long lines, and reads a whole file before it looks at the size. So every open asks here first.
 *
 * Knows no VS Code: it gives the parts of URIs.
 */
import type { CallOptions, EngineApi, FileFacts, StateRef } from '../../shared/engine-api.js';
import type { ChangeRecord } from '../../shared/records.js';
import { isCancelled } from '../engine-error.js';
import { refOf, type NamedState } from '../state-name.js';
import { fileUri, textUri, type UriParts } from '../uri.js';
import { nameOf } from '../sources/rows.js';

/** Above this, the editor gets a summary and a choice. */
export const MAX_FILE_BYTES = 50 * 1024 * 1024;
export const MAX_LINE_CHARACTERS = 20_000;
/** A rendering reads the whole file, at least for its hash. */
export const MAX_RENDERED_BYTES = 256 * 1024 * 1024;
/** As many as a kernel follows. */
const MAX_LINKS = 40;

export type Plan =
	| { readonly kind: 'open'; readonly uri: UriParts }
	| { readonly kind: 'diff'; readonly left: UriParts; readonly right: UriParts; readonly title: string };

/** How one side of a comparison is shown. */
interface View {
	readonly uri: UriParts;
	/** `file` for the bytes themselves, else a renderer. */
	readonly renderer: string;
	readonly bytes: number;
}

type Engine = Pick<EngineApi, 'facts'>;

/** What to open for the file at `path`. Never fails for what the file is; that becomes an explanation. */
export async function resolveFile(
	engine: Engine,
	state: NamedState,
	path: string,
	call?: CallOptions,
): Promise<UriParts> {
	return (await viewOf(engine, state, path, call)).uri;
}

/** What to open for one change: a diff of texts, of renderings or of properties, or the one side that exists. */
export async function resolveChange(
	engine: Engine,
	a: NamedState,
	b: NamedState,
	change: ChangeRecord,
	call?: CallOptions,
): Promise<Plan> {
	const sides = await resolveSides(engine, a, b, change, call);
	if (sides.left && sides.right)
		return { kind: 'diff', left: sides.left, right: sides.right, title: diffTitle(a, b, change) };
	// OK: a change has at least one side, and resolveSides gives it.
	return { kind: 'open', uri: (sides.right ?? sides.left)! };
}

/** Both sides of one change, as the multi-file editor wants them: a side that does not exist is `undefined`. */
export async function resolveSides(
	engine: Engine,
	a: NamedState,
	b: NamedState,
	change: ChangeRecord,
	call?: CallOptions,
): Promise<{ readonly left: UriParts | undefined; readonly right: UriParts | undefined; readonly bytes: number }> {
	const before = change.from ?? change.path;
	const after = change.path;
	switch (change.status) {
		case 'A': {
			const view = await viewOf(engine, b, after, call);
			return { left: undefined, right: view.uri, bytes: view.bytes };
		}
		case 'D': {
			const view = await viewOf(engine, a, before, call);
			return { left: view.uri, right: undefined, bytes: view.bytes };
		}
		case 'E': {
			const damaged = change.side === 'a' ? a : b;
			return { left: undefined, right: explanation(damaged, after), bytes: 0 };
		}
		case 'm':
		case 'T':
			return { left: properties(a, before), right: properties(b, after), bytes: 0 };
		case 'M':
		case 'R':
			return isRegular(change)
				? contentSides()
				: { left: properties(a, before), right: properties(b, after), bytes: 0 };
	}

	async function contentSides() {
		// A file that moved and changed nothing else is the same on both sides: its properties tell what did change.
		if (change.status === 'R' && !change.fields.includes('content')) {
			return { left: properties(a, before), right: properties(b, after), bytes: 0 };
		}
		const [left, right] = await Promise.all([viewOf(engine, a, before, call), viewOf(engine, b, after, call)]);
		if (left.renderer === right.renderer) return { left: left.uri, right: right.uri, bytes: left.bytes + right.bytes };
		// Two kinds of content: text on one side, a database on the other. Size, hash and first bytes fit both.
		const both = [left, right].some(view => view.renderer === 'explain') ? 'explain' : 'binary';
		return { left: rendered(a, before, both), right: rendered(b, after, both), bytes: 0 };
	}
}

export function diffTitle(a: NamedState, b: NamedState, change: Pick<ChangeRecord, 'path' | 'from'>): string {
	const name = nameOf(change.path);
	const old = change.from === undefined ? name : nameOf(change.from);
	const names = old === name ? name : `${old} → ${name}`;
	const left = a.source === b.source ? a.label : `${a.sourceName}: ${a.label}`;
	const right = a.source === b.source ? b.label : `${b.sourceName}: ${b.label}`;
	return `${names} (${left} ↔ ${right})`;
}

export function properties(state: NamedState, path: string): UriParts {
	return rendered(state, path, 'properties');
}

export function explanation(state: NamedState, path: string): UriParts {
	return rendered(state, path, 'explain');
}

/** A rendering of the file; the extension gives the editor its language. */
export function rendered(state: NamedState, path: string, renderer: string): UriParts {
	const extension = renderer === 'sqlite' ? 'sql' : renderer === 'properties' ? 'properties' : 'txt';
	return textUri({ source: state.source, state: state.state, label: state.label, path, renderer, extension });
}

export function bytesUri(state: NamedState, path: string): UriParts {
	return fileUri({ source: state.source, state: state.state, label: state.label, path });
}

/** Why a file is not shown as it is; `undefined` when it can be. */
export function obstacle(facts: FileFacts): 'large' | 'long' | 'encrypted' | 'unreadable' | undefined {
	if (facts.kind === 'encrypted' || facts.kind === 'unreadable') return facts.kind;
	if (facts.kind === 'text' || facts.kind === 'image') {
		if (MAX_FILE_BYTES < facts.entry.size) return 'large';
		if (MAX_LINE_CHARACTERS < facts.longestLine) return 'long';
	} else if (MAX_RENDERED_BYTES < facts.entry.size && facts.kind !== 'directory') return 'large';
	return undefined;
}

async function viewOf(engine: Engine, state: NamedState, path: string, call: CallOptions | undefined): Promise<View> {
	let at = path;
	try {
		for (let hops = 0; hops <= MAX_LINKS; hops++) {
			const facts = await engine.facts(refOf(state), at, call);
			if (facts.kind === 'symlink' && facts.entry.target !== undefined) {
				const target = linkTarget(at, facts.entry.target);
				// A link that leads nowhere shows what it is.
				if (!(await exists(engine, state, target, call))) return text(state, at, 'properties');
				at = target;
				continue;
			}
			return viewOfFacts(state, at, facts);
		}
	} catch (error) {
		if (isCancelled(error)) throw error;
		return text(state, at, 'explain');
	}
	return text(state, path, 'properties');
}

function viewOfFacts(state: NamedState, path: string, facts: FileFacts): View {
	if (obstacle(facts)) return text(state, path, 'explain');
	switch (facts.kind) {
		case 'text':
		case 'empty':
			return { uri: bytesUri(state, path), renderer: 'file', bytes: facts.entry.size };
		case 'image':
			// The editor shows pictures by their name's ending; under another name they are bytes.
			return /\.(png|jpe?g|gif|bmp|webp|ico)$/i.test(path)
				? { uri: bytesUri(state, path), renderer: 'picture', bytes: facts.entry.size }
				: text(state, path, 'binary');
		case 'sqlite':
		case 'elf':
		case 'archive':
		case 'binary':
			return text(state, path, facts.kind);
		case 'directory':
		case 'device':
		case 'symlink':
			return text(state, path, 'properties');
		case 'encrypted':
		case 'unreadable':
			return text(state, path, 'explain');
	}
}

async function exists(engine: Engine, state: StateRef, path: string, call: CallOptions | undefined): Promise<boolean> {
	try {
		await engine.facts(refOf(state), path, call);
		return true;
	} catch (error) {
		if (isCancelled(error)) throw error;
		return false; // The link's own properties are shown then.
	}
}

/** Where a link leads inside its own volume: `/p1` is the guest's root. */
export function linkTarget(path: string, target: string): string {
	const parts = path.split('/').slice(1);
	const volume = /^disk\d/.test(parts[0]!) ? parts.slice(0, 2) : parts.slice(0, 1); // OK: an absolute path has a part.
	const base = target.startsWith('/') ? [] : parts.slice(volume.length, -1);
	const inside: string[] = [];
	for (const part of [...base, ...target.split('/')]) {
		if (part === '..') inside.pop();
		else if (part !== '' && part !== '.') inside.push(part);
	}
	return `/${[...volume, ...inside].join('/')}`;
}

function text(state: NamedState, path: string, renderer: string): View {
	return { uri: rendered(state, path, renderer), renderer, bytes: 0 };
}

function isRegular(change: ChangeRecord): boolean {
	return change.type.every(type => type === null || type === 'file');
}
