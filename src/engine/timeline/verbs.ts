/** What a person does to a timeline. Each verb is one action: begun and ended in the journal, under the machine's lock. */
import type { ActionResult } from '../../shared/engine-api.js';
import type { Work } from '../util/work.js';
import type { Host } from './home.js';
import type { Source } from './source.js';

/** One verb, as plain data: what the helper process is asked for. */
export type VerbRequest =
	| { readonly verb: 'take'; readonly label: string; readonly note?: string }
	| { readonly verb: 'rollback'; readonly key: string }
	| { readonly verb: 'undo' }
	| { readonly verb: 'delete'; readonly key: string }
	| { readonly verb: 'settle' };

/** How a verb talks to whoever watches. */
export interface VerbWork extends Work {
	/** Called once nothing can be cancelled any more: from here on the action is finished, or settled later. */
	committed(): void;
}

export declare function takeSnapshot(
	host: Host,
	source: Source,
	options: { readonly label: string; readonly note?: string },
	work?: VerbWork,
): Promise<ActionResult>;
export declare function rollBack(host: Host, source: Source, key: string, work?: VerbWork): Promise<ActionResult>;
export declare function undo(host: Host, source: Source, work?: VerbWork): Promise<ActionResult>;
export declare function deleteSnapshot(host: Host, source: Source, key: string, work?: VerbWork): Promise<ActionResult>;
/** Strata's label alone: the image is not touched, and may be in use. */
export declare function renameSnapshot(host: Host, source: Source, key: string, label: string): Promise<void>;
export declare function setNote(host: Host, source: Source, key: string, note: string): Promise<void>;
export declare function settle(
	host: Host,
	source: Source,
	work?: VerbWork,
): Promise<{ readonly done: readonly string[] }>;
