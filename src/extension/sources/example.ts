/** The built-in example machine: unpacked into Strata's own folder when the view is first seen, never at activation. */
import { access, mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import * as vscode from 'vscode';
import type { SourceRecord } from '../../shared/engine-api.js';
import { messageOf } from '../engine-error.js';
import type { Services } from '../services.js';
import { namedSnapshot } from '../state-name.js';

const HIDDEN = 'example.hidden';
const SHOWN = 'example.shown';
const PACKED = ['media', 'example'];

/** Registers the example unless somebody removed it, and on the very first time fills *Changes* with it. */
export async function ensureExample(services: Services): Promise<void> {
	const { context, sources, log } = services;
	try {
		await sources.load();
		if (!context.globalState.get<boolean>(HIDDEN, false)) await addExample(services);
		const example = sources.machines.find(({ record }) => record.example);
		if (example && !context.globalState.get<boolean>(SHOWN, false)) {
			await context.globalState.update(SHOWN, true);
			await compareLastTwo(services, example.record);
		}
	} catch (error) {
		log.warn(`the example machine: ${messageOf(error)}`);
	}
}

/** *Open Example Machine*: also when it was removed before. */
export async function addExample(services: Services): Promise<SourceRecord> {
	const { context, engine, sources } = services;
	const known = sources.machines.find(({ record }) => record.example);
	if (known && known.record.status !== 'missing') return known.record;
	const path = await unpack(context);
	await context.globalState.update(HIDDEN, false);
	// Removed files of the example come back at their own place.
	const record = known
		? known.record
		: await engine.addMachine({ disks: [{ path, format: 'qcow2' }], name: 'example', example: true });
	await sources.refresh();
	return record;
}

/** The example stays away until *Open Example Machine*. */
export async function hideExample({ context }: Services): Promise<void> {
	await context.globalState.update(HIDDEN, true);
}

export async function compareLastTwo(services: Services, record: SourceRecord): Promise<void> {
	if (services.comparison.outcomes.length > 0 || services.comparison.remembered.length > 0) return;
	const timeline = await services.sources.timeline(record.id);
	const [newest] = timeline.snapshots;
	if (!newest) return;
	// The last two of one branch: what the newest changed. Without a known parent, the one before it.
	const parent = timeline.snapshots.find(({ key }) => key === newest.parent) ?? timeline.snapshots[1];
	if (parent) await services.comparison.compare(namedSnapshot(timeline, parent), [namedSnapshot(timeline, newest)]);
}

async function unpack(context: vscode.ExtensionContext): Promise<string> {
	const folder = vscode.Uri.joinPath(context.globalStorageUri, 'example').fsPath;
	const path = join(folder, 'example.qcow2');
	try {
		await access(path);
		return path;
	} catch {
		// OK: not there yet.
	}
	const packed = (name: string) =>
		vscode.workspace.fs.readFile(vscode.Uri.joinPath(context.extensionUri, ...PACKED, name));
	const bytes = await promisify(gunzip)(await packed('example.qcow2.gz'));
	// Parents and notes, which the image cannot hold. It goes first: where the image is, everything is.
	const journal = join(folder, '.strata', 'example.qcow2.journal');
	await mkdir(dirname(journal), { recursive: true });
	await replace(journal, await packed('example.journal'));
	await replace(path, bytes);
	return path;
}

/** Another window may do the same at this moment: whole files take each other's place. */
async function replace(path: string, bytes: Uint8Array): Promise<void> {
	const temporary = `${path}.${process.pid}`;
	await writeFile(temporary, bytes);
	await rename(temporary, path);
}
