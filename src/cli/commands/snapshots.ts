/** The timeline and its verbs. */
import { createInterface } from 'node:readline/promises';
import type { ActionResult, CallOptions, StateRef } from '../../shared/engine-api.js';
import type { SnapshotRecord } from '../../shared/records.js';
import { EngineError } from '../../engine/util/errors.js';
import type { Context } from '../context.js';
import { formatAge, formatSize, safe, table } from '../style.js';

/** Beyond this many, sizes are worked out only when asked for: every table of the image is read. */
const SIZES_UP_TO = 200;

export async function snapshots(context: Context, address: string, options: { size?: boolean }): Promise<void> {
	const source = await context.source(address);
	const timeline = await context.engine.timeline(source);
	const wanted = options.size ?? timeline.snapshots.length <= SIZES_UP_TO;
	const call = context.call('Measuring snapshots');
	const sizes =
		wanted && timeline.snapshots.length > 0
			? await context.engine.exclusiveBytes(source, call).finally(() => call.done())
			: {};
	const list = timeline.snapshots.map(snapshot => ({ ...snapshot, exclusiveBytes: sizes[snapshot.key] ?? null }));
	if (context.json) return list.forEach(snapshot => context.record(snapshot));
	if (list.length === 0) {
		// Whether there are snapshots is not known when the image could not be read.
		const { statusText } = timeline.source;
		if (statusText !== '') return context.remark(safe(statusText));
		return context.remark(
			timeline.readOnlyReason === null
				? 'No snapshots yet. Take one: strata snapshot SOURCE -m LABEL'
				: safe(timeline.readOnlyReason),
		);
	}
	const now = Date.now();
	const names = new Map(list.map(snapshot => [snapshot.key, snapshot.name]));
	const rows = list.map(snapshot => [
		snapshot.current ? '◉' : ' ',
		safe(snapshot.name),
		snapshot.id,
		snapshot.key,
		formatAge(snapshot.time, now),
		snapshot.kind,
		snapshot.exclusiveBytes === null ? '' : formatSize(snapshot.exclusiveBytes),
		parentText(snapshot, names),
	]);
	table(rows, context.style, ['', 'NAME', 'ID', 'KEY', 'TAKEN', 'KIND', 'SIZE', 'PARENT']).forEach(context.line);
	for (const { name, note } of list) if (note) context.remark(`${safe(name)}: ${safe(note)}`);
	if (timeline.undo)
		context.remark(
			`Rolled back to ${safe(names.get(timeline.undo.rolledBackTo) ?? timeline.undo.rolledBackTo)} ${formatAge(timeline.undo.time, now)}; undo: strata undo ${safe(address)}`,
		);
}

function parentText(snapshot: SnapshotRecord, names: ReadonlyMap<string, string>): string {
	if (snapshot.parent !== null)
		return `${safe(names.get(snapshot.parent) ?? snapshot.parent)}${snapshot.inferred ? ' (guessed)' : ''}`;
	if (snapshot.candidates.length > 0)
		return `one of ${snapshot.candidates.map(key => safe(names.get(key) ?? key)).join(', ')}`;
	return '';
}

export interface SnapshotOptions {
	readonly message: string;
	readonly note?: string;
	readonly memory?: boolean;
	readonly validated?: boolean;
}

export async function snapshot(context: Context, address: string, options: SnapshotOptions): Promise<void> {
	const source = await context.source(address);
	const { message: label, note, memory = false, validated = false } = options;
	const result = await follow(context, 'Taking a snapshot', call =>
		context.engine.takeSnapshot(
			source,
			{
				label,
				...(note === undefined ? {} : { note }),
				...(memory ? { memory } : {}),
				...(validated ? { validated } : {}),
			},
			call,
		),
	);
	report(context, result, result.name, `undo: strata delete ${safe(address)}@${result.id}`);
}

