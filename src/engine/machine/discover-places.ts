/** Where programs that run machines keep their disks, and what the place says of a machine. */
import { homedir } from 'node:os';
import { join, sep } from 'node:path';

/** What is known of an image from where it lies. */
export interface Origin {
	/** 'libvirt', 'lima', …; 'file' when the place says nothing. */
	readonly origin: string;
	/** Of the machine, not of the disk. */
	readonly name: string;
	/** Images with the same one belong to one machine; `undefined`: this image is a machine of its own. */
	readonly group: string | undefined;
}

/** Folders to look into, of all programs that are known. Most do not exist on a given host. */
export function knownFolders(home = homedir()): string[] {
	const below = (...parts: string[]) => join(home, ...parts);
	return [
		'/var/lib/libvirt/images',
		below('.local/share/libvirt/images'),
		below('.local/share/gnome-boxes/images'),
		below('.var/app/org.gnome.Boxes/data/gnome-boxes/images'),
		below('.lima'),
		below('.colima'),
		'/var/snap/multipass/common/data/multipassd/vault/instances',
		'/var/root/Library/Application Support/multipassd/qemu/vault/instances',
		below('.local/share/containers/podman/machine'),
		below('Library/Containers/com.utmapp.UTM/Data/Documents'),
		below('.vagrant.d'),
		below('.vagrant'),
		below('quickemu'),
	];
}

/** Folders with libvirt's XML files: those of the system, and those of a person's session. */
export function libvirtFolders(home = homedir()): string[] {
	return ['/etc/libvirt/qemu', join(home, '.config/libvirt/qemu')];
}

/** Each pattern's first group is the folder that holds all of a machine's disks, its second the machine's name. */
const PATTERNS: readonly (readonly [string, RegExp])[] = [
	['colima', /^(.*\/\.colima\/_lima\/([^/]+))\//],
	['lima', /^(.*\/\.lima\/([^/]+))\//],
	['multipass', /^(.*\/multipassd\/(?:qemu\/)?vault\/instances\/([^/]+))\//],
	['utm', /^(.*\/([^/]+)\.utm)\//],
	['vagrant', /^(.*\/\.vagrant\/machines\/([^/]+))\//],
	['vagrant', /^(.*\/\.vagrant\.d\/boxes\/([^/]+)\/[^/]+\/[^/]+)\//],
];
/** Folders in which each image is a machine. */
const FLAT: readonly (readonly [string, RegExp])[] = [
	['podman', /\/containers\/podman\/machine\//],
	['gnome-boxes', /\/gnome-boxes\/images\//],
	['libvirt', /\/libvirt\/images\//],
];

/**
 * What the path of an image tells.
 *
 * @param hasFile whether a file is there: quickemu keeps `NAME.conf` beside the folder `NAME`.
 */
export function originOf(path: string, hasFile: (path: string) => boolean): Origin {
	const unix = path.split(sep).join('/');
	const parts = unix.split('/');
	const file = parts[parts.length - 1]!; // OK: split gives at least one part.
	for (const [origin, pattern] of PATTERNS) {
		const found = pattern.exec(unix);
		if (found) return { origin, name: found[2]!, group: `${origin}:${found[1]!}` }; // OK: the pattern has two groups.
	}
	const name = file.replace(/\.(?:qcow2?|img|raw|vmdk|vdi|vhdx?|qed)$/i, '') || file;
	for (const [origin, pattern] of FLAT) if (pattern.test(unix)) return { origin, name, group: undefined };
	const folder = parts.slice(0, -1).join('/');
	if (parts.length > 2 && hasFile(`${folder}.conf`) && /^disk\.(?:qcow2|img|raw)$/.test(file)) {
		return { origin: 'quickemu', name: parts[parts.length - 2]!, group: undefined }; // OK: length > 2.
	}
	return { origin: 'file', name, group: undefined };
}
