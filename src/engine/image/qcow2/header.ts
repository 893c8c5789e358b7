/**
 * The header of a qcow2 image, with its extensions.
 *
 * Supported: versions 2 and 3; cluster sizes 512 bytes to 2 MiB; the incompatible features dirty, corrupt, external
 * data file, compression type (deflate, zstd) and extended L2 entries; extensions for the backing format, the external
 * data file, feature names and bitmaps.
 * Not supported: unknown incompatible features (refused by name), encryption (recognised).
 *
 * Source: QEMU, docs/interop/qcow2.rst, "Header". Limits are those of QEMU's block/qcow2.c. Oracle in the tests: qemu-img.
 */
import { EngineError, corrupt, unsupported } from '../../util/errors.js';
import { rawFromBytes, textFromRaw, type RawName } from '../../util/names.js';
import { alignUp } from '../../util/numbers.js';
import { Struct, size64be, u32be, u64be, u8 } from '../../util/struct.js';

/** "QFI\xfb" */
export const MAGIC = 0x514649fb;
export const FORMAT = 'qcow2';

const MIN_CLUSTER_BITS = 9;
/** QEMU's limit. It also keeps every length within a cluster inside 32 bits. */
const MAX_CLUSTER_BITS = 21;
const MIN_CLUSTER_BITS_EXTENDED_L2 = 14;
const MAX_BACKING_NAME = 1023;
/** Extensions are a few hundred bytes. What lies further into a large cluster is not read. */
export const MAX_HEADER_BYTES = 64 * 1024;
/** QEMU's QCOW_MAX_L1_SIZE: 32 MiB of entries. */
export const MAX_L1_ENTRIES = (32 * 1024 * 1024) / 8;
/** QEMU's QCOW_MAX_SNAPSHOTS. */
export const MAX_SNAPSHOTS = 65536;
/** QEMU's QCOW_MAX_REFTABLE_SIZE: 8 MiB. */
const MAX_REFCOUNT_TABLE_BYTES = 8 * 1024 * 1024;

const MAGIC_AND_VERSION = new Struct('qcow2 magic', 8, { magic: u32be(0), version: u32be(4) });

/** The whole header of version 2. Field names in comments are those of the specification. */
const HEADER_V2 = new Struct('qcow2 header', 72, {
	backingOffset: size64be(8), // backing_file_offset
	backingSize: u32be(16), // backing_file_size
	clusterBits: u32be(20), // cluster_bits
	size: size64be(24),
	cryptMethod: u32be(32), // crypt_method
	l1Size: u32be(36), // l1_size
	l1Offset: size64be(40), // l1_table_offset
	refcountTableOffset: size64be(48), // refcount_table_offset
	refcountTableClusters: u32be(56), // refcount_table_clusters
	snapshotCount: u32be(60), // nb_snapshots
	snapshotsOffset: size64be(64), // snapshots_offset
});

/** What version 3 adds. */
const HEADER_V3 = new Struct('qcow2 header', 104, {
	incompatible: u64be(72), // incompatible_features
	compatible: u64be(80), // compatible_features
	autoclear: u64be(88), // autoclear_features
	refcountOrder: u32be(96), // refcount_order
	headerLength: u32be(100), // header_length
});

/** Present when `header_length` says so. */
const COMPRESSION_TYPE = new Struct('qcow2 header', 105, { compressionType: u8(104) });

const EXTENSION = new Struct('qcow2 header extension', 8, { type: u32be(0), length: u32be(4) });
const EXTENSION_END = 0;
const EXTENSION_BACKING_FORMAT = 0xe2792aca;
const EXTENSION_FEATURE_NAMES = 0x6803f857;
const EXTENSION_BITMAPS = 0x23852875;
const EXTENSION_DATA_FILE = 0x44415441;

const BITMAPS = new Struct('qcow2 bitmaps extension', 24, {
	count: u32be(0), // nb_bitmaps
	directorySize: size64be(8), // bitmap_directory_size
	directoryOffset: size64be(16), // bitmap_directory_offset
});

/** A row of the feature name table: kind (0 incompatible, 1 compatible, 2 autoclear), bit, name. */
const FEATURE_NAME_BYTES = 48;

