/** Finds machines: images below folders, chains as one, and what hypervisors say belongs together. */
import { existsSync, readFileSync } from 'node:fs';
import type { FoundMachine } from '../../shared/engine-api.js';
import type { Work } from '../util/work.js';
import { filesBelow, lookAt, realPathOf, statOf, type FoundImage } from './discover-files.js';
import { MAX_DOMAIN_XML, readDomainXml, type LibvirtDomain } from './discover-libvirt.js';
import { knownFolders, libvirtFolders, originOf } from './discover-places.js';

export interface DiscoverOptions {
	readonly folders: readonly string[];
	/** Also where libvirt, Lima, UTM and others keep their machines. */
	readonly knownPlaces: boolean;
	/** Of the known places; the person's own by default. */
	readonly home?: string;
}

type FoundDisk = FoundMachine['disks'][number];

/** More files than anybody chains. */
const MAX_CHAIN = 200;

/**
 * Find machines. Of a chain only the top is listed, with the files below it; nothing is opened for longer than it
 * takes to read a header. `registeredAs` is null: who is registered is not known here.
 *
 * @returns sorted by name, then by path.
 * @throws EngineError `ERR_CANCELLED`, nothing else: what may not be read is passed over.
 */
export function discover(options: DiscoverOptions, work: Work): FoundMachine[] {
	const images = new Map<string, FoundImage>();
	const domains: LibvirtDomain[] = [];
	const folders = [...options.folders, ...(options.knownPlaces ? knownFolders(options.home) : [])];
	for (const folder of folders) {
		for (const path of filesBelow(folder, work)) {
			if (images.has(path)) continue;
			const image = lookAt(path);
			if (image) images.set(path, image);
		}
	}
	if (options.knownPlaces) domains.push(...libvirtDomains(libvirtFolders(options.home), images, work));
	return group(images, domains);
}

/** Domains of libvirt; their disks are added to `images`, wherever they lie. */
function libvirtDomains(folders: readonly string[], images: Map<string, FoundImage>, work: Work): LibvirtDomain[] {
	const domains: LibvirtDomain[] = [];
	for (const folder of folders) {
		for (const path of filesBelow(folder, work)) {
			const xml = path.endsWith('.xml') ? readSmall(path) : undefined;
			const domain = xml === undefined ? undefined : readDomainXml(xml);
			if (!domain) continue;
			const disks = domain.disks.map(disk => realPathOf(disk)).filter(disk => disk !== undefined);
			for (const disk of disks) {
				const image = images.get(disk) ?? lookAt(disk);
				if (image) images.set(disk, image);
			}
			domains.push({ name: domain.name, disks: disks.filter(disk => images.has(disk)) });
		}
	}
	return domains.filter(domain => domain.disks.length > 0);
}

function group(images: ReadonlyMap<string, FoundImage>, domains: readonly LibvirtDomain[]): FoundMachine[] {
	const below = new Set<string>();
	for (const image of images.values())
		for (const path of [...chainOf(image, images), image.dataFile ?? '']) below.add(path);
	const machines: FoundMachine[] = [];
	const taken = new Set<string>();
	const disksOf = (paths: readonly string[]): FoundDisk[] =>
		paths.map(path => {
			const image = images.get(path)!; // OK: only paths of `images` come here.
			const { format, size, snapshots } = image;
			return { path, format, size, snapshots, chain: [path, ...chainOf(image, images)] };
		});

	for (const { name, disks } of domains) {
		for (const disk of disks) taken.add(disk);
		machines.push({ name, disks: disksOf(disks), origin: 'libvirt', registeredAs: null });
	}
	const groups = new Map<string, { name: string; origin: string; paths: string[] }>();
	for (const path of [...images.keys()].sort()) {
		if (below.has(path) || taken.has(path)) continue;
		const { origin, name, group: key = path } = originOf(path, existsSync);
		const known = groups.get(key);
		if (known) known.paths.push(path);
		else groups.set(key, { name, origin, paths: [path] });
	}
	for (const { name, origin, paths } of groups.values()) {
		machines.push({ name, disks: disksOf(paths), origin, registeredAs: null });
	}
	const key = (machine: FoundMachine) => `${machine.name}\0${machine.disks[0]?.path ?? ''}`;
	return machines.sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0));
}

/** The files below an image, top first; ends at a loop. */
function chainOf(image: FoundImage, images: ReadonlyMap<string, FoundImage>): string[] {
	const chain: string[] = [];
	const seen = new Set([image.path]);
	for (let at: FoundImage | undefined = image; at?.backing !== undefined && chain.length < MAX_CHAIN;) {
		const path: string = at.backing;
		if (seen.has(path)) break;
		seen.add(path);
		chain.push(path);
		// A backing file may lie elsewhere; and a raw one need not look like a disk.
		at = images.get(path) ?? lookAt(path);
	}
	return chain;
}

function readSmall(path: string): string | undefined {
	const size = statOf(path)?.size ?? Infinity;
	if (MAX_DOMAIN_XML < size) return undefined;
	try {
		return readFileSync(path, 'utf8');
	} catch (error) {
		if (error instanceof Error && 'syscall' in error) return undefined;
		throw error;
	}
}
