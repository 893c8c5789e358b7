/**
 * What changed, in the words of the system inside: packages, services, users.
 *
 * All of it is read from plain text that the systems themselves keep: dpkg's status and file lists, apk's installed
 * database, systemd's links below /etc, passwd and group. rpm keeps a binary database and is told by its name only.
 */
import type { ChangeRecord } from '../../shared/records.js';
import type { SummaryRecord } from '../../shared/engine-api.js';
import type { FileTree } from '../tree/file-tree.js';
import { EngineError } from '../util/errors.js';
import { rawFromText, textFromRaw, type RawPath } from '../util/names.js';
import { UNWATCHED, type Work } from '../util/work.js';
import { apkPackages, dpkgPackages, readAccounts, type PackageSet } from './summary-parse.js';

/** A status file of a full desktop is about 4 MB. */
const MAX_TEXT = 64 * 1024 * 1024;
const MAX_LISTS = 20_000;
const NAMES_IN_A_LINE = 3;

const SYSTEMD =
	/\/etc\/systemd\/system\/(?:[^/]+\.(?:wants|requires)\/)?([^/]+\.(?:service|socket|timer|target|path|mount))$/;

/**
 * @param volumes text paths of the volumes to look in, `/p1`.
 * @param changes the changes between `a` and `b`; only they are explained.
 */
export function summarize(
	a: FileTree,
	b: FileTree,
	volumes: readonly string[],
	changes: readonly ChangeRecord[],
	work: Work = UNWATCHED,
): SummaryRecord {
	const packages: { name: string; before: string | null; after: string | null }[] = [];
	const users: { name: string; change: 'added' | 'removed' | 'changed' }[] = [];
	const services: { name: string; change: 'enabled' | 'disabled' | 'added' | 'removed' }[] = [];
	const ownerOf: Record<string, string> = {};
	const changed = new Map(changes.map(change => [change.path, change]));
	const notes: string[] = [];

	for (const volume of volumes) {
		work.throwIfCancelled();
		const differs = (path: string) => changed.has(volume + path);
		if (differs('/var/lib/dpkg/status')) {
			const [before, after] = both(volume, '/var/lib/dpkg/status').map(text => dpkgPackages(text));
			packages.push(...packageChanges(before!.versions, after!.versions));
		}
		if (differs('/lib/apk/db/installed')) {
			const [before, after] = both(volume, '/lib/apk/db/installed').map(text => apkPackages(text));
			packages.push(...packageChanges(before!.versions, after!.versions));
			for (const set of [before!, after!]) own(volume, set);
		}
		if (differs('/var/lib/rpm/rpmdb.sqlite') || differs('/usr/lib/sysimage/rpm/rpmdb.sqlite'))
			notes.push('rpm packages changed');
		for (const [file, kind] of [
			['/etc/passwd', 'user'],
			['/etc/group', 'group'],
		] as const) {
			if (!differs(file)) continue;
			const [before, after] = both(volume, file).map(readAccounts);
			for (const change of accountChanges(before!, after!)) {
				// A user usually has a group of the same name: one line is enough.
				if (kind === 'user' || !users.some(user => user.name === change.name)) users.push(change);
			}
		}
		ownFromDpkgLists(volume);
	}
	for (const change of changes) {
		const unit = SYSTEMD.exec(change.path);
		if (!unit || (change.status !== 'A' && change.status !== 'D')) continue;
		const isLink = change.path.includes('.wants/') || change.path.includes('.requires/');
		const what = change.status === 'A' ? (isLink ? 'enabled' : 'added') : isLink ? 'disabled' : 'removed';
		services.push({ name: unit[1]!, change: what }); // OK: the pattern has one group.
	}
	return { lines: [...lines(packages, services, users), ...notes], packages, services, users, ownerOf };

	/** The text of a path on both sides; empty where it does not exist. */
	function both(volume: string, path: string): [string, string] {
		return [textOf(a, volume + path), textOf(b, volume + path)];
	}

	function own(volume: string, set: PackageSet): void {
		for (const [path, name] of set.files) if (changed.has(volume + path)) ownerOf[volume + path] = name;
	}

	function ownFromDpkgLists(volume: string): void {
		const wanted = changes.some(change => change.path.startsWith(`${volume}/`));
		const seen = new Set<string>();
		for (const tree of wanted ? [b, a] : []) {
			for (const list of listsOf(tree, rawFromText(`${volume}/var/lib/dpkg/info`))) {
				if (seen.has(list.name) || seen.size > MAX_LISTS) continue;
				seen.add(list.name);
				work.throwIfCancelled();
				const name = list.name.replace(/\.list$/, '').replace(/:.*$/, '');
				for (const line of textOf(tree, textFromRaw(list.path)).split('\n')) {
					const path = volume + line;
					// With merged /usr, dpkg may know /bin/x where the file is /usr/bin/x.
					for (const candidate of [path, `${volume}/usr${line}`]) {
						if (line.length > 1 && changed.has(candidate)) ownerOf[candidate] ??= name;
					}
				}
				const metadata = `${volume}/var/lib/dpkg/info/${list.name.replace(/\.list$/, '')}`;
				for (const change of changes) if (change.path.startsWith(`${metadata}.`)) ownerOf[change.path] ??= name;
			}
		}
	}
}

