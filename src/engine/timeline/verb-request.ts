/** A verb as plain data: what the helper process is asked for, and what it answers. */
import type { ActionResult } from '../../shared/engine-api.js';
import type { Host } from './home.js';
import type { Source } from './source.js';
import type { VerbWork } from './verb-work.js';
import { deleteSnapshot, rollBack, settle, takeSnapshot, undo } from './verbs.js';

export type VerbRequest =
	| {
			readonly verb: 'take';
			readonly label: string;
			readonly note?: string;
			readonly memory?: boolean;
			readonly validated?: boolean;
	  }
	| { readonly verb: 'rollback'; readonly key: string }
	| { readonly verb: 'undo' }
	| { readonly verb: 'delete'; readonly key: string }
	| { readonly verb: 'settle' };

/** `done` only of `settle`. */
export type VerbResult = ActionResult | { readonly done: readonly string[] };

/** Carry out a verb in this process. */
export async function carryOut(host: Host, source: Source, request: VerbRequest, work: VerbWork): Promise<VerbResult> {
	switch (request.verb) {
		case 'take':
			return takeSnapshot(host, source, request, work);
		case 'rollback':
			return rollBack(host, source, request.key, work);
		case 'undo':
			return undo(host, source, work);
		case 'delete':
			return deleteSnapshot(host, source, request.key, work);
		case 'settle':
			return settle(host, source, work);
	}
}
