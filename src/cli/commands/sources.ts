/** `strata sources`, `add`, `remove`, `discover`, `info`. */
import { resolve } from 'node:path';
import type { DiskSpec, MachineConnection } from '../../shared/engine-api.js';
import { EngineError } from '../../engine/util/errors.js';
import type { Context } from '../context.js';
import { formatSize, safe, table } from '../style.js';

export async function sources(context: Context): Promise<void> {
	const list = await context.engine.listSources();
	if (context.json) return list.forEach(source => context.record(source));
	if (list.length === 0) return context.remark('No machines yet. Add a disk image: strata add DISK');
	const rows = list.map(({ id, name, status, disks }) => [
		safe(name),
		id,
		status === 'ready' ? '' : context.style.warning(status),
		disks.map(disk => safe(disk.path)).join(', '),
	]);
	table(rows, context.style, ['NAME', 'ID', 'STATUS', 'DISKS']).forEach(context.line);
	for (const source of list) if (source.statusText) context.remark(`${safe(source.name)}: ${safe(source.statusText)}`);
}

export interface AddOptions {
	readonly name?: string;
	readonly format?: string;
	readonly allowOutside?: boolean;
	readonly qmp?: string;
	readonly agent?: string;
	readonly libvirt?: string;
}

export async function add(context: Context, disks: readonly string[], options: AddOptions): Promise<void> {
	const format = options.format;
	if (format !== undefined && format !== 'raw' && format !== 'qcow2') {
		throw new EngineError('ERR_USAGE', `--format takes qcow2 or raw, not "${format}"`);
	}
	const specs: DiskSpec[] = disks.map(disk => ({ path: resolve(disk), ...(format ? { format } : {}) }));
	const source = await context.engine.addMachine({
		disks: specs,
		...(options.name === undefined ? {} : { name: options.name }),
		...(options.allowOutside ? { allowOutside: true } : {}),
		...connectionFrom(options),
	});
	if (context.json) return context.record(source);
	context.line(
		`${context.style.added('✓')} ${safe(source.name)}  ${context.style.muted(`(${source.id})`)}  strata snapshots ${safe(source.name)}`,
	);
}

function connectionFrom({ qmp, agent, libvirt }: AddOptions): { connection?: MachineConnection } {
	const connection = {
		...(qmp === undefined ? {} : { qmp: absoluteSocket(qmp) }),
		...(agent === undefined ? {} : { agent: absoluteSocket(agent) }),
		...(libvirt === undefined ? {} : { libvirt }),
	};
	return Object.keys(connection).length === 0 ? {} : { connection };
}

/** As QEMU's own option may be written: `unix:PATH`, or the path alone. */
function absoluteSocket(text: string): string {
	if (text.startsWith('tcp:')) return text;
	return resolve(text.replace(/^unix:/, ''));
}

export async function remove(context: Context, address: string): Promise<void> {
	const source = await context.source(address);
	await context.engine.removeSource(source);
	if (context.json) return context.record({ removed: source });
	context.line(`${context.style.added('✓')} forgotten; the images and their journals stay where they are`);
}

export async function discover(context: Context, folders: readonly string[]): Promise<void> {
	const call = context.call('Looking for disk images');
	const found = await context.engine
		.discover({ folders: folders.map(folder => resolve(folder)), knownPlaces: folders.length === 0 }, call)
		.finally(() => call.done());
	if (context.json) return found.forEach(machine => context.record(machine));
	if (found.length === 0) return context.remark('No disk images found.');
	const rows = found.flatMap(machine =>
		machine.disks.map(disk => [
			safe(machine.name),
			disk.format,
			formatSize(disk.size),
			disk.snapshots === 0 ? '' : `${disk.snapshots} snapshot${disk.snapshots === 1 ? '' : 's'}`,
			machine.registeredAs === null ? '' : 'added',
			disk.chain.map(safe).join(' → '),
		]),
	);
	table(rows, context.style, ['NAME', 'FORMAT', 'SIZE', 'SNAPSHOTS', '', 'IMAGE → BACKING FILES']).forEach(
		context.line,
	);
}

export async function info(context: Context, address: string): Promise<void> {
	const record = await context.engine.info(await context.state(address));
	if (context.json) return context.record(record);
	for (const disk of record.disks) {
		context.line(
			`${context.style.strong(safe(disk.path))}  ${disk.format}  ${formatSize(disk.size)}  ${formatSize(disk.fileSize)} on this computer`,
		);
		for (const file of disk.files.slice(1))
			context.line(`  ${file.role}  ${safe(file.path)}  ${file.format}  ${formatSize(file.fileSize)}`);
	}
	context.line(`${record.snapshots} snapshot${record.snapshots === 1 ? '' : 's'}${record.inUse ? '  in use' : ''}`);
	const rows = record.volumes.map(volume => [
		volume.path,
		volume.type,
		formatSize(volume.size),
		safe(volume.label || volume.partitionName || ''),
		volume.uuid,
		volume.readable ? '' : volume.problem ? safe(volume.problem) : 'not readable yet',
	]);
	table(rows, context.style, ['VOLUME', 'TYPE', 'SIZE', 'LABEL', 'UUID', '']).forEach(context.line);
	for (const note of [...record.unsupported, ...record.notes]) context.line(context.style.warning(safe(note)));
}