export async function rollback(context: Context, address: string): Promise<void> {
	const state = await snapshotState(context, address);
	const result = await follow(context, 'Rolling back', call => context.engine.rollBack(state, call));
	const source = address.slice(0, address.lastIndexOf('@'));
	report(context, result, `rolled back to ${result.name}`, `undo: strata undo ${safe(source)}`);
	if (result.safetySnapshot && !context.json)
		context.remark(`What was there before is kept as "${safe(result.safetySnapshot.name)}".`);
}

export async function undo(context: Context, address: string): Promise<void> {
	const source = await context.source(address);
	const result = await follow(context, 'Undoing the rollback', call => context.engine.undo(source, call));
	report(context, result, 'rollback undone', `again: strata undo ${safe(address)}`);
}

export async function remove(context: Context, address: string, options: { yes?: boolean }): Promise<void> {
	const state = await snapshotState(context, address);
	const { stdin, stderr } = context.streams;
	if (!options.yes && stdin.isTTY === true && stderr.isTTY === true) {
		const ask = createInterface({ input: stdin, output: stderr });
		const answer = await ask
			.question(`Delete ${safe(address)}? This cannot be undone. [y/N] `)
			.finally(() => ask.close());
		if (!/^y(es)?$/i.test(answer.trim())) throw new EngineError('ERR_CANCELLED', 'nothing was deleted');
	}
	const result = await follow(context, 'Deleting the snapshot', call => context.engine.deleteSnapshot(state, call));
	report(
		context,
		result,
		`${result.name} deleted`,
		result.freedBytes === undefined ? '' : `${formatSize(result.freedBytes)} freed`,
	);
}

export async function rename(context: Context, address: string, label: string): Promise<void> {
	await context.engine.renameSnapshot(await snapshotState(context, address), label);
	if (context.json) return context.record({ renamed: label });
	context.line(`${context.style.added('✓')} ${safe(label)}`);
}

export async function note(context: Context, address: string, text: string): Promise<void> {
	await context.engine.setNote(await snapshotState(context, address), text);
	if (context.json) return context.record({ note: text });
	context.line(`${context.style.added('✓')} noted`);
}

export async function settle(context: Context, address: string): Promise<void> {
	const source = await context.source(address);
	const { done } = await follow(context, 'Settling', call => context.engine.settle(source, call));
	if (context.json) return context.record({ done });
	if (done.length === 0) context.line(`${context.style.added('✓')} nothing to settle`);
	for (const sentence of done) context.line(`${context.style.added('✓')} ${safe(sentence)}`);
}

async function snapshotState(context: Context, address: string): Promise<StateRef> {
	const state = await context.state(address);
	if (state.state === 'current')
		throw new EngineError('ERR_USAGE', `"${address}" names no snapshot: write SOURCE@SNAPSHOT`);
	return state;
}

/** Verbs are carried out by a helper process: they can be cancelled until it says that it is too late. */
async function follow<T>(context: Context, step: string, work: (call: CallOptions) => Promise<T>): Promise<T> {
	const call = context.call(step);
	using interrupt = context.interruptible();
	return await work({ ...call, signal: interrupt.signal }).finally(() => call.done());
}

function report(context: Context, result: ActionResult, what: string, next: string): void {
	if (context.json) return context.record(result);
	const seconds = (result.milliseconds / 1000).toFixed(2);
	context.line(`${context.style.added('✓')} ${safe(what)}  (${result.id})  ${seconds} s${next ? `      ${next}` : ''}`);
	const stood = [
		...(result.pausedMilliseconds === undefined ? [] : [`stood still for ${result.pausedMilliseconds} ms`]),
		...(result.frozenMilliseconds === undefined ? [] : [`was frozen for ${result.frozenMilliseconds} ms`]),
	];
	if (stood.length > 0) context.remark(`The guest ${stood.join(' and ')}.`);
	for (const warning of result.warnings) context.remark(safe(warning));
}
