/**
 * A machine in memory that answers as the engine does, for tests of what the extension makes of the answers.
 * Two snapshots, a few files; never shipped.
 */
import type {
	ComparisonRecord,
	EngineApi,
	FileFacts,
	SourceRecord,
	TimelineRecord,
} from '../../src/shared/engine-api.js';
import type { ChangeRecord, ListRecord, SnapshotRecord } from '../../src/shared/records.js';

export function snapshot(over: Partial<SnapshotRecord> & Pick<SnapshotRecord, 'key' | 'name'>): SnapshotRecord {
	return {
		id: '1',
		tag: over.name,
		note: '',
		parent: null,
		inferred: false,
		candidates: [],
		time: '2026-11-20T10:00:00.000000000Z',
		kind: 'disk',
		consistency: 'offline',
		exclusiveBytes: null,
		current: false,
		safety: false,
		vmStateSize: 0,
		missingOn: [],
		...over,
	};
}

export function source(over: Partial<SourceRecord> = {}): SourceRecord {
	return {
		id: 'abcd2345',
		name: 'dev-debian',
		kind: 'machine',
		disks: [{ path: '/srv/dev.qcow2', format: 'qcow2' }],
		example: false,
		status: 'ready',
		statusText: '',
		...over,
	};
}

export function timeline(over: Partial<TimelineRecord> = {}): TimelineRecord {
	return {
		source: source(),
		snapshots: [
			snapshot({ key: 'experiment', name: 'experiment', parent: 'cleanbase1', time: '2026-11-22T10:00:00Z' }),
			snapshot({
				key: 'beforeinst',
				name: 'before-install',
				parent: 'cleanbase1',
				time: '2026-11-21T10:00:00Z',
				current: true,
			}),
			snapshot({ key: 'cleanbase1', name: 'clean-base', time: '2026-11-20T10:00:00Z' }),
		],
		position: 'beforeinst',
		positionInferred: false,
		undo: null,
		readOnlyReason: null,
		generation: '1',
		...over,
	};
}

export function entry(path: string, over: Partial<ListRecord> = {}): ListRecord {
	return {
		path,
		type: 'file',
		size: 12,
		mode: '0644',
		uid: 0,
		gid: 0,
		mtime: '2026-11-20T10:00:00.000000000Z',
		...over,
	};
}

export function change(path: string, over: Partial<ChangeRecord> = {}): ChangeRecord {
	return { status: 'M', path, fields: ['content'], size: [12, 13], type: ['file', 'file'], ...over };
}

export function comparison(changes: readonly ChangeRecord[], over: Partial<ComparisonRecord> = {}): ComparisonRecord {
	const counts = { A: 0, D: 0, M: 0, T: 0, R: 0, m: 0, E: 0 };
	for (const { status } of changes) counts[status]++;
	return {
		a: { source: 'abcd2345', state: 'beforeinst' },
		b: { source: 'abcd2345', state: 'current' },
		changes,
		counts,
		hidden: 0,
		method: 'fast',
		methodReason: '',
		notes: [],
		milliseconds: 1,
		...over,
	};
}

/** An engine with only the methods that a test gives it: any other call fails loudly. */
export function engineWith(methods: Partial<EngineApi>): EngineApi {
	return new Proxy(methods as EngineApi, {
		get: (target, name) => {
			const method: unknown = Reflect.get(target, name);
			if (method === undefined) throw new Error(`the test's engine has no ${String(name)}`);
			return method;
		},
	});
}

export function facts(
	path: string,
	kind: FileFacts['kind'],
	over: Partial<FileFacts> & { size?: number } = {},
): FileFacts {
	return { entry: entry(path, { size: over.size ?? 12 }), kind, longestLine: 20, ...over };
}