const DIRTY = 1n << 0n;
const CORRUPT = 1n << 1n;
const EXTERNAL_DATA = 1n << 2n;
const COMPRESSION = 1n << 3n;
const EXTENDED_L2 = 1n << 4n;
const KNOWN_INCOMPATIBLE = DIRTY | CORRUPT | EXTERNAL_DATA | COMPRESSION | EXTENDED_L2;
const LAZY_REFCOUNTS = 1n << 0n;
const AUTOCLEAR_BITMAPS = 1n << 0n;
const AUTOCLEAR_RAW_DATA = 1n << 1n;

export interface BitmapsExtension {
	readonly count: number;
	readonly directorySize: number;
	readonly directoryOffset: number;
	/** The autoclear bit says that the bitmaps agree with the disk. */
	readonly consistent: boolean;
}

export interface Qcow2Header {
	readonly version: 2 | 3;
	readonly clusterBits: number;
	readonly clusterSize: number;
	/** Of the disk, bytes. */
	readonly size: number;
	readonly encryption: 'none' | 'AES' | 'LUKS';
	/** Entries of the active L1 table. */
	readonly l1Size: number;
	readonly l1Offset: number;
	readonly refcountTableOffset: number;
	readonly refcountTableClusters: number;
	/** Bits of one refcount. */
	readonly refcountBits: number;
	readonly snapshotCount: number;
	readonly snapshotsOffset: number;
	readonly dirty: boolean;
	readonly corrupt: boolean;
	readonly externalData: boolean;
	/** The external data file can be read as a raw image. */
	readonly rawData: boolean;
	readonly extendedL2: boolean;
	readonly compression: 'deflate' | 'zstd';
	readonly lazyRefcounts: boolean;
	/** As stored. */
	readonly backingName: RawName | undefined;
	readonly backingFormat: RawName | undefined;
	readonly dataFileName: RawName | undefined;
	readonly bitmaps: BitmapsExtension | undefined;
	/** Names (or numbers) of set compatible and autoclear bits that are not known. They may be ignored. */
	readonly unknownFeatures: readonly string[];
}

/** Whether `head`, the first bytes of a file, begin a qcow2 image. Version 1 is another format. Never throws. */
export function matchesQcow2(head: Uint8Array): boolean {
	if (head.byteLength < MAGIC_AND_VERSION.size) return false;
	const { magic, version } = MAGIC_AND_VERSION.decode(head);
	return magic === MAGIC && version !== 1;
}

/**
 * Decode and check the header. Where its tables lie is checked when they are used, so that a damaged active L1 table
 * does not keep anybody from the snapshots.
 *
 * @param head The first bytes of the file: `MAX_HEADER_BYTES`, or all there are.
 * @throws EngineError `ERR_CORRUPT`, `ERR_UNSUPPORTED`, `ERR_LIMIT`.
 */
