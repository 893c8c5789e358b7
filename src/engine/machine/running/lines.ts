/** Cuts a stream of bytes into lines, whatever the pieces in which they come. */
export class LineSplitter {
	#partial: Buffer[] = [];
	#size = 0;

	/** @param limit bytes of the longest line. */
	constructor(private readonly limit: number) {}

	/**
	 * Lines that `chunk` completes, without their end.
	 *
	 * @returns `undefined` when a line is above the limit: the stream can no longer be followed.
	 */
	push(chunk: Buffer): Buffer[] | undefined {
		const lines: Buffer[] = [];
		let rest = chunk;
		for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
			if (this.limit < this.#size + end) return undefined;
			lines.push(Buffer.concat([...this.#partial, rest.subarray(0, end)]));
			this.#partial = [];
			this.#size = 0;
			rest = rest.subarray(end + 1);
		}
		if (rest.byteLength > 0) this.#partial.push(rest);
		this.#size += rest.byteLength;
		return this.limit < this.#size ? undefined : lines;
	}
}
