/**
 * Memory that libvirt saved of a machine that looks switched off ("virsh managedsave", or a host that was shut down). At
 * the next start it is loaded over the disk as it was then: a disk that was rolled back meanwhile would be destroyed.
 *
 * Source: libvirt, virsh(1) managedsave; its folders as packaged.
 */
import { existsSync, readFileSync, readdirSync, realpathSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { env } from 'node:process';

export interface LibvirtFolders {
	/** Holds one XML file for each machine. */
	readonly domains: string;
	/** Holds `<machine>.save`. */
	readonly saves: string;
}

export interface ManagedSave {
	readonly domain: string;
	readonly file: string;
}

const MAX_DOMAIN_FILES = 10_000;
const MAX_XML = 4 * 1024 * 1024;

/** The system's libvirt, and the user's own. */
function knownFolders(): LibvirtFolders[] {
	const config = env['XDG_CONFIG_HOME'] ?? join(homedir(), '.config');
	return [
		{ domains: '/etc/libvirt/qemu', saves: '/var/lib/libvirt/qemu/save' },
		{ domains: join(config, 'libvirt', 'qemu'), saves: join(config, 'libvirt', 'qemu', 'save') },
	];
}

/** The saved memory of a machine that has `image` as a disk; `undefined` when there is none, or none that may be seen. */
export function managedSaveOf(
	image: string,
	folders: readonly LibvirtFolders[] = knownFolders(),
): ManagedSave | undefined {
	const paths = new Set([image, realpathSync.native(image)]);
	for (const { domains, saves } of folders) {
		for (const name of namesIn(domains).slice(0, MAX_DOMAIN_FILES)) {
			if (!name.endsWith('.xml')) continue;
			const xml = textOf(join(domains, name));
			const isDisk = [...xml.matchAll(/<source\b[^>]*?\b(?:file|dev)=(?:'([^']*)'|"([^"]*)")/g)].some(match =>
				paths.has(unescapeXml(match[1] ?? match[2] ?? '')),
			);
			if (!isDisk) continue;
			const domain = unescapeXml(/<name>([^<]*)<\/name>/.exec(xml)?.[1] ?? name.slice(0, -'.xml'.length));
			if (domain.includes('/')) continue; // No file name, so no such save.
			const file = join(saves, `${domain}.save`);
			if (existsSync(file)) return { domain, file };
		}
	}
	return undefined;
}

function namesIn(folder: string): string[] {
	try {
		return readdirSync(folder);
	} catch {
		return []; // No libvirt, or another user's.
	}
}

function textOf(path: string): string {
	try {
		return readFileSync(path, 'utf8').slice(0, MAX_XML);
	} catch {
		return ''; // Gone meanwhile, or another user's.
	}
}

function unescapeXml(text: string): string {
	const names: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };
	return text.replace(
		/&(?:#(\d+)|#x([0-9a-fA-F]+)|(\w+));/g,
		(whole, decimal?: string, hexadecimal?: string, name?: string) => {
			if (name !== undefined) return names[name] ?? whole;
			const code = decimal !== undefined ? Number(decimal) : parseInt(hexadecimal ?? '', 16);
			return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
		},
	);
}
