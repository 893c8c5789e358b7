/**
 * The open comparison: one base against one or more targets, what the engine found, and how it is looked at.
 * It survives a restart of the window, and is made anew when a current state in it changed. Knows no VS Code.
 */
import type { ComparisonRecord, EngineApi, ProgressRecord, SummaryRecord } from '../../shared/engine-api.js';
import { Emitter } from '../emitter.js';
import { isCancelled, messageOf, StrataError } from '../engine-error.js';
import { CURRENT, refOf, sameState, type NamedState } from '../state-name.js';
import type { Layout } from './change-model.js';

/** How many paths are handed to `summary`: beyond that, one more says nothing new. */
const MAX_SUMMARY_PATHS = 50_000;

export interface Pair {
	readonly a: NamedState;
	readonly b: NamedState;
}

/** One target's result. */
export type Outcome =
	| { readonly state: 'running'; readonly pair: Pair; readonly progress: ProgressRecord | undefined }
	| {
			readonly state: 'done';
			readonly pair: Pair;
			readonly record: ComparisonRecord;
			readonly summary: SummaryRecord | undefined;
	  }
	| { readonly state: 'failed'; readonly pair: Pair; readonly error: StrataError };

export interface ComparisonSettings {
	/** The noise rules, whether they are applied or not. */
	readonly rules: () => readonly string[];
	readonly hideNoise: () => boolean;
	/** A small store that outlives the window. */
	readonly memory: { get(key: string): unknown; update(key: string, value: unknown): PromiseLike<void> };
}

type Engine = Pick<EngineApi, 'compare' | 'summary'>;

const PAIRS = 'comparison.pairs';
const LAYOUT = 'comparison.layout';

export class ComparisonModel {
	readonly #changed = new Emitter<void>();
	readonly onDidChange = this.#changed.event;
	#outcomes: readonly Outcome[] = [];
	#filter = '';
	#layout: Layout;
	#hideNoise: boolean;
	#abort = new AbortController();

	constructor(
		private readonly engine: Engine,
		private readonly settings: ComparisonSettings,
	) {
		const layout = settings.memory.get(LAYOUT);
		this.#layout = layout === 'list' || layout === 'packages' ? layout : 'tree';
		this.#hideNoise = settings.hideNoise();
	}

	get outcomes(): readonly Outcome[] {
		return this.#outcomes;
	}

	/** Pairs that were open when the window closed. */
	get remembered(): readonly Pair[] {
		const pairs = this.settings.memory.get(PAIRS);
		return Array.isArray(pairs) ? (pairs as Pair[]) : []; // OK: nobody else writes this key.
	}

	get filter(): string {
		return this.#filter;
	}

	set filter(text: string) {
		this.#filter = text;
		this.#changed.fire();
	}

	get layout(): Layout {
		return this.#layout;
	}

	set layout(layout: Layout) {
		this.#layout = layout;
		void this.settings.memory.update(LAYOUT, layout);
		this.#changed.fire();
	}

	/** Whether noise rules are applied now. */
	get hidesNoise(): boolean {
		return this.#hideNoise;
	}

	/** What the view offers: nothing to hide, something hidden, or everything shown. */
	get noise(): 'none' | 'hidden' | 'shown' {
		if (this.settings.rules().length === 0) return 'none';
		return this.#hideNoise ? 'hidden' : 'shown';
	}

	async setNoise(noise: 'hidden' | 'shown'): Promise<void> {
		this.#hideNoise = noise === 'hidden';
		await this.#run(this.#pairs());
	}

	/** Compare one base with targets; what was open before is closed. */
	async compare(base: NamedState, targets: readonly NamedState[]): Promise<void> {
		const pairs = targets.filter(target => !sameState(base, target)).map(target => ({ a: base, b: target }));
		void this.settings.memory.update(PAIRS, pairs);
		this.#filter = '';
		await this.#run(pairs);
	}

	async swap(): Promise<void> {
		const pairs = this.#pairs().map(({ a, b }) => ({ a: b, b: a }));
		void this.settings.memory.update(PAIRS, pairs);
		await this.#run(pairs);
	}

	/** Do it again: something changed, or the view came into sight. */
	async refresh(): Promise<void> {
		await this.#run(this.#outcomes.length > 0 ? this.#pairs() : this.remembered);
	}

	close(): void {
		this.#abort.abort();
		this.#outcomes = [];
		void this.settings.memory.update(PAIRS, []);
		this.#changed.fire();
	}

	/** Whether a current state of this source is compared: a change of the source may then change the answer. */
	involvesCurrent(source: string): boolean {
		return this.#pairs().some(({ a, b }) => [a, b].some(side => side.source === source && side.state === CURRENT));
	}

	/** Ends what runs; what is shown stays. */
	cancel(): void {
		this.#abort.abort();
	}

	dispose(): void {
		this.#abort.abort();
		this.#changed.dispose();
	}

	#pairs(): readonly Pair[] {
		return this.#outcomes.map(({ pair }) => pair);
	}

	async #run(pairs: readonly Pair[]): Promise<void> {
		this.#abort.abort();
		const abort = (this.#abort = new AbortController());
		const before = this.#outcomes;
		// What was found before stays on the screen until the new answer is there.
		this.#outcomes = pairs.map(pair => {
			const known = before.find(old => samePair(old.pair, pair) && old.state === 'done');
			return known ?? { state: 'running', pair, progress: undefined };
		});
		this.#changed.fire();
		for (const [index, pair] of pairs.entries()) {
			const outcome = await this.#runOne(index, pair, abort.signal);
			if (abort !== this.#abort || !outcome) return;
			this.#put(index, outcome);
			if (outcome.state === 'done') void this.#summarise(index, outcome, abort);
		}
	}

	async #runOne(index: number, pair: Pair, signal: AbortSignal): Promise<Outcome | undefined> {
		const onProgress = (progress: ProgressRecord) => {
			if (!signal.aborted && this.#outcomes[index]?.state === 'running') {
				this.#put(index, { state: 'running', pair, progress });
			}
		};
		const noise = this.#hideNoise ? { noise: this.settings.rules() } : {};
		try {
			const record = await this.engine.compare(refOf(pair.a), refOf(pair.b), noise, { signal, onProgress });
			return { state: 'done', pair, record, summary: undefined };
		} catch (error) {
			if (isCancelled(error)) {
				return signal === this.#abort.signal
					? { state: 'failed', pair, error: new StrataError('ERR_CANCELLED', 'cancelled') }
					: undefined;
			}
			const failed = StrataError.is(error) ? error : new StrataError('ERR_INTERNAL', messageOf(error));
			return { state: 'failed', pair, error: failed };
		}
	}

	/** Packages, services and users come a moment after the files. */
	async #summarise(index: number, done: Outcome & { state: 'done' }, abort: AbortController): Promise<void> {
		const paths = done.record.changes.slice(0, MAX_SUMMARY_PATHS).map(({ path }) => path);
		if (paths.length === 0) return;
		try {
			const { a, b } = done.pair;
			const summary = await this.engine.summary(refOf(a), refOf(b), paths, { signal: abort.signal });
			if (abort === this.#abort && this.#outcomes[index] === done) this.#put(index, { ...done, summary });
		} catch {
			// OK: the summary is an extra; without it the files stand alone. The engine's log has the reason.
		}
	}

	#put(index: number, outcome: Outcome): void {
		this.#outcomes = this.#outcomes.map((old, i) => (i === index ? outcome : old));
		this.#changed.fire();
	}
}

function samePair(one: Pair, two: Pair): boolean {
	return sameState(one.a, two.a) && sameState(one.b, two.b);
}
