/** QEMU's answers about disks, put together. Source: QAPI block-core: query-block, query-named-block-nodes. */

export interface RunningSnapshot {
	readonly id: string;
	readonly name: string;
	/** 0: without memory, or the memory lies on another disk. */
	readonly vmStateSize: number;
}

export interface RunningDisk {
	/** What to call it: the drive's name, the device's, or the node's. */
	readonly name: string;
	/** The block node that snapshot commands name. */
	readonly node: string;
	/** File of the top image; `undefined` when it is no file of this host. */
	readonly path: string | undefined;
	readonly format: string;
	readonly isWritable: boolean;
	/** Of a writable disk: why no snapshot can be made in it. */
	readonly cannotTakePart: string | undefined;
	/** Files below the top image, as QEMU names them. */
	readonly chain: readonly string[];
	readonly snapshots: readonly RunningSnapshot[];
	/** Dirty bitmaps, which keep QEMU from loading a snapshot. */
	readonly bitmaps: readonly string[];
}

interface BlockNode {
	readonly 'node-name'?: string;
	readonly drv?: string;
	readonly file?: string;
	readonly ro?: boolean;
	readonly image?: BlockImage;
	readonly 'dirty-bitmaps'?: readonly { readonly name?: string }[];
}

interface BlockImage {
	readonly filename?: string;
	readonly snapshots?: readonly { readonly id: string; readonly name: string; readonly 'vm-state-size': number }[];
	readonly 'backing-image'?: BlockImage;
	readonly 'format-specific'?: { readonly data?: { readonly 'data-file'?: string } };
}

interface BlockDevice {
	readonly device?: string;
	readonly qdev?: string;
	readonly inserted?: BlockNode;
}

const MAX_CHAIN = 1000;

export function listDisks(devices: unknown, nodes: unknown): RunningDisk[] {
	const named = new Map((nodes as readonly BlockNode[]).map(node => [node['node-name'], node]));
	return (devices as readonly BlockDevice[]).flatMap(({ device, qdev, inserted }) => {
		if (inserted === undefined) return []; // An empty tray.
		const node = inserted['node-name'] ?? '';
		const chain: string[] = [];
		for (
			let below = inserted.image?.['backing-image'];
			below && chain.length < MAX_CHAIN;
			below = below['backing-image']
		) {
			chain.push(below.filename ?? '');
		}
		const isWritable = inserted.ro !== true;
		const disk: RunningDisk = {
			name: device || deviceName(qdev) || node,
			node,
			path: fileOf(inserted.image?.filename ?? inserted.file ?? ''),
			format: inserted.drv ?? '',
			isWritable,
			cannotTakePart: isWritable ? reasonAgainst(inserted) : undefined,
			chain,
			snapshots: (inserted.image?.snapshots ?? []).map(({ id, name, 'vm-state-size': vmStateSize }) => ({
				id,
				name,
				vmStateSize,
			})),
			bitmaps: (named.get(node)?.['dirty-bitmaps'] ?? inserted['dirty-bitmaps'] ?? []).map(({ name = '' }) => name),
		};
		return [disk];
	});
}

/** "disk1 (/vm/data.raw): raw images hold no snapshots", for a sentence. */
export function describeDisk(disk: RunningDisk): string {
	return disk.path === undefined ? disk.name : `${disk.name} (${disk.path})`;
}

function reasonAgainst({ drv = '', image }: BlockNode): string | undefined {
	if (drv !== 'qcow2') return `${drv} images hold no snapshots`;
	if (image?.['format-specific']?.data?.['data-file'] !== undefined) return 'its data lies in an external file';
	return undefined;
}

/** "vd0" of "/machine/peripheral/vd0/virtio-backend". */
function deviceName(qdev: string | undefined): string {
	return /^\/machine\/peripheral(?:-anon)?\/([^/]+)/.exec(qdev ?? '')?.[1] ?? qdev ?? '';
}

/** QEMU gives a path where the options of a node are plain, and else `json:` with all of them. */
function fileOf(filename: string): string | undefined {
	if (!filename.startsWith('json:'))
		return filename.startsWith('/') || /^[A-Za-z]:[\\/]/.test(filename) ? filename : undefined;
	try {
		let node = JSON.parse(filename.slice('json:'.length)) as { file?: unknown; filename?: unknown } | undefined;
		for (let depth = 0; depth < 16 && node !== undefined; depth++) {
			if (typeof node.filename === 'string') return fileOf(node.filename);
			node = typeof node.file === 'object' && node.file !== null ? node.file : undefined;
		}
	} catch {
		// Cut off by QEMU's limit on file names: then the path is not known.
	}
	return undefined;
}
