/** Builds qcow2 images in memory from a description, with correct reference counts, on a shuffled map. */
import { deflateRawSync } from 'node:zlib';

/** One guest cluster. The same object in two places (or states) is the same host cluster. */
export type Cluster =
	| 'hole'
	| 'zero'
	/** Reads as zeros, with a host cluster behind it that holds other bytes. */
	| { readonly zeroOver: number }
	/** Every byte is this. */
	| { readonly fill: number }
	| { readonly bytes: Uint8Array }
	| { readonly compressed: Uint8Array }
	/** Extended L2: a letter for each of 32 subclusters, `d`ata, `z`ero or `-` for a hole. */
	| { readonly subclusters: string; readonly fill: number };

export interface SnapshotDescription {
	readonly id: string;
	readonly name: string;
	readonly clusters: readonly Cluster[];
	/** Default: as many clusters as there are. */
	readonly diskSize?: number;
	readonly dateSec?: number;
	readonly vmState?: Uint8Array;
	/** Bytes of extra data: 0 (version 2), 16 or 24. Default 24. */
	readonly extraSize?: 0 | 16 | 24;
}

export interface Qcow2Description {
	readonly clusters: readonly Cluster[];
	readonly snapshots?: readonly SnapshotDescription[];
	readonly version?: 2 | 3;
	readonly clusterBits?: number;
	readonly size?: number;
	readonly extendedL2?: boolean;
	readonly compression?: 'deflate' | 'zstd';
	readonly backing?: { readonly name: string; readonly format?: string };
	readonly dataFile?: { readonly name: string; readonly raw?: boolean };
	/** Extra incompatible bits. */
	readonly incompatible?: bigint;
	readonly compatible?: bigint;
	readonly cryptMethod?: number;
	/** Rows of the feature name table. */
	readonly featureNames?: readonly { readonly kind: number; readonly bit: number; readonly name: string }[];
	/** Of the shuffle. */
	readonly seed?: number;
}

export interface BuiltQcow2 {
	readonly bytes: Buffer;
	/** Of images with an external data file: its bytes. */
	readonly data: Buffer | undefined;
	readonly l1Offset: number;
	readonly snapshotsOffset: number;
	readonly refcountTableOffset: number;
	/** Where the L2 entry of a guest cluster is, by state (0 is the current one). */
	entryOffset(guest: number, state?: number): number;
	/** Where a state's L1 table is. */
	l1OffsetOf(state: number): number;
}

const COPIED = 1n << 63n;
const COMPRESSED = 1n << 62n;

