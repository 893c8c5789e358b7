import { compressedVariant } from '../../io/identity.js';
import { checkRange } from '../../io/memory.js';
import type { ByteSource, Extent, MappedSource } from '../../io/source.js';
import { blame } from '../blame.js';
import { joinExtents } from '../extents.js';
import type { DiskView } from '../image.js';
import { decompressCluster } from './decompress.js';
import { FORMAT } from './header.js';
import { COMPRESSED, DAMAGED, DATA, Mapping, Run, UNALLOCATED, ZERO, type Geometry } from './mapping.js';
import type { Qcow2Snapshot } from './snapshot-table.js';
import type { Tables, Words } from './tables.js';

const MAX_CACHED_CLUSTER_BYTES = 8 * 1024 * 1024;

/** What all states of one image share: the file of the data clusters, the caches, what shows through. */
export class ClusterStore {
	/** Decompressed clusters by the offset of their compressed data. */
	readonly #clusters = new Map<number, Uint8Array>();
	readonly #maximum: number;
	#compressed: Uint8Array = new Uint8Array(0);

	constructor(
		readonly geometry: Geometry,
		readonly tables: Tables,
		private readonly data: ByteSource,
		/** Number of the data's file, for identities. */
		readonly fileNumber: number,
		readonly compression: 'deflate' | 'zstd',
		readonly backing: MappedSource | undefined,
	) {
		this.#maximum = Math.max(2, Math.floor(MAX_CACHED_CLUSTER_BYTES / geometry.clusterSize));
	}

	/** Bytes of the data file. A file may end within its last cluster: the rest reads as zeros, as in QEMU. */
	read(host: number, into: Uint8Array): void {
		const there = Math.max(0, Math.min(into.byteLength, this.data.size - host));
		this.data.read(host, there === into.byteLength ? into : into.subarray(0, there));
		if (there < into.byteLength) into.fill(0, there);
	}

	/** The decompressed cluster of `run`. Valid until the next call. */
	cluster(run: Run): Uint8Array {
		let cluster = this.#clusters.get(run.host);
		if (cluster) {
			this.#clusters.delete(run.host);
		} else {
			if (this.#compressed.byteLength < run.compressedLength) {
				this.#compressed = new Uint8Array(run.compressedLength);
			}
			const compressed = this.#compressed.subarray(0, run.compressedLength);
			this.data.read(run.host, compressed);
			cluster = decompressCluster(this.compression, compressed, this.geometry.clusterSize, run.host);
			if (this.#maximum <= this.#clusters.size) {
				this.#clusters.delete(this.#clusters.keys().next().value!); // OK: it is not empty.
			}
		}
		this.#clusters.set(run.host, cluster);
		return cluster;
	}

	clear(): void {
		this.#clusters.clear();
		this.tables.clear();
	}
}

/** A qcow2 disk at one moment: its current state, or an internal snapshot. Owned by its image. */
export class Qcow2View implements DiskView {
	readonly #run = new Run();
	#mapping: Mapping | undefined;

	constructor(
		readonly store: ClusterStore,
		/** Of the image, for errors. */
		private readonly path: string,
		readonly size: number,
		readonly snapshot: Qcow2Snapshot | undefined,
		/** Reads and checks the L1 table. Called again after `forget()`. */
		private readonly loadL1: () => Words,
		/** Told at each use of the L1 table that had to be loaded. */
		private readonly onLoad: (view: Qcow2View) => void,
		/** First byte of the view within what the L1 table maps: above 0 for the VM state, which lies behind the disk. */
		private readonly base = 0,
	) {}

	/** Unit in which the map allocates: a cluster, or a subcluster. */
	get blockSize(): number {
		const { clusterSize, extendedL2 } = this.store.geometry;
		return extendedL2 ? clusterSize / 32 : clusterSize;
	}

	get mapping(): Mapping {
		if (!this.#mapping) {
			this.#mapping = new Mapping(this.store.tables, this.store.geometry, this.loadL1());
			this.onLoad(this);
		}
		return this.#mapping;
	}

	/** Bytes of the L1 table in memory. */
	get l1Bytes(): number {
		return this.#mapping?.l1.byteLength ?? 0;
	}

	/** Let go of the L1 table until it is needed again. */
	forget(): void {
		this.#mapping = undefined;
	}

	read(offset: number, into: Uint8Array): void {
		const { byteLength } = into;
		checkRange(this.size, offset, byteLength);
		const { mapping, store } = this;
		const run = this.#run;
		const end = this.base + offset + byteLength;
		for (let at = this.base + offset; at < end; at += run.length) {
			mapping.run(at, end, run);
			const done = byteLength - (end - at);
			const part = run.length === byteLength ? into : into.subarray(done, done + run.length);
			switch (run.kind) {
				case DATA:
					store.read(run.host, part);
					break;
				case ZERO:
					part.fill(0);
					break;
				case UNALLOCATED:
					this.#readBacking(at, part);
					break;
				case COMPRESSED:
					this.#readCompressed(at, part);
					break;
				case DAMAGED:
					throw blame(run.problem, FORMAT, this.path);
			}
		}
	}

	extents(from = 0, to = this.size): Iterable<Extent> {
		return joinExtents(this.#extents(from, Math.min(to, this.size)));
	}

	*#extents(from: number, to: number): Generator<Extent> {
		// Not the view's own run: whoever consumes this may read in between.
		const run = new Run();
		const { geometry, fileNumber, backing } = this.store;
		for (let offset = from; offset < to; offset += run.length) {
			this.mapping.run(this.base + offset, this.base + to, run);
			const { length } = run;
			switch (run.kind) {
				case DATA:
					yield { offset, length, kind: 'data', identity: { file: fileNumber, offset: run.host, variant: 0 } };
					break;
				case COMPRESSED: {
					const variant = compressedVariant(run.compressedLength, (this.base + offset) % geometry.clusterSize);
					yield { offset, length, kind: 'data', identity: { file: fileNumber, offset: run.host, variant } };
					break;
				}
				case DAMAGED:
					// Something is there, and reading it tells what is wrong with it.
					yield { offset, length, kind: 'data' };
					break;
				case ZERO:
					yield { offset, length, kind: 'zero' };
					break;
				case UNALLOCATED: {
					const shown = this.base === 0 && backing ? Math.max(0, Math.min(length, backing.size - offset)) : 0;
					if (shown > 0) yield* backing!.extents(offset, offset + shown); // OK: shown > 0 only with a backing file.
					if (shown < length) yield { offset: offset + shown, length: length - shown, kind: 'zero' };
				}
			}
		}
	}

	#readCompressed(at: number, into: Uint8Array): void {
		const within = at % this.store.geometry.clusterSize;
		try {
			into.set(this.store.cluster(this.#run).subarray(within, within + into.byteLength));
		} catch (error) {
			throw blame(error, FORMAT, this.path);
		}
	}

	/** A backing file may be shorter than its overlay, which was made larger: the rest is zeros. */
	#readBacking(at: number, into: Uint8Array): void {
		const { backing } = this.store;
		const shown = this.base === 0 && backing ? Math.max(0, Math.min(into.byteLength, backing.size - at)) : 0;
		if (shown > 0) backing!.read(at, shown === into.byteLength ? into : into.subarray(0, shown)); // OK: as above.
		if (shown < into.byteLength) into.fill(0, shown);
	}

	[Symbol.dispose](): void {
		// Owned by the image.
	}
}
