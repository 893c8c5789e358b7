/** How much the current state differs from the snapshot it grew from: the "+214 ~37 −5" on its row. */
import type { EngineApi, TimelineRecord } from '../../shared/engine-api.js';
import { Emitter } from '../emitter.js';
import { CURRENT } from '../state-name.js';
import type { Counts } from './rows.js';

/** The row is an extra: what takes longer is left to *Compare*. */
const PATIENCE_MS = 5000;

export class CurrentCounts {
	readonly #changed = new Emitter<string>();
	/** The id of the source whose counts are there. */
	readonly onDidChange = this.#changed.event;
	readonly #known = new Map<string, { readonly generation: string; readonly counts: Counts | undefined }>();
	readonly #asked = new Map<string, string>();

	constructor(private readonly engine: Pick<EngineApi, 'compare'>) {}

	get(timeline: TimelineRecord): Counts | undefined {
		const known = this.#known.get(timeline.source.id);
		return known?.generation === timeline.generation ? known.counts : undefined;
	}

	/** Find out, once a generation. */
	want(timeline: TimelineRecord): void {
		const { source, position, generation } = timeline;
		if (position === null || source.status !== 'ready') return;
		if (this.#asked.get(source.id) === generation) return;
		this.#asked.set(source.id, generation);
		const a = { source: source.id, state: position };
		const b = { source: source.id, state: CURRENT };
		const signal = AbortSignal.timeout(PATIENCE_MS);
		this.engine.compare(a, b, { limit: 100_000 }, { signal }).then(
			({ counts }) => {
				this.#known.set(source.id, { generation, counts });
				this.#changed.fire(source.id);
			},
			() => undefined, // OK: without an answer the row says nothing; Compare tells the reason.
		);
	}
}