function listsOf(tree: FileTree, folder: RawPath): { name: string; path: RawPath }[] {
	try {
		return tree.list(folder).filter(entry => entry.kind === 'file' && entry.name.endsWith('.list'));
	} catch (error) {
		if (EngineError.is(error)) return []; // No dpkg here, or its folder cannot be read: nothing is explained by it.
		throw error;
	}
}

function textOf(tree: FileTree, path: string): string {
	try {
		using file = tree.openFile(rawFromText(path));
		if (MAX_TEXT < file.size) return '';
		const bytes = Buffer.alloc(file.size);
		file.read(0, bytes);
		return bytes.toString('utf8');
	} catch (error) {
		// Absent on this side, or damaged: the diff itself says so.
		if (EngineError.is(error)) return '';
		throw error;
	}
}

function packageChanges(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>) {
	const names = [...new Set([...before.keys(), ...after.keys()])].sort();
	return names
		.map(name => ({ name, before: before.get(name) ?? null, after: after.get(name) ?? null }))
		.filter(change => change.before !== change.after);
}

function accountChanges(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>) {
	const names = [...new Set([...before.keys(), ...after.keys()])].sort();
	return names.flatMap((name): { name: string; change: 'added' | 'removed' | 'changed' }[] => {
		if (before.get(name) === after.get(name)) return [];
		return [{ name, change: !before.has(name) ? 'added' : !after.has(name) ? 'removed' : 'changed' }];
	});
}

function lines(
	packages: SummaryRecord['packages'],
	services: SummaryRecord['services'],
	users: SummaryRecord['users'],
): string[] {
	const result: string[] = [];
	const say = (items: readonly string[], one: string, many: string, what: string) => {
		if (items.length === 0) return;
		const named = items.slice(0, NAMES_IN_A_LINE).join(', ') + (items.length > NAMES_IN_A_LINE ? ', …' : '');
		result.push(`${items.length} ${items.length === 1 ? one : many} ${what}: ${named}`);
	};
	const version = (value: string | null) => (value ? ` ${value}` : '');
	const of = (test: (p: SummaryRecord['packages'][number]) => boolean) => packages.filter(test);
	say(
		of(p => p.before === null).map(p => p.name + version(p.after)),
		'package',
		'packages',
		'installed',
	);
	say(
		of(p => p.after === null).map(p => p.name + version(p.before)),
		'package',
		'packages',
		'removed',
	);
	say(
		of(p => p.before !== null && p.after !== null).map(p => `${p.name} ${p.before} → ${p.after}`),
		'package',
		'packages',
		'upgraded',
	);
	for (const change of ['enabled', 'disabled', 'added', 'removed'] as const) {
		say(
			services.filter(s => s.change === change).map(s => s.name),
			'service',
			'services',
			change,
		);
	}
	for (const change of ['added', 'removed', 'changed'] as const) {
		say(
			users.filter(u => u.change === change).map(u => u.name),
			'account',
			'accounts',
			change,
		);
	}
	return result;
}