export function buildQcow2(description: Qcow2Description): BuiltQcow2 {
	const { version = 3, clusterBits = 12, snapshots = [], extendedL2 = false } = description;
	const clusterSize = 2 ** clusterBits;
	const size = description.size ?? description.clusters.length * clusterSize;
	const entrySize = extendedL2 ? 16 : 8;
	const l2Entries = clusterSize / entrySize;
	const isExternal = description.dataFile !== undefined;

	// Every state as a list of L2 tables (a list of clusters each), the same table where the clusters are the same.
	const tables: (readonly Cluster[])[] = [];
	const tableByKey = new Map<string, number>();
	const ids = new Map<Cluster, number>();
	const idOf = (cluster: Cluster) => {
		if (typeof cluster === 'string') return cluster;
		if (!ids.has(cluster)) ids.set(cluster, ids.size);
		return ids.get(cluster)!;
	};
	const byArray = new Map<readonly Cluster[], number[]>();
	const l1Of = (clusters: readonly Cluster[], diskSize: number, vmState?: Uint8Array): number[] => {
		if (!vmState && byArray.has(clusters)) return byArray.get(clusters)!;
		const tableCount = Math.max(1, Math.ceil(diskSize / (clusterSize * l2Entries)));
		let all = [...clusters];
		if (vmState) {
			while (all.length < tableCount * l2Entries) all.push('hole');
			all = all.slice(0, tableCount * l2Entries);
			for (let at = 0; at < vmState.length; at += clusterSize) {
				const bytes = Buffer.alloc(clusterSize);
				bytes.set(vmState.subarray(at, at + clusterSize));
				all.push({ bytes });
			}
		}
		const l1: number[] = [];
		for (let at = 0; at < Math.max(all.length, tableCount * l2Entries); at += l2Entries) {
			const slice = all.slice(at, at + l2Entries);
			if (slice.every(cluster => cluster === 'hole')) {
				l1.push(-1);
				continue;
			}
			const key = slice.map(idOf).join();
			if (!tableByKey.has(key)) tableByKey.set(key, tables.push(slice) - 1);
			l1.push(tableByKey.get(key)!);
		}
		if (!vmState) byArray.set(clusters, l1);
		return l1;
	};
	const states = [
		l1Of(description.clusters, size),
		...snapshots.map(each => l1Of(each.clusters, each.diskSize ?? each.clusters.length * clusterSize, each.vmState)),
	];

	// Host clusters: header, L1 tables, snapshot table; then L2 tables and data, shuffled; then compressed data; then refcounts.
	let next = 1;
	const take = (count: number) => {
		const first = next;
		next += count;
		return first * clusterSize;
	};
	const l1Offsets = states.map(l1 => take(Math.max(1, Math.ceil((l1.length * 8) / clusterSize))));
	const table = encodeSnapshots(snapshots, states, l1Offsets, size, clusterSize);
	const snapshotsOffset = snapshots.length > 0 ? take(Math.ceil(table.length / clusterSize)) : 0;
	const places = new Map<Cluster | number, number>();
	const needs: (Cluster | number)[] = tables.map((_, index) => index);
	for (const [cluster] of ids) if (!isCompressed(cluster)) needs.push(cluster);
	if (isExternal) {
		for (let index = 0; index < tables.length; index++) places.set(index, take(1));
	} else {
		for (const need of shuffled(needs, description.seed ?? 1)) places.set(need, take(1));
	}
	const compressed = new Map<Cluster, { offset: number; bytes: Uint8Array }>();
	let compressedAt = next * clusterSize + 5;
	for (const [cluster] of ids) {
		if (!isCompressed(cluster)) continue;
		const bytes =
			description.compression === 'zstd' ? zstdFrame(cluster.compressed) : deflateRawSync(cluster.compressed);
		compressed.set(cluster, { offset: compressedAt, bytes });
		compressedAt += bytes.length;
	}
	if (compressed.size > 0) take(Math.ceil(compressedAt / clusterSize) - next);

	// Reference counts: as often as a state leads there.
	const counts: number[] = new Array<number>(next).fill(1);
	counts.fill(0, 1 + l1Offsets.length);
	const add = (offset: number, length = 1) => {
		for (let index = Math.floor(offset / clusterSize); index * clusterSize < offset + length; index++) {
			counts[index] = (counts[index] ?? 0) + 1;
		}
	};
	counts.fill(0);
	add(0);
	states.forEach((l1, index) => add(l1Offsets[index]!, Math.max(1, l1.length * 8)));
	if (snapshots.length > 0) add(snapshotsOffset, table.length);
	const uses = tables.map(() => 0);
	for (const l1 of states) for (const index of l1) if (0 <= index) uses[index]!++;
	const spanOf = (cluster: Cluster) => {
		const { offset, bytes } = compressed.get(cluster)!;
		const sectors = Math.floor((offset + bytes.length - 1) / 512) - Math.floor(offset / 512);
		return { offset, sectors, length: (sectors + 1) * 512 - (offset % 512) };
	};
	tables.forEach((clusters, index) => {
		for (let use = 0; use < uses[index]!; use++) {
			add(places.get(index)!);
			for (const cluster of clusters) {
				if (typeof cluster === 'string' || isExternal) continue;
				if (isCompressed(cluster)) add(spanOf(cluster).offset, spanOf(cluster).length);
				else add(places.get(cluster)!);
			}
		}
	});
	const perBlock = clusterSize / 2;
	let blocks = 1;
	while (perBlock * blocks < counts.length + 1 + Math.ceil((blocks * 8) / clusterSize) + blocks) blocks++;
	const tableClusters = Math.max(1, Math.ceil((blocks * 8) / clusterSize));
	const refcountTableOffset = Math.max(next, counts.length) * clusterSize;
	next = Math.max(next, counts.length) + tableClusters + blocks;
	while (counts.length < next) counts.push(refcountTableOffset / clusterSize <= counts.length ? 1 : 0);

	const file = Buffer.alloc(next * clusterSize);
	for (let index = 0; index < blocks; index++) {
		const block = refcountTableOffset + (tableClusters + index) * clusterSize;
		file.writeBigUInt64BE(BigInt(block), refcountTableOffset + index * 8);
		for (let i = 0; i < perBlock; i++) file.writeUInt16BE(counts[index * perBlock + i] ?? 0, block + i * 2);
	}
	const isSingle = (offset: number) => counts[offset / clusterSize] === 1;
	states.forEach((l1, state) => {
		l1.forEach((index, i) => {
			if (index < 0) return;
			const offset = places.get(index)!;
			const entry = BigInt(offset) | (isSingle(offset) ? COPIED : 0n);
			file.writeBigUInt64BE(entry, l1Offsets[state]! + i * 8);
		});
	});
	const data = isExternal ? Buffer.alloc(size) : undefined;
	tables.forEach((clusters, index) => {
		const at = places.get(index)!;
		clusters.forEach((cluster, i) => {
			const guest = isExternal ? (states[0]!.indexOf(index) * l2Entries + i) * clusterSize : 0;
			const place = isExternal ? guest : (places.get(cluster) ?? 0);
			const copied = isExternal || isSingle(place) ? COPIED : 0n;
			const [entry, bitmap] = encodeEntry(cluster, place, copied);
			if (typeof cluster === 'object' && isCompressed(cluster)) {
				const { offset, sectors } = spanOf(cluster);
				const x = BigInt(62 - (clusterBits - 8));
				file.writeBigUInt64BE(COMPRESSED | (BigInt(sectors) << x) | BigInt(offset), at + i * entrySize);
				file.set(compressed.get(cluster)!.bytes, offset);
				return;
			}
			file.writeBigUInt64BE(extendedL2 ? entry & ~1n : entry, at + i * entrySize);
			if (extendedL2) file.writeBigUInt64BE(bitmap, at + i * entrySize + 8);
			if (typeof cluster === 'object') contentOf(cluster, clusterSize).copy(data ?? file, place);
		});
	});
	if (snapshots.length > 0) table.copy(file, snapshotsOffset);
	writeHeader(file, description, {
		version,
		clusterBits,
		size,
		l1Size: states[0]!.length,
		l1Offset: l1Offsets[0]!,
		refcountTableOffset,
		tableClusters,
		snapshotsOffset,
	});
	return {
		bytes: file,
		data,
		l1Offset: l1Offsets[0]!,
		snapshotsOffset,
		refcountTableOffset,
		l1OffsetOf: state => l1Offsets[state]!,
		entryOffset: (guest, state = 0) => {
			const index = states[state]![Math.floor(guest / l2Entries)]!;
			return places.get(index)! + (guest % l2Entries) * entrySize;
		},
	};
}

