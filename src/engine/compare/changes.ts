/** Where a comparison puts what it finds. */
import type { ChangeField } from '../../shared/records.js';
import type { Inode } from '../filesystem/filesystem.js';
import { EngineError } from '../util/errors.js';
import { textFromRaw, type RawPath } from '../util/names.js';
import { statusOfFields, type Change, type UnreadableSide } from './change.js';

export interface ChangesOptions {
	/** Also directories of which only the mtime differs. */
	readonly directoryTimes: boolean;
	/** More changes than this end the comparison. */
	readonly limit: number;
	/** Only this path and what is below it; `/` for everything. */
	readonly path: RawPath;
}

/** Collects changes of one pair of volumes after the other, in any order. */
export class Changes {
	readonly list: Change[] = [];
	/** Index of the pair of volumes that is being compared. */
	volume = 0;
	readonly #below: string;

	constructor(readonly options: ChangesOptions) {
		this.#below = options.path === '/' ? '/' : `${options.path}/`;
	}

	/** Whether `path` is asked for. */
	wants(path: RawPath): boolean {
		return this.options.path === '/' || path === this.options.path || path.startsWith(this.#below);
	}

	/** Whether anything at or below `path` may be asked for. */
	wantsBelow(path: RawPath): boolean {
		return this.wants(path) || path === '/' || this.options.path.startsWith(`${path}/`);
	}

	added(path: RawPath, inode: Inode): void {
		if (!this.wants(path)) return;
		this.#push({ status: 'A', path, fields: [], a: undefined, b: sideOf(inode), volume: this.volume });
	}

	deleted(path: RawPath, inode: Inode): void {
		if (!this.wants(path)) return;
		this.#push({ status: 'D', path, fields: [], a: sideOf(inode), b: undefined, volume: this.volume });
	}

	/** The two inodes of one path, and the fields in which they differ; nothing is told when there is nothing to tell. */
	compared(path: RawPath, a: Inode, b: Inode, fields: readonly ChangeField[]): void {
		if (!this.wants(path) || !isWorthTelling(a, b, fields, this.options)) return;
		const status = statusOfFields(fields);
		this.#push({ status, path, fields, a: sideOf(a), b: sideOf(b), volume: this.volume });
	}

	unreadable(path: RawPath, problem: UnreadableSide, a: Inode | undefined, b: Inode | undefined): void {
		if (!this.wants(path)) return;
		this.#push({
			status: 'E',
			path,
			fields: [],
			a: a && sideOf(a),
			b: b && sideOf(b),
			side: problem.side,
			error: problem.reason.with({ path: textFromRaw(path) }).toJSON(),
			volume: this.volume,
		});
	}

	push(change: Change): void {
		if (this.wants(change.path)) this.#push(change);
	}

	/** Forget what was found since the list had `length` changes. */
	rewind(length: number): void {
		this.list.length = length;
	}

	#push(change: Change): void {
		if (this.list.length >= this.options.limit) {
			throw new EngineError('ERR_LIMIT', `more than ${this.options.limit} paths differ; compare a folder of them`, {
				expected: this.options.limit,
			});
		}
		this.list.push(change);
	}
}

/** A directory's mtime changes with every name in it: by itself it tells nothing that the names do not. */
export function isWorthTelling(
	a: Inode,
	b: Inode,
	fields: readonly ChangeField[],
	options: { readonly directoryTimes: boolean },
): boolean {
	if (fields.length === 0) return false;
	const onlyTime = fields.length === 1 && fields[0] === 'mtime' && a.kind === 'directory' && b.kind === 'directory';
	return !onlyTime || options.directoryTimes;
}

function sideOf(inode: Inode): { kind: Inode['kind']; inode: Inode } {
	return { kind: inode.kind, inode };
}