export function decodeHeader(head: Uint8Array): Qcow2Header {
	const { magic, version } = MAGIC_AND_VERSION.decode(head);
	if (magic !== MAGIC) corrupt(FORMAT, 'magic', 0, MAGIC, magic);
	if (version !== 2 && version !== 3) unsupported(FORMAT, 'version', 4, version);
	const v2 = HEADER_V2.decode(head);
	const v3 =
		version === 3
			? HEADER_V3.decode(head)
			: { incompatible: 0n, compatible: 0n, autoclear: 0n, refcountOrder: 4, headerLength: HEADER_V2.size };
	const { clusterBits } = v2;
	if (clusterBits < MIN_CLUSTER_BITS || MAX_CLUSTER_BITS < clusterBits) {
		corrupt(FORMAT, 'cluster_bits', 20, `${MIN_CLUSTER_BITS} to ${MAX_CLUSTER_BITS}`, clusterBits);
	}
	const clusterSize = 2 ** clusterBits;
	if (
		version === 3 &&
		(v3.headerLength < HEADER_V3.size || clusterSize < v3.headerLength || v3.headerLength % 8 !== 0)
	) {
		corrupt(FORMAT, 'header_length', 100, `a multiple of 8 from 104 to ${clusterSize}`, v3.headerLength);
	}
	checkFeatures(head, v3.headerLength, v3.incompatible);
	const extendedL2 = (v3.incompatible & EXTENDED_L2) !== 0n;
	if (extendedL2 && clusterBits < MIN_CLUSTER_BITS_EXTENDED_L2) {
		corrupt(
			FORMAT,
			'cluster_bits',
			20,
			`at least ${MIN_CLUSTER_BITS_EXTENDED_L2} with extended L2 entries`,
			clusterBits,
		);
	}
	if (6 < v3.refcountOrder) corrupt(FORMAT, 'refcount_order', 96, 'at most 6', v3.refcountOrder);
	if (2 < v2.cryptMethod) unsupported(FORMAT, 'crypt_method', 32, v2.cryptMethod);

	const hasBacking = v2.backingOffset !== 0;
	if (hasBacking) {
		if (MAX_BACKING_NAME < v2.backingSize)
			corrupt(FORMAT, 'backing_file_size', 16, `at most ${MAX_BACKING_NAME}`, v2.backingSize);
		if (v2.backingOffset < v3.headerLength || clusterSize < v2.backingOffset + v2.backingSize) {
			corrupt(FORMAT, 'backing_file_offset', 8, `inside the first cluster`, v2.backingOffset);
		}
		if (head.byteLength < v2.backingOffset + v2.backingSize) {
			tooFar('backing_file_offset', 8, v2.backingOffset, head);
		}
	}
	const extensions = decodeExtensions(head, v3.headerLength, hasBacking ? v2.backingOffset : clusterSize);
	const bitmaps = extensions.bitmaps && {
		...extensions.bitmaps,
		consistent: (v3.autoclear & AUTOCLEAR_BITMAPS) !== 0n,
	};
	const name = (kind: number, bit: number) => featureName(head, v3.headerLength, kind, bit);
	return {
		version,
		clusterBits,
		clusterSize,
		size: v2.size,
		encryption: (['none', 'AES', 'LUKS'] as const)[v2.cryptMethod]!, // OK: checked above.
		l1Size: v2.l1Size,
		l1Offset: v2.l1Offset,
		refcountTableOffset: v2.refcountTableOffset,
		refcountTableClusters: v2.refcountTableClusters,
		refcountBits: 2 ** v3.refcountOrder,
		snapshotCount: v2.snapshotCount,
		snapshotsOffset: v2.snapshotsOffset,
		dirty: (v3.incompatible & DIRTY) !== 0n,
		corrupt: (v3.incompatible & CORRUPT) !== 0n,
		externalData: (v3.incompatible & EXTERNAL_DATA) !== 0n,
		rawData: (v3.autoclear & AUTOCLEAR_RAW_DATA) !== 0n,
		extendedL2,
		compression: compressionOf(head, v3.headerLength, (v3.incompatible & COMPRESSION) !== 0n),
		lazyRefcounts: (v3.compatible & LAZY_REFCOUNTS) !== 0n,
		backingName: hasBacking
			? rawFromBytes(head.subarray(v2.backingOffset, v2.backingOffset + v2.backingSize))
			: undefined,
		backingFormat: extensions.backingFormat,
		dataFileName: extensions.dataFileName,
		bitmaps,
		unknownFeatures: [
			...bitsOf(v3.compatible & ~LAZY_REFCOUNTS).map(bit => name(1, bit)),
			...bitsOf(v3.autoclear & ~(AUTOCLEAR_BITMAPS | AUTOCLEAR_RAW_DATA)).map(bit => name(2, bit)),
		],
	};
}

/** What is wrong with the refcount table, which reading does not need. `undefined` when nothing is. */
export function refcountTableProblem(header: Qcow2Header, fileSize: number): string | undefined {
	const { refcountTableOffset: offset, refcountTableClusters: clusters, clusterSize } = header;
	const length = clusters * clusterSize;
	if (clusters === 0) return 'refcount_table_clusters is 0';
	if (MAX_REFCOUNT_TABLE_BYTES < length) return `refcount_table_clusters is ${clusters}, above QEMU's limit`;
	if (offset < clusterSize || offset % clusterSize !== 0) return `refcount_table_offset ${offset} is not on a cluster`;
	if (fileSize < offset + length) return `refcount_table_offset ${offset} leads past the end of the file`;
	return undefined;
}

