/** `strata diff`: what differs between two states. */
import { DEFAULT_NOISE } from '../../engine/compare/noise.js';
import { EngineError } from '../../engine/util/errors.js';
import type { StateRef } from '../../shared/engine-api.js';
import type { ChangeRecord } from '../../shared/records.js';
import type { Context } from '../context.js';
import { safe } from '../style.js';

export interface DiffOptions {
	readonly nameStatus?: boolean;
	readonly stat?: boolean;
	readonly patch?: boolean;
	readonly exitCode?: boolean;
	readonly quick?: boolean;
	readonly directoryTimes?: boolean;
	/** `true` for the built-in rules, or patterns. */
	readonly noise?: true | readonly string[];
}

export async function diff(
	context: Context,
	addressA: string,
	addressB: string,
	path: string | undefined,
	options: DiffOptions,
): Promise<void> {
	if ([options.nameStatus, options.stat, options.patch].filter(Boolean).length > 1) {
		throw new EngineError('ERR_USAGE', 'only one of --name-status, --stat and -p can be asked for');
	}
	const [a, b] = [await context.state(addressA), await context.state(addressB)];
	const call = context.call('Comparing');
	const noise = options.noise === true ? DEFAULT_NOISE : (options.noise ?? []);
	const result = await context.engine
		.compare(
			a,
			b,
			{
				...(path === undefined ? {} : { path }),
				...(options.quick ? { quick: true } : {}),
				...(options.directoryTimes ? { directoryTimes: true } : {}),
				noise,
			},
			call,
		)
		.finally(() => call.done());
	if (result.counts.E > 0) context.partial();
	if (options.exitCode && result.changes.length > 0) context.exitWith(1);
	if (context.json) {
		for (const change of result.changes) {
			context.record(
				options.patch ? { ...change, patch: await context.engine.textDiff(a, b, fromTo(change)) } : change,
			);
		}
		return;
	}
	if (options.patch) await patches(context, a, b, result.changes);
	else if (options.stat) statLines(context, result.changes);
	else context.streams.stdout.write(result.changes.map(change => `${nameStatus(context, change)}\n`).join(''));
	if (!options.nameStatus && !options.patch) {
		const { A, D, M, T, R, m, E } = result.counts;
		const parts = [
			[A, 'added'],
			[M + T, 'changed'],
			[D, 'removed'],
			[R, 'moved'],
			[m, 'metadata only'],
			[E, 'unreadable'],
		] as const;
		context.remark(
			parts
				.filter(([count], i) => count > 0 || i < 3)
				.map(([count, word]) => `${count} ${word}`)
				.join(', '),
		);
		for (const text of result.notes) context.remark(safe(text));
	}
	if (result.hidden > 0) context.remark(`${result.hidden} hidden by noise rules`);
}

function nameStatus(context: Context, change: ChangeRecord): string {
	const { style } = context;
	const paint = {
		A: style.added,
		D: style.removed,
		M: style.changed,
		T: style.changed,
		R: style.changed,
		m: style.muted,
		E: style.warning,
	}[change.status];
	const where = change.from === undefined ? change.path : `${change.from} → ${change.path}`;
	return paint(`${change.status}\t${where}${detail(change)}`);
}

function detail(change: ChangeRecord): string {
	if (change.status === 'E') return `\t${safe(change.error?.message ?? '')}`;
	if (change.status === 'T') return `\t${change.type[0] ?? ''} → ${change.type[1] ?? ''}`;
	if (change.status !== 'm') return '';
	const mode =
		change.fields.includes('mode') && change.mode ? ` ${change.mode[0] ?? ''} → ${change.mode[1] ?? ''}` : '';
	return `\t${change.fields.join(', ')}${mode}`;
}

function statLines(context: Context, changes: readonly ChangeRecord[]): void {
	for (const change of changes) {
		const grown = (change.size[1] ?? 0) - (change.size[0] ?? 0);
		context.line(`${nameStatus(context, change)}\t${grown < 0 ? '' : '+'}${grown} bytes`);
	}
}

async function patches(context: Context, a: StateRef, b: StateRef, changes: readonly ChangeRecord[]): Promise<void> {
	for (const change of changes) {
		context.line(context.style.strong(`diff --strata a${change.from ?? change.path} b${change.path}`));
		for (const line of modeLines(change)) context.line(line);
		if (change.status === 'E') context.line(safe(change.error?.message ?? 'unreadable'));
		if (change.status === 'm' || change.status === 'E') continue;
		const text = await context.engine.textDiff(a, b, fromTo(change));
		if (text === undefined) context.line(`Binary files differ (${change.size[0] ?? 0} → ${change.size[1] ?? 0} bytes)`);
		else for (const line of text.split('\n').slice(0, -1)) context.line(paintLine(context, line));
	}
}

/** As git words them. */
function modeLines({ mode, from, path }: ChangeRecord): string[] {
	const lines = from === undefined ? [] : [`rename from ${from}`, `rename to ${path}`];
	if (!mode || mode[0] === mode[1]) return lines;
	if (mode[0] === null) return [...lines, `new file mode ${mode[1]}`];
	if (mode[1] === null) return [...lines, `deleted file mode ${mode[0]}`];
	return [...lines, `old mode ${mode[0]}`, `new mode ${mode[1]}`];
}

function paintLine({ style, streams }: Context, line: string): string {
	// A patch in a file is exact; on a terminal no byte of it may drive the terminal.
	const text = streams.stdout.isTTY === true ? safe(line.replaceAll('\t', '        ')) : line;
	if (line.startsWith('+')) return style.added(text);
	if (line.startsWith('-')) return style.removed(text);
	return line.startsWith('@@') ? style.muted(text) : text;
}

function fromTo(change: ChangeRecord): { path: string; from?: string } {
	return change.from === undefined ? { path: change.path } : { path: change.path, from: change.from };
}
