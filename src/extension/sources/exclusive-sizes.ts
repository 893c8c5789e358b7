/** How much deleting each snapshot would free: known a moment after its row, and for machines of few snapshots only. */
import type { EngineApi, TimelineRecord } from '../../shared/engine-api.js';
import { Emitter } from '../emitter.js';

/** The tables of every snapshot are read: with more of them the figures are not worth the wait. */
const MAX_SNAPSHOTS = 500;
const PATIENCE_MS = 5000;

type Sizes = Readonly<Record<string, number | null>>;

export class ExclusiveSizes {
	readonly #changed = new Emitter<string>();
	/** The id of the source whose sizes are there. */
	readonly onDidChange = this.#changed.event;
	readonly #known = new Map<string, { readonly generation: string; readonly sizes: Sizes }>();
	readonly #asked = new Map<string, string>();
	/** The same answer for the same timeline: rows are drawn anew only when they differ. */
	readonly #withSizes = new WeakMap<TimelineRecord, TimelineRecord>();

	constructor(private readonly engine: Pick<EngineApi, 'exclusiveBytes'>) {}

	/** The timeline with its sizes, as far as they are known; asks for them once a generation. */
	in(timeline: TimelineRecord): TimelineRecord {
		const done = this.#withSizes.get(timeline);
		if (done) return done;
		const { source, generation, snapshots } = timeline;
		const known = this.#known.get(source.id);
		if (known?.generation !== generation) {
			this.#ask(timeline);
			return timeline;
		}
		const sized = snapshots.map(snapshot => ({ ...snapshot, exclusiveBytes: known.sizes[snapshot.key] ?? null }));
		const filled: TimelineRecord = { ...timeline, snapshots: sized };
		this.#withSizes.set(timeline, filled);
		this.#withSizes.set(filled, filled);
		return filled;
	}

	#ask({ source, generation, snapshots }: TimelineRecord): void {
		if (snapshots.length === 0 || MAX_SNAPSHOTS < snapshots.length || source.status !== 'ready') return;
		if (this.#asked.get(source.id) === generation) return;
		this.#asked.set(source.id, generation);
		this.engine.exclusiveBytes(source.id, { signal: AbortSignal.timeout(PATIENCE_MS) }).then(
			sizes => {
				this.#known.set(source.id, { generation, sizes });
				this.#changed.fire(source.id);
			},
			() => undefined, // OK: an extra; the row says everything else.
		);
	}
}