function checkFeatures(head: Uint8Array, headerLength: number, incompatible: bigint): void {
	const unknown = bitsOf(incompatible & ~KNOWN_INCOMPATIBLE);
	if (unknown.length === 0) return;
	const names = unknown.map(bit => featureName(head, headerLength, 0, bit)).join(', ');
	unsupported(FORMAT, 'incompatible_features', 72, names);
}

function compressionOf(head: Uint8Array, headerLength: number, isSet: boolean): 'deflate' | 'zstd' {
	const type = COMPRESSION_TYPE.size <= headerLength ? COMPRESSION_TYPE.decode(head).compressionType : 0;
	if (isSet !== (type !== 0)) {
		corrupt(FORMAT, 'compression_type', 104, isSet ? 'a compression other than deflate' : 0, type);
	}
	if (1 < type) unsupported(FORMAT, 'compression_type', 104, type);
	return type === 1 ? 'zstd' : 'deflate';
}

interface Extensions {
	backingFormat?: RawName;
	dataFileName?: RawName;
	bitmaps?: Omit<BitmapsExtension, 'consistent'>;
}

function decodeExtensions(head: Uint8Array, from: number, to: number): Extensions {
	const found: Extensions = {};
	for (const { type, at, length } of walkExtensions(head, from, to)) {
		const data = head.subarray(at, at + length);
		if (type === EXTENSION_BACKING_FORMAT) found.backingFormat = rawFromBytes(data);
		else if (type === EXTENSION_DATA_FILE) found.dataFileName = rawFromBytes(data);
		else if (type === EXTENSION_BITMAPS) found.bitmaps = BITMAPS.decode(data);
	}
	return found;
}

function* walkExtensions(head: Uint8Array, from: number, to: number) {
	for (let at = from; at + EXTENSION.size <= to;) {
		if (head.byteLength < at + EXTENSION.size) {
			// A file that ends here ends the extensions too; a large cluster may have more of them than was read.
			if (head.byteLength === MAX_HEADER_BYTES) tooFar('header extension', at, at, head);
			return;
		}
		const { type, length } = EXTENSION.decode(head, at);
		if (type === EXTENSION_END) return;
		const start = at + EXTENSION.size;
		if (to < start + length) corrupt(FORMAT, 'header extension', at, `at most ${to - start} bytes`, length);
		if (head.byteLength < start + length) tooFar('header extension', at, start + length, head);
		yield { type, at: start, length };
		at = alignUp(start + length, 8);
	}
}

/** The name that the image itself gives a feature, escaped; else its number. */
function featureName(head: Uint8Array, headerLength: number, kind: number, bit: number): string {
	try {
		for (const { type, at, length } of walkExtensions(head, headerLength, head.byteLength)) {
			if (type !== EXTENSION_FEATURE_NAMES) continue;
			for (let row = at; row + FEATURE_NAME_BYTES <= at + length; row += FEATURE_NAME_BYTES) {
				if (head[row] !== kind || head[row + 1] !== bit) continue;
				const raw = rawFromBytes(head.subarray(row + 2, row + FEATURE_NAME_BYTES));
				return `"${textFromRaw(raw.split('\0', 1)[0]!)}" (bit ${bit})`;
			}
		}
	} catch (error) {
		// A table that is damaged names nothing. The damage itself is reported by decodeExtensions().
		if (!EngineError.is(error)) throw error;
	}
	return `bit ${bit}`;
}

function bitsOf(word: bigint): number[] {
	return Array.from({ length: 64 }, (_, bit) => bit).filter(bit => ((word >> BigInt(bit)) & 1n) !== 0n);
}

function tooFar(field: string, offset: number, actual: number, head: Uint8Array): never {
	if (head.byteLength < MAX_HEADER_BYTES)
		corrupt(FORMAT, field, offset, `inside the ${head.byteLength} bytes there are`, actual);
	throw new EngineError('ERR_LIMIT', `qcow2: ${field} reaches ${actual}, beyond the first ${MAX_HEADER_BYTES} bytes`, {
		format: FORMAT,
		field,
		offset,
		actual,
	});
}