/** The obvious, slow answer that readers are compared with. `below` shows through holes. */
export function expectedDisk(clusters: readonly Cluster[], clusterBits: number, size?: number, below?: Buffer): Buffer {
	const clusterSize = 2 ** clusterBits;
	const disk = Buffer.alloc(size ?? clusters.length * clusterSize);
	below?.copy(disk);
	clusters.forEach((cluster, index) => {
		const at = index * clusterSize;
		if (cluster === 'hole') return;
		if (cluster === 'zero' || (typeof cluster === 'object' && 'zeroOver' in cluster)) {
			disk.fill(0, at, at + clusterSize);
		} else if ('subclusters' in cluster) {
			[...cluster.subclusters].forEach((letter, i) => {
				const sub = at + (i * clusterSize) / 32;
				if (letter !== '-') disk.fill(letter === 'd' ? cluster.fill : 0, sub, sub + clusterSize / 32);
			});
		} else {
			contentOf(cluster, clusterSize).copy(disk, at);
		}
	});
	return disk;
}

/** A small random generator that gives the same numbers for the same seed. */
export function mulberry(seed: number): () => number {
	let state = seed >>> 0;
	return () => {
		state = (state + 0x6d2b79f5) >>> 0;
		let t = Math.imul(state ^ (state >>> 15), 1 | state);
		t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
		return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
	};
}

