/**
 * What travels between the extension and the Snapshot Timeline's page. Plain data; text from images is text here, and
 * the page writes it as text nodes alone.
 *
 * Rows come in pieces, so that ten thousand of them hold up neither side. Requests have ids; each has one reply.
 */

/** One row: a snapshot, or a machine's current state. */
export interface TimelineRow {
	/** `source/state`: unique over all machines. */
	readonly id: string;
	readonly source: string;
	/** `current`, or the snapshot's key. */
	readonly state: string;
	readonly label: string;
	/** ISO 8601. Of the current state: now. */
	readonly time: string;
	/** Id of the row it grew from. */
	readonly parent: string | null;
	/** The parent is a guess. */
	readonly inferred: boolean;
	/** What the current state grew from. */
	readonly isPosition: boolean;
	readonly safety: boolean;
	/** Words for the last column: "memory", "crash-consistent", a size. */
	readonly facts: readonly string[];
	readonly note: string;
	/** What a screen reader says of the row. */
	readonly spoken: string;
	/** Tokens for the context menu's `when` clauses: "snapshot memory current". */
	readonly tokens: string;
}

export interface TimelineMachine {
	readonly id: string;
	readonly name: string;
	/** Empty when there is nothing to say. */
	readonly status: string;
}

/** Words of the page's own, translated by the extension. */
export interface TimelineStrings {
	readonly allMachines: string;
	readonly machine: string;
	readonly filter: string;
	readonly hideOthers: string;
	readonly base: string;
	readonly target: string;
	readonly none: string;
	readonly compare: string;
	readonly rollBack: string;
	readonly openFiles: string;
	readonly today: string;
	readonly yesterday: string;
	readonly snapshots: string;
	readonly empty: string;
	readonly noMatch: string;
	/** With {0} of {1}. */
	readonly matches: string;
	readonly guessed: string;
	readonly activity: string;
	readonly loading: string;
}

export type TimelineRequest =
	| { readonly action: 'compare'; readonly base: string; readonly targets: readonly string[] }
	| { readonly action: 'selectBase'; readonly row: string | null }
	| { readonly action: 'rollBack' | 'openFiles' | 'rename' | 'delete'; readonly row: string };

/** From the page. */
export type ToExtension =
	| { readonly type: 'ready' }
	| ({ readonly type: 'request'; readonly id: number } & TimelineRequest)
	/** How long the page took from the last piece to the second frame after it was drawn, in milliseconds. */
	| { readonly type: 'painted'; readonly revision: number; readonly rows: number; readonly milliseconds: number };

/** To the page. */
export type ToPage =
	/** At once, before anything was read. */
	| { readonly type: 'words'; readonly strings: TimelineStrings }
	| { readonly type: 'begin'; readonly revision: number; readonly machines: readonly TimelineMachine[] }
	| { readonly type: 'rows'; readonly revision: number; readonly rows: readonly TimelineRow[] }
	| { readonly type: 'end'; readonly revision: number }
	/** What is compared elsewhere: ids of rows. */
	| { readonly type: 'compared'; readonly base: string | null; readonly targets: readonly string[] }
	| { readonly type: 'reveal'; readonly row: string }
	| { readonly type: 'reply'; readonly id: number; readonly error?: string };

/** What a row hands to the commands of its context menu (`data-vscode-context`). */
export interface TimelineRowContext {
	readonly webviewSection: 'row';
	readonly strataRow: string;
	readonly preventDefaultContextMenuItems: true;
}
