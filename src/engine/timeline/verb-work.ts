import { UNWATCHED, type Work } from '../util/work.js';

/** How a verb talks to whoever watches. */
export interface VerbWork extends Work {
	/** Called once nothing can be cancelled any more: from here on the action is finished, or settled later. */
	committed(): void;
	/** The engine's bundle, when the verb is carried out by it: it can be started to guard what must end. */
	readonly helper?: string;
}

export const UNWATCHED_VERB: VerbWork = { ...UNWATCHED, committed: () => undefined };
