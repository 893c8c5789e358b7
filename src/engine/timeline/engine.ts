/**
 * The engine as its callers see it: `EngineApi`, on top of everything below.
 *
 * What a call needs beyond opening a machine is imported when the call comes: a command that lists one folder takes less
 * time than loading the rest would.
 */
import { existsSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import type {
	ActionResult,
	CallOptions,
	ComparisonRecord,
	CompareOptions,
	DiskSpec,
	EngineApi,
	FileFacts,
	FoundMachine,
	MachineConnection,
	ReadResult,
	RestoreResult,
	SourceRecord,
	StateRef,
	SummaryRecord,
	TimelineRecord,
} from '../../shared/engine-api.js';
import type { HistoryRecord, InfoRecord, ListRecord } from '../../shared/records.js';
import type { ToolPaths } from '../machine/tools.js';
import type { MachineTree } from '../tree/file-tree.js';
import { EngineError } from '../util/errors.js';
import { rawFromText, textFromRaw } from '../util/names.js';
import { CURRENT, parseAddress, resolveState } from './address.js';
import { workFor } from './call-work.js';
import { hostFrom, type Host } from './home.js';
import { readJournal } from './journal.js';
import { openDisk } from './machine.js';
import { nameOf, timeOf } from './moment-names.js';
import { Sessions, type OpenState } from './session.js';
import { journalPath, pathSource, realImage, type Source } from './source.js';
import { addSource, listSources, relocateSource, removeSource, setConnection, sourceById } from './sources.js';
import type { VerbRequest } from './verb-request.js';

export interface EngineHost {
	/** Strata's home; without it, `$STRATA_HOME` or the platform's data folder. */
	readonly home?: string;
	readonly tools?: ToolPaths;
	readonly keepSafetySnapshots?: number;
	/** The program that carries out verbs: `dist/engine.cjs`. */
	readonly helper: string;
	/** False in a workspace that is not trusted: no program may be started. Default true. */
	readonly trusted?: boolean;
}

/** A hint for a person is not worth opening more snapshots than that. */
const MAX_LOOKED_AT = 30;

export function createEngine(options: EngineHost): StrataEngine {
	return new StrataEngine(options);
}

export class StrataEngine implements EngineApi, Disposable {
	readonly #host: Host;
	readonly #sessions: Sessions;

	constructor(private readonly options: EngineHost) {
		this.#host = hostFrom(options);
		this.#sessions = new Sessions(this.#host, options.trusted !== false);
	}

	[Symbol.dispose](): void {
		this.#sessions[Symbol.dispose]();
	}

	/** The state that `SOURCE[@SNAPSHOT]` names. @throws EngineError `ERR_NOT_FOUND`, `ERR_AMBIGUOUS`. */
	async resolve(address: string, folder: string): Promise<StateRef> {
		const { source, snapshot } = parseAddress(this.#host, address, folder);
		if (snapshot === undefined || snapshot === CURRENT) return { source: source.id, state: CURRENT };
		const { machine } = this.#sessions.open(source);
		const journal = readJournal(journalPath(this.#host, source));
		// Names alone: the whole timeline would guess parents, which reads tables.
		const named = machine.moments.map(moment => ({
			key: moment.key,
			id: textFromRaw(moment.first.id),
			name: nameOf(moment, journal),
			tag: textFromRaw(moment.rawName),
			time: timeOf(moment.first),
		}));
		return { source: source.id, state: resolveState(named, snapshot) };
	}

	/** Names of states of the same machine that have a path, when this one does not: at most three, newest first. */
	async whereElse(state: StateRef, path: string): Promise<readonly string[]> {
		const source = this.#source(state.source);
		const { snapshots } = await this.timeline(state.source);
		const { hasPath } = await import('./file-calls.js');
		const found: string[] = [];
		for (const { key, name } of snapshots.slice(0, MAX_LOOKED_AT)) {
			if (found.length === 3) break;
			const exists = await this.#sessions.use(source, [key], machine => hasPath(machine.state(key).tree, path));
			if (key !== state.state && exists) found.push(name);
		}
		return found;
	}

	/** The tree of a state, for callers in this process. It is closed when `use` is done. */
	withTree<T>(state: StateRef, use: (tree: MachineTree) => T | Promise<T>): Promise<T> {
		return this.#read(state, ({ tree }) => use(tree));
	}

	// Sources

	async listSources(): Promise<readonly SourceRecord[]> {
		const { sourceRecord } = await import('./status.js');
		return listSources(this.#host).map(source => sourceRecord(this.#host, source));
	}

	async addMachine(options: Parameters<EngineApi['addMachine']>[0]): Promise<SourceRecord> {
		const { sourceRecord } = await import('./status.js');
		return sourceRecord(this.#host, addSource(this.#host, options, openDisk));
	}

	async removeSource(source: string): Promise<void> {
		this.#sessions.close(this.#source(source));
		removeSource(this.#host, source);
	}

	async relocateSource(source: string, disks: readonly DiskSpec[]): Promise<SourceRecord> {
		const { sourceRecord } = await import('./status.js');
		return sourceRecord(this.#host, relocateSource(this.#host, source, disks, openDisk));
	}

	async setConnection(source: string, connection: MachineConnection | null): Promise<SourceRecord> {
		const { sourceRecord } = await import('./status.js');
		return sourceRecord(this.#host, setConnection(this.#host, source, connection));
	}

	async discover(options: Parameters<EngineApi['discover']>[0], call?: CallOptions): Promise<readonly FoundMachine[]> {
		const { discover } = await import('../machine/discover.js');
		const registered = new Map<string, string>();
		for (const source of listSources(this.#host)) {
			for (const disk of source.disks)
				registered.set(existsSync(disk.path) ? realImage(disk.path) : disk.path, source.name);
		}
		return discover(options, workFor(call)).map(machine => {
			const names = machine.disks.map(({ path }) => registered.get(path));
			return { ...machine, registeredAs: names.find(name => name !== undefined) ?? null };
		});
	}

	async info(state: StateRef): Promise<InfoRecord> {
		const source = this.#source(state.source);
		const inUse = await this.#sessions.inUse(source);
		const { infoRecord } = await import('./info.js');
		return this.#sessions.use(source, [state.state], opened =>
			infoRecord(opened.machine, opened.state(state.state), inUse),
		);
	}

	// The timeline and its verbs

	async timeline(source: string): Promise<TimelineRecord> {
		const { readTimeline } = await import('./snapshots.js');
		return readTimeline(this.#host, this.#source(source));
	}

	async generation(source: string): Promise<string> {
		const { generationOf } = await import('./snapshots.js');
		return generationOf(this.#host, this.#source(source));
	}

	async exclusiveBytes(id: string, call?: CallOptions): Promise<Readonly<Record<string, number | null>>> {
		const source = this.#source(id);
		// While a hypervisor writes, the tables in the file are not the truth.
		const inUse = await this.#sessions.inUse(source);
		const { exclusiveBytesOf } = await import('./exclusive.js');
		return this.#sessions.use(source, [], ({ machine }) => exclusiveBytesOf(machine, inUse, workFor(call)));
	}

	async takeSnapshot(
		source: string,
		options: Parameters<EngineApi['takeSnapshot']>[1],
		call?: CallOptions,
	): Promise<ActionResult> {
		return this.#verb<ActionResult>(source, { verb: 'take', ...options }, call);
	}

	async rollBack(state: StateRef, call?: CallOptions): Promise<ActionResult> {
		return this.#verb<ActionResult>(state.source, { verb: 'rollback', key: state.state }, call);
	}

	async undo(source: string, call?: CallOptions): Promise<ActionResult> {
		return this.#verb<ActionResult>(source, { verb: 'undo' }, call);
	}

	async deleteSnapshot(state: StateRef, call?: CallOptions): Promise<ActionResult> {
		return this.#verb<ActionResult>(state.source, { verb: 'delete', key: state.state }, call);
	}

	async renameSnapshot(state: StateRef, label: string): Promise<void> {
		const { renameSnapshot } = await import('./verbs.js');
		await renameSnapshot(this.#host, this.#source(state.source), state.state, label);
	}

	async setNote(state: StateRef, note: string): Promise<void> {
		const { setNote } = await import('./verbs.js');
		await setNote(this.#host, this.#source(state.source), state.state, note);
	}

	async settle(source: string, call?: CallOptions): Promise<{ readonly done: readonly string[] }> {
		return this.#verb<{ done: readonly string[] }>(source, { verb: 'settle' }, call);
	}

	// Files

	async stat(state: StateRef, path: string): Promise<ListRecord> {
		const { statPath } = await import('./file-calls.js');
		return this.#read(state, ({ tree }) => statPath(tree, path));
	}

	async list(state: StateRef, path: string, page?: { readonly offset: number; readonly limit: number }) {
		const { listPath } = await import('./file-calls.js');
		return this.#read(state, ({ tree }) => listPath(tree, path, page ?? { offset: 0, limit: Infinity }));
	}

	async facts(state: StateRef, path: string): Promise<FileFacts> {
		const { factsOf } = await import('./file-calls.js');
		return this.#read(state, ({ tree }) => factsOf(tree, path));
	}

	async read(
		state: StateRef,
		path: string,
		range?: { readonly offset: number; readonly length: number },
	): Promise<ReadResult> {
		const { readPath } = await import('./file-calls.js');
		return this.#read(state, ({ tree }) => readPath(tree, path, range));
	}

	async properties(state: StateRef, path: string): Promise<string> {
		const { propertiesOf } = await import('./file-calls.js');
		return this.#read(state, ({ tree }) => propertiesOf(tree, path));
	}

	async render(state: StateRef, path: string, renderer: string, call?: CallOptions): Promise<string> {
		const { RENDERERS, render } = await import('../compare/render.js');
		const known = RENDERERS.find(each => each === renderer);
		if (known === undefined) {
			throw new EngineError('ERR_USAGE', `no renderer ${JSON.stringify(renderer)}; there are ${RENDERERS.join(', ')}`);
		}
		return this.#read(state, async ({ tree }) => {
			using file = tree.openFile(rawFromText(path));
			return await render(file, known, workFor(call));
		});
	}

	async find(state: StateRef, query: string, limit: number, call?: CallOptions): Promise<readonly ListRecord[]> {
		const { findPaths } = await import('./file-calls.js');
		return this.#read(state, ({ tree }) => findPaths(tree, query, limit, workFor(call)));
	}

	async restore(
		state: StateRef,
		paths: readonly string[],
		options: Parameters<EngineApi['restore']>[2],
		call?: CallOptions,
	): Promise<RestoreResult> {
		const { restoreToHost } = await import('./restore.js');
		return this.#read(state, ({ tree }) => restoreToHost(tree, paths.map(rawFromText), options, workFor(call)));
	}

	// Comparing

	async compare(a: StateRef, b: StateRef, options: CompareOptions = {}, call?: CallOptions): Promise<ComparisonRecord> {
		const { compareStates } = await import('./compare-calls.js');
		return this.#readBoth(a, b, (stateA, stateB) => ({
			a,
			b,
			...compareStates(stateA, stateB, options, workFor(call)),
		}));
	}

	async summary(a: StateRef, b: StateRef, paths: readonly string[], call?: CallOptions): Promise<SummaryRecord> {
		const { changes } = await this.compare(a, b, {}, call);
		const { summarize } = await import('../compare/summary.js');
		const wanted =
			paths.length === 0
				? changes
				: changes.filter(change => paths.some(path => change.path === path || change.path.startsWith(`${path}/`)));
		return this.#readBoth(a, b, (stateA, stateB) => {
			const volumes = [
				...new Set([...stateA.tree.mounts, ...stateB.tree.mounts].map(mount => textFromRaw(mount.path))),
			];
			return summarize(stateA.tree, stateB.tree, volumes, wanted, workFor(call));
		});
	}

	async history(source: string, path: string, call?: CallOptions): Promise<readonly HistoryRecord[]> {
		const { historyOf } = await import('./compare-calls.js');
		return historyOf(
			this.#sessions,
			this.#source(source),
			await this.timeline(source),
			rawFromText(path),
			workFor(call),
		);
	}

	async textDiff(
		a: StateRef,
		b: StateRef,
		change: { readonly path: string; readonly from?: string },
	): Promise<string | undefined> {
		const { textDiffOf } = await import('./compare-calls.js');
		return this.#readBoth(a, b, (stateA, stateB) => textDiffOf(stateA, stateB, change));
	}

	#source(id: string): Source {
		return isAbsolute(id) ? pathSource(id) : sourceById(this.#host, id);
	}

	#read<T>(ref: StateRef, use: (state: OpenState) => T | Promise<T>): Promise<T> {
		return this.#sessions.use(this.#source(ref.source), [ref.state], machine => use(machine.state(ref.state)));
	}

	/** Two states of one machine are views of one opened generation, which makes their comparison fast. */
	#readBoth<T>(a: StateRef, b: StateRef, use: (a: OpenState, b: OpenState) => T | Promise<T>): Promise<T> {
		const [sourceA, sourceB] = [this.#source(a.source), this.#source(b.source)];
		if (sourceA.id === sourceB.id) {
			return this.#sessions.use(sourceA, [a.state, b.state], machine =>
				use(machine.state(a.state), machine.state(b.state)),
			);
		}
		return this.#sessions.use(sourceA, [a.state], machineA =>
			this.#sessions.use(sourceB, [b.state], machineB => use(machineA.state(a.state), machineB.state(b.state))),
		);
	}

	async #verb<T>(id: string, request: VerbRequest, call: CallOptions | undefined): Promise<T> {
		if (this.options.trusted === false) {
			throw new EngineError(
				'ERR_REFUSED',
				'this workspace is not trusted, so no program is started: trust it to change snapshots',
			);
		}
		const source = this.#source(id);
		const { runVerb } = await import('./run-verb.js');
		try {
			return (await runVerb(this.#host, source, request, { helper: this.options.helper, ...call })) as T; // OK: each verb has its result, as VerbRequest says.
		} finally {
			this.#sessions.close(source);
		}
	}
}