function isCompressed(cluster: Cluster): cluster is { readonly compressed: Uint8Array } {
	return typeof cluster === 'object' && 'compressed' in cluster;
}

function contentOf(cluster: Exclude<Cluster, string>, clusterSize: number): Buffer {
	if ('bytes' in cluster) return Buffer.from(cluster.bytes);
	if ('compressed' in cluster) return Buffer.from(cluster.compressed);
	return Buffer.alloc(clusterSize, 'zeroOver' in cluster ? cluster.zeroOver : cluster.fill);
}

function encodeEntry(cluster: Cluster, place: number, copied: bigint): [entry: bigint, bitmap: bigint] {
	const ALL = 0xffffffffn;
	if (cluster === 'hole') return [0n, 0n];
	if (cluster === 'zero') return [1n, ALL << 32n];
	const offset = BigInt(place) | copied;
	if ('zeroOver' in cluster) return [offset | 1n, ALL << 32n];
	if (!('subclusters' in cluster)) return [offset, ALL];
	let bitmap = 0n;
	[...cluster.subclusters].forEach((letter, i) => {
		if (letter === 'd') bitmap |= 1n << BigInt(i);
		if (letter === 'z') bitmap |= 1n << BigInt(32 + i);
	});
	return [offset, bitmap];
}

function encodeSnapshots(
	snapshots: readonly SnapshotDescription[],
	states: readonly (readonly number[])[],
	l1Offsets: readonly number[],
	size: number,
	clusterSize: number,
): Buffer {
	const parts: Buffer[] = [];
	snapshots.forEach((snapshot, index) => {
		const { extraSize = 24, vmState } = snapshot;
		const id = Buffer.from(snapshot.id, 'latin1');
		const name = Buffer.from(snapshot.name, 'latin1');
		const length = 40 + extraSize + id.length + name.length;
		const entry = Buffer.alloc(Math.ceil(length / 8) * 8);
		entry.writeBigUInt64BE(BigInt(l1Offsets[index + 1]!), 0);
		entry.writeUInt32BE(states[index + 1]!.length, 8);
		entry.writeUInt16BE(id.length, 12);
		entry.writeUInt16BE(name.length, 14);
		entry.writeUInt32BE(snapshot.dateSec ?? 1_700_000_000 + index, 16);
		entry.writeUInt32BE(index, 20);
		entry.writeUInt32BE(vmState?.length ?? 0, 32);
		entry.writeUInt32BE(extraSize, 36);
		if (16 <= extraSize) {
			entry.writeBigUInt64BE(BigInt(vmState?.length ?? 0), 40);
			entry.writeBigUInt64BE(BigInt(snapshot.diskSize ?? (snapshot.clusters.length * clusterSize || size)), 48);
		}
		if (24 <= extraSize) entry.writeBigInt64BE(-1n, 56);
		id.copy(entry, 40 + extraSize);
		name.copy(entry, 40 + extraSize + id.length);
		parts.push(entry);
	});
	return Buffer.concat(parts);
}

