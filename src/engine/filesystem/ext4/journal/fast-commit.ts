/** Fast commits of ext4: small logical records behind the journal's last full transaction. */
import type { RawName } from '../../../util/names.js';

/** One record, in the words of the format. Block numbers and lengths are in blocks of the filesystem. */
export type FastCommitOperation =
	| { readonly tag: 'inode'; readonly inode: number; readonly raw: Uint8Array }
	| {
			readonly tag: 'addRange';
			readonly inode: number;
			readonly logical: number;
			readonly physical: number;
			readonly length: number;
			readonly unwritten: boolean;
	  }
	| { readonly tag: 'deleteRange'; readonly inode: number; readonly logical: number; readonly length: number }
	| {
			readonly tag: 'create' | 'link' | 'unlink';
			readonly directory: number;
			readonly inode: number;
			readonly name: RawName;
	  };

/** The valid fast commits, in order, and what they touch. */
export interface FastCommitOverlay {
	readonly operations: readonly FastCommitOperation[];
	/** Inodes whose own fields, content or number of links may differ from what `blocks` say. */
	readonly touchedInodes: ReadonlySet<number>;
	/** Directories whose names may differ from what `blocks` say. */
	readonly touchedDirectories: ReadonlySet<number>;
}
