/**
 * Compressed clusters of a qcow2 image: raw deflate, or one zstd frame.
 *
 * The compressed length is known in whole sectors only, and the next cluster begins in the last one. Deflate ends by
 * itself. A zstd decoder (node:zlib's, or our own where that has none) takes what follows for a second frame, so the
 * frame is measured first.
 *
 * Source: QEMU, docs/interop/qcow2.rst; RFC 8878 section 3.1.1 for the frame. Oracle: qemu-img convert -c.
 */
import * as zlib from 'node:zlib';
import { EngineError, corrupt } from '../../util/errors.js';
import { FORMAT } from './header.js';
import { decodeZstdBlocks } from './zstd.js';

const MAX_CHUNK = 256 * 1024;
const ZSTD_MAGIC = 0xfd2fb528;
/** By frame header flag: bytes of the dictionary id, and of the content size. */
const DICTIONARY_ID_BYTES = [0, 1, 2, 4] as const;
const CONTENT_SIZE_BYTES = [0, 2, 4, 8] as const;
const BLOCK_RLE = 1;
const BLOCK_RESERVED = 3;

/** Present from Node 22.15 and 23.8 on; what runs the engine may be older. */
const nativeZstd = (
	zlib as { zstdDecompressSync?: (bytes: Uint8Array, options: { maxOutputLength: number }) => Buffer }
).zstdDecompressSync;

/**
 * The `clusterSize` bytes that `compressed` stands for. `compressed` may have more behind its end.
 *
 * @param offset Where it lies in the file, for the error.
 * @throws EngineError `ERR_CORRUPT` when it is damaged or gives another length.
 */
export function decompressCluster(
	compression: 'deflate' | 'zstd',
	compressed: Uint8Array,
	clusterSize: number,
	offset: number,
): Uint8Array {
	let cluster: Uint8Array;
	try {
		cluster = compression === 'zstd' ? unzstd(compressed, clusterSize) : inflate(compressed, clusterSize);
	} catch (cause) {
		// Our decoder reports damage by RangeError, node:zlib by errors with a code. Anything else is a bug.
		if (!(cause instanceof RangeError) && (cause as { code?: unknown }).code === undefined) throw cause;
		const reason = (cause as Error).message; // OK: both are errors.
		throw new EngineError(
			'ERR_CORRUPT',
			`qcow2: the compressed cluster at ${offset} cannot be decompressed (${compression}: ${reason})`,
			{ format: FORMAT, field: 'compressed cluster', offset },
			{ cause },
		);
	}
	if (cluster.byteLength !== clusterSize) {
		corrupt(FORMAT, 'compressed cluster', offset, clusterSize, cluster.byteLength);
	}
	return cluster;
}

function inflate(compressed: Uint8Array, clusterSize: number): Uint8Array {
	return zlib.inflateRawSync(compressed, {
		// One buffer for the output, but for the largest clusters: damaged data must not cost megabytes each.
		// The spare bytes let zlib see that it is done.
		chunkSize: Math.min(clusterSize + 64, MAX_CHUNK),
		maxOutputLength: clusterSize,
		// A stream that was cut behind the last byte of the cluster is good, as it is to QEMU.
		finishFlush: zlib.constants.Z_SYNC_FLUSH,
	});
}

function unzstd(compressed: Uint8Array, clusterSize: number): Uint8Array {
	const frame = compressed.subarray(0, zstdFrameLength(compressed));
	if (nativeZstd) return nativeZstd(frame, { maxOutputLength: clusterSize });
	const { headerLength, hasDictionary } = frameHeader(new DataView(frame.buffer, frame.byteOffset, frame.byteLength));
	if (hasDictionary) throw new RangeError('the frame needs a dictionary');
	const into = new Uint8Array(clusterSize);
	return into.subarray(0, decodeZstdBlocks(frame, headerLength, into));
}

/** Bytes of the zstd frame at the start of `bytes`, by its block headers. @throws RangeError when it is cut or no frame. */
export function zstdFrameLength(bytes: Uint8Array): number {
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	if (view.getUint32(0, true) !== ZSTD_MAGIC) throw new RangeError('no zstd frame');
	const { headerLength, hasChecksum } = frameHeader(view);
	for (let at = headerLength; ;) {
		const block = view.getUint16(at, true) + view.getUint8(at + 2) * 0x10000;
		const kind = (block >>> 1) & 3;
		if (kind === BLOCK_RESERVED) throw new RangeError('reserved block type');
		at += 3 + (kind === BLOCK_RLE ? 1 : block >>> 3);
		if ((block & 1) !== 0) {
			const end = at + (hasChecksum ? 4 : 0);
			if (bytes.byteLength < end) throw new RangeError('the frame is cut');
			return end;
		}
	}
}

function frameHeader(view: DataView) {
	const descriptor = view.getUint8(4);
	const singleSegment = (descriptor & 0x20) !== 0;
	const sizeAt = 5 + (singleSegment ? 0 : 1) + DICTIONARY_ID_BYTES[(descriptor & 3) as 0 | 1 | 2 | 3];
	const sizeFlag = (descriptor >>> 6) as 0 | 1 | 2 | 3; // OK: the descriptor is one byte.
	const sizeBytes = sizeFlag === 0 && singleSegment ? 1 : CONTENT_SIZE_BYTES[sizeFlag];
	return {
		headerLength: sizeAt + sizeBytes,
		hasChecksum: (descriptor & 4) !== 0,
		hasDictionary: (descriptor & 3) !== 0,
	};
}