function writeHeader(
	file: Buffer,
	description: Qcow2Description,
	at: {
		version: 2 | 3;
		clusterBits: number;
		size: number;
		l1Size: number;
		l1Offset: number;
		refcountTableOffset: number;
		tableClusters: number;
		snapshotsOffset: number;
	},
): void {
	const { snapshots = [], backing, dataFile } = description;
	file.writeUInt32BE(0x514649fb, 0);
	file.writeUInt32BE(at.version, 4);
	file.writeUInt32BE(at.clusterBits, 20);
	file.writeBigUInt64BE(BigInt(at.size), 24);
	file.writeUInt32BE(description.cryptMethod ?? 0, 32);
	file.writeUInt32BE(at.l1Size, 36);
	file.writeBigUInt64BE(BigInt(at.l1Offset), 40);
	file.writeBigUInt64BE(BigInt(at.refcountTableOffset), 48);
	file.writeUInt32BE(at.tableClusters, 56);
	file.writeUInt32BE(snapshots.length, 60);
	file.writeBigUInt64BE(BigInt(at.snapshotsOffset), 64);
	let end = 72;
	if (at.version === 3) {
		let incompatible = description.incompatible ?? 0n;
		if (dataFile) incompatible |= 4n;
		if (description.compression === 'zstd') incompatible |= 8n;
		if (description.extendedL2) incompatible |= 16n;
		file.writeBigUInt64BE(incompatible, 72);
		file.writeBigUInt64BE(description.compatible ?? 0n, 80);
		file.writeBigUInt64BE(dataFile?.raw ? 2n : 0n, 88);
		file.writeUInt32BE(4, 96);
		file.writeUInt32BE(112, 100);
		file.writeUInt8(description.compression === 'zstd' ? 1 : 0, 104);
		end = 112;
	}
	const extension = (type: number, data: Buffer) => {
		file.writeUInt32BE(type, end);
		file.writeUInt32BE(data.length, end + 4);
		data.copy(file, end + 8);
		end += 8 + Math.ceil(data.length / 8) * 8;
	};
	if (backing?.format !== undefined) extension(0xe2792aca, Buffer.from(backing.format));
	if (dataFile) extension(0x44415441, Buffer.from(dataFile.name));
	if (description.featureNames) {
		const rows = description.featureNames.map(({ kind, bit, name }) => {
			const row = Buffer.alloc(48);
			row.writeUInt8(kind, 0);
			row.writeUInt8(bit, 1);
			row.write(name, 2, 46, 'latin1');
			return row;
		});
		extension(0x6803f857, Buffer.concat(rows));
	}
	end += 8;
	if (backing) {
		const name = Buffer.from(backing.name);
		name.copy(file, end);
		file.writeBigUInt64BE(BigInt(end), 8);
		file.writeUInt32BE(name.length, 16);
	}
}

/** A legal zstd frame of uncompressed blocks: Node 20 has no compressor. Real ones come from qemu-img. */
function zstdFrame(content: Uint8Array): Buffer {
	const parts: Uint8Array[] = [Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x80, 0x58])];
	const size = Buffer.alloc(4);
	size.writeUInt32LE(content.length);
	parts.push(size);
	for (let at = 0; at < content.length; at += 0x8000) {
		const block = content.subarray(at, at + 0x8000);
		const isRle = block.every(byte => byte === block[0]);
		const word = (block.length << 3) | (isRle ? 2 : 0) | (at + 0x8000 < content.length ? 0 : 1);
		parts.push(Buffer.from([word & 0xff, (word >> 8) & 0xff, word >> 16]), isRle ? block.subarray(0, 1) : block);
	}
	return Buffer.concat(parts);
}

function shuffled<T>(items: readonly T[], seed: number): T[] {
	const random = mulberry(seed);
	const list = [...items];
	for (let i = list.length - 1; i > 0; i--) {
		const j = Math.floor(random() * (i + 1));
		[list[i], list[j]] = [list[j]!, list[i]!];
	}
	return list;
}
