/** Messages between the *Disk Image* editor and its page. Plain data; text from the image is text on both sides. */

export interface DiskImageModel {
	readonly title: string;
	readonly summary: readonly Fact[];
	readonly chain: readonly { readonly path: string; readonly role: string; readonly facts: string }[];
	readonly volumes: readonly {
		readonly name: string;
		readonly type: string;
		readonly size: string;
		readonly note: string;
	}[];
	readonly snapshots: readonly { readonly name: string; readonly time: string; readonly facts: string }[];
	readonly notes: readonly string[];
	/** Name under which it is registered; null when it is not. */
	readonly registeredAs: string | null;
	readonly words: Readonly<Record<Word, string>>;
}

export interface Fact {
	readonly name: string;
	readonly value: string;
}

/** The page's own words, translated by the extension. */
export type Word = 'chain' | 'volumes' | 'snapshots' | 'notes' | 'add' | 'show' | 'noSnapshots' | 'noVolumes';

export type ToDiskImagePage =
	| { readonly type: 'model'; readonly model: DiskImageModel }
	| { readonly type: 'failed'; readonly title: string; readonly message: string };

export type FromDiskImagePage = { readonly type: 'ready' } | { readonly type: 'add' } | { readonly type: 'show' };
