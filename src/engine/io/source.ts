/**
 * The one shape in which bytes travel through the engine: image, volume and filesystem all read from a `ByteSource`
 * and formats meet nowhere else.
 */

/**
 * Random access to bytes, read only.
 *
 * Reads are synchronous: an awaited read of a cached block costs ten times the read itself, and a diff makes thousands.
 * The engine runs in a worker thread, so nothing waits but the one who asked. A source behind a network answers
 * synchronously too, by waiting for a second thread.
 */
export interface ByteSource extends Disposable {
	/** Bytes. */
	readonly size: number;
	/**
	 * Fill `into` from `offset`, completely.
	 *
	 * @throws EngineError `ERR_IO` when `[offset, offset + into.byteLength)` is not inside the source or the bytes cannot
	 * be delivered; `ERR_CORRUPT` when the format that maps the bytes is damaged there.
	 */
	read(offset: number, into: Uint8Array): void;
}

/**
 * Where the bytes of a run are kept. Two runs, of states that exist at the same time in one opened generation of an
 * image, with equal identities hold equal bytes, unread. Never persisted, never compared across generations.
 */
export interface ExtentIdentity {
	/** Number of the host file within the opened chain. */
	readonly file: number;
	/** Bytes, in that file, of the first byte of the run. */
	readonly offset: number;
	/**
	 * 0 for plain data. Else it tells apart runs that share an offset and not their bytes: compressed clusters
	 * (length of the compressed data, and the offset within the decompressed cluster).
	 */
	readonly variant: number;
}

/** A run of a disk of one kind. Half-open: `[offset, offset + length)`. */
export interface Extent {
	readonly offset: number;
	readonly length: number;
	/** `zero`: known to read as zeros. `data`: bytes are stored. Nothing is said of their values. */
	readonly kind: 'data' | 'zero';
	/** Only of `data`; `undefined` also where the bytes come from a place that has no identity. */
	readonly identity?: ExtentIdentity;
}

/** Bytes that know where they are kept: a disk at one moment, or a slice of one. */
export interface MappedSource extends ByteSource {
	/** Unit of allocation in bytes: runs begin and end at its multiples, but for the first and the last. */
	readonly blockSize: number;
	/** Runs in order, without gaps, covering `[from, to)`; as long as the map allows. */
	extents(from?: number, to?: number): Iterable<Extent>;
}

/** Read `length` bytes at `offset` into a new buffer. The caller has capped `length`. */
export function readBytes(source: ByteSource, offset: number, length: number): Buffer {
	const into = Buffer.allocUnsafe(length);
	source.read(offset, into);
	return into;
}
