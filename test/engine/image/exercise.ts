import assert from 'node:assert/strict';
import { changedRanges } from '../../../src/engine/image/changed.js';
import { asQcow2, openImage } from '../../../src/engine/image/open-image.js';
import { probeImage } from '../../../src/engine/image/probe.js';
import { exclusiveBytes } from '../../../src/engine/image/qcow2/usage.js';
import type { ByteSource } from '../../../src/engine/io/source.js';
import { EngineError } from '../../../src/engine/util/errors.js';
import { UNWATCHED } from '../../../src/engine/util/work.js';
import { MemoryFiles } from './memory-files.js';

const scratch = new Uint8Array(256 * 1024);
const PATH = '/vm/disk.qcow2';

/**
 * Does everything that can be done with an image whose bytes cannot be trusted: probe, open, read each state, compare
 * states, count. Whatever goes wrong is an EngineError, and every file is closed.
 */
export function exercise(bytes: Uint8Array, others: Readonly<Record<string, Uint8Array>> = {}): void {
	const files = new MemoryFiles({ ...others, [PATH]: bytes });
	attempt(() => probeImage(PATH, { files }));
	attempt(() => {
		using image = openImage(PATH, { files, format: 'qcow2' });
		const qcow2 = asQcow2(image)!; // OK: the format is given.
		const ids = image.snapshots.slice(0, 3).map(each => each.id);
		const views = [() => image.current(), ...ids.map(id => () => image.atSnapshot(id))];
		for (const view of views) {
			attempt(() => readHead(view()));
			attempt(() => {
				let runs = 0;
				for (const _ of view().extents()) if (1000 < ++runs) break;
			});
		}
		for (const id of ids) {
			attempt(() => {
				const state = qcow2.vmState(id);
				if (state) readHead(state);
			});
			attempt(() => changedRanges(image.current(), image.atSnapshot(id)));
			image.isSnapshotUnchanged(id);
		}
		attempt(() => exclusiveBytes(qcow2, UNWATCHED));
		attempt(() => qcow2.bitmapNames());
		attempt(() => qcow2.l1Table());
		image.isUnchanged();
	});
	assert.equal(files.opened, 0);
}

function readHead(source: ByteSource): void {
	// In pieces, since damage in one must not hide what the others do.
	const length = Math.min(source.size, scratch.length);
	for (let at = 0; at < length; at += 4096) {
		attempt(() => source.read(at, scratch.subarray(at, Math.min(length, at + 4096))));
	}
}

function attempt(body: () => void): void {
	try {
		body();
	} catch (error) {
		if (!EngineError.is(error)) throw error;
	}
}
