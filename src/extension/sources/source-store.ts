/**
 * What the extension knows of the machines: their records and timelines, kept fresh while somebody looks.
 *
 * Another window, the command line or a hypervisor may change a machine at any time, and no file event tells of it on
 * every kind of mount. So while a view is visible the store asks every second whether a generation changed.
 */
import type { EngineApi, SourceRecord, TimelineRecord } from '../../shared/engine-api.js';
import { Emitter } from '../emitter.js';
import { StrataError, messageOf } from '../engine-error.js';

export const POLL_INTERVAL_MS = 1000;

export interface Machine {
	readonly record: SourceRecord;
	/** `undefined` until somebody asked for it. */
	readonly timeline: TimelineRecord | undefined;
	/** Why there is no timeline. */
	readonly error: StrataError | undefined;
}

export type StoreState = 'loading' | 'empty' | 'ready';

type Engine = Pick<EngineApi, 'listSources' | 'timeline' | 'generation'>;

export class SourceStore {
	readonly #changed = new Emitter<string | undefined>();
	/** The id of a machine that changed; `undefined` when the list did. */
	readonly onDidChange = this.#changed.event;
	#machines = new Map<string, Machine>();
	#state: StoreState = 'loading';
	#listing = '';
	#listError: StrataError | undefined;
	#watchers = 0;
	#timer: ReturnType<typeof setTimeout> | undefined;
	#loading: Promise<void> | undefined;
	readonly #timelines = new Map<string, Promise<TimelineRecord>>();

	constructor(
		private readonly engine: Engine,
		private readonly interval = POLL_INTERVAL_MS,
	) {}

	get state(): StoreState {
		return this.#state;
	}

	/** Why the list could not be read. */
	get listError(): StrataError | undefined {
		return this.#listError;
	}

	get machines(): readonly Machine[] {
		return [...this.#machines.values()];
	}

	machine(id: string): Machine | undefined {
		return this.#machines.get(id);
	}

	/** The list of machines, asked for once; `refresh` asks again. */
	async load(): Promise<readonly Machine[]> {
		if (this.#state === 'loading')
			await (this.#loading ??= this.#readList().finally(() => (this.#loading = undefined)));
		return this.machines;
	}

	/** The timeline as it is now; the last one while nothing has changed. Concurrent callers share one question. */
	async timeline(id: string): Promise<TimelineRecord> {
		const known = this.#machines.get(id)?.timeline;
		return known ?? this.#readTimeline(id);
	}

	/** Ask everything anew, also what failed before. */
	async refresh(): Promise<void> {
		await this.#readList();
		const asked = this.machines.filter(({ timeline, error }) => timeline ?? error);
		await Promise.all(asked.map(({ record }) => this.reload(record.id)));
	}

	/** Ask for one machine anew: after an action of ours. */
	async reload(id: string): Promise<void> {
		await this.#readTimeline(id).catch(() => undefined); // OK: the error is kept with the machine, and shown there.
		this.#changed.fire(id);
	}

	/** The timelines of all machines, one after the other: a machine's row says where it stands before it is opened. */
	async loadTimelines(): Promise<void> {
		for (const { record, timeline, error } of await this.load()) {
			if (timeline === undefined && error === undefined && hasTimeline(record)) await this.reload(record.id);
		}
	}

	/** Somebody looks: poll until the returned handle is disposed. */
	watch(): { dispose(): void } {
		this.#watchers++;
		this.#schedule();
		let done = false;
		return {
			dispose: () => {
				if (done) return;
				done = true;
				this.#watchers--;
			},
		};
	}

	dispose(): void {
		this.#watchers = 0;
		clearTimeout(this.#timer);
		this.#changed.dispose();
	}

	#schedule(): void {
		if (this.#watchers === 0 || this.#timer !== undefined) return;
		this.#timer = setTimeout(() => {
			void this.#poll().finally(() => {
				this.#timer = undefined;
				this.#schedule();
			});
		}, this.interval);
	}

	async #poll(): Promise<void> {
		if (this.#watchers === 0 || this.#state === 'loading') return;
		await this.#readList();
		for (const { record, timeline } of this.machines) {
			if (!timeline) continue;
			// What cannot be asked shows with the machine's status; the next second asks again.
			const generation = await this.engine.generation(record.id).catch(() => undefined);
			if (generation !== undefined && generation !== this.#machines.get(record.id)?.timeline?.generation) {
				await this.reload(record.id);
			}
		}
	}

	async #readList(): Promise<void> {
		const before = this.#listing;
		try {
			const records = await this.engine.listSources();
			const failedBefore = this.#listError !== undefined;
			this.#listError = undefined;
			this.#listing = JSON.stringify(records);
			if (this.#listing === before && this.#state !== 'loading' && !failedBefore) return;
			const old = this.#machines;
			this.#machines = new Map(
				records.map(record => {
					const known = old.get(record.id);
					// Another status means that what was known of the timeline may be wrong.
					const keep = known?.record.status === record.status;
					return [
						record.id,
						{ record, timeline: keep ? known.timeline : undefined, error: keep ? known.error : undefined },
					];
				}),
			);
			this.#state = records.length === 0 ? 'empty' : 'ready';
		} catch (error) {
			const failed = asStrataError(error);
			const same = this.#listError?.message === failed.message;
			this.#listError = failed;
			if (same) return;
			if (this.#state === 'loading') this.#state = 'ready';
		}
		this.#changed.fire(undefined);
	}

	#readTimeline(id: string): Promise<TimelineRecord> {
		const running = this.#timelines.get(id);
		if (running) return running;
		const question = this.engine
			.timeline(id)
			.then(
				timeline => {
					this.#keep(id, { record: timeline.source, timeline, error: undefined });
					return timeline;
				},
				(error: unknown) => {
					const failed = asStrataError(error);
					const known = this.#machines.get(id);
					if (known) this.#keep(id, { record: known.record, timeline: undefined, error: failed });
					throw failed;
				},
			)
			.finally(() => this.#timelines.delete(id));
		this.#timelines.set(id, question);
		return question;
	}

	/** A machine that was removed meanwhile stays removed. */
	#keep(id: string, machine: Machine): void {
		if (this.#machines.has(id)) this.#machines.set(id, machine);
	}
}

/** Without its image a machine has none. */
function hasTimeline({ status }: SourceRecord): boolean {
	return status !== 'missing' && status !== 'changed' && status !== 'error';
}

function asStrataError(error: unknown): StrataError {
	return error instanceof StrataError ? error : new StrataError('ERR_INTERNAL', messageOf(error));
}
