import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DiskImage, DiskView } from '../../../src/engine/image/image.js';
import type { Extent } from '../../../src/engine/io/source.js';
import { shiftIdentity } from '../../../src/engine/io/identity.js';
import { EngineError } from '../../../src/engine/util/errors.js';
import { mulberry } from '../../builders/qcow2.js';

export interface SuiteCase {
	readonly image: DiskImage;
	/** The disk of each state: `undefined` for the current one, else the snapshot's id. */
	readonly disks: ReadonlyMap<string | undefined, Buffer>;
}

/** What every image format promises, whatever it is. */
export function runImageSuite(name: string, open: () => SuiteCase): void {
	test(`${name}: every state reads as it should`, () => {
		using image = open().image;
		for (const [id, disk] of open().disks) checkView(viewOf(image, id), disk);
	});

	test(`${name}: reads outside the disk fail, reads of nothing do not`, () => {
		const { image, disks } = open();
		using _ = image;
		for (const id of disks.keys()) {
			const view = viewOf(image, id);
			view.read(view.size, new Uint8Array(0));
			for (const [offset, length] of [
				[-1, 1],
				[view.size, 1],
				[view.size - 1, 2],
			] as const) {
				assert.throws(() => view.read(offset, new Uint8Array(length)), isError('ERR_IO'));
			}
		}
	});

	test(`${name}: an unknown snapshot is not found`, () => {
		using image = open().image;
		assert.throws(() => image.atSnapshot('no such'), isError('ERR_NOT_FOUND'));
	});

	test(`${name}: an image that nobody touches is unchanged`, () => {
		using image = open().image;
		assert.equal(image.isUnchanged(), true);
		for (const { id } of image.snapshots) assert.equal(image.isSnapshotUnchanged(id), true);
	});
}

/** Reads in pieces of many sizes, and the extents: in order, without gaps, zeros where they say so, and stable under clipping. */
export function checkView(view: DiskView, disk: Buffer): void {
	assert.equal(view.size, disk.length);
	const whole = Buffer.alloc(disk.length, 0xee);
	view.read(0, whole);
	assert.ok(whole.equals(disk), `differs first at ${firstDifference(whole, disk)}`);
	const random = mulberry(disk.length);
	for (let i = 0; i < 40 && disk.length > 0; i++) {
		const offset = Math.floor(random() * disk.length);
		const length = Math.floor(random() ** 3 * (disk.length - offset));
		const part = Buffer.alloc(length, 0xee);
		view.read(offset, part);
		assert.ok(part.equals(disk.subarray(offset, offset + length)), `read of ${length} at ${offset}`);
		checkExtents([...view.extents(offset, offset + length)], offset, offset + length, disk);
	}
	const all = [...view.extents()];
	checkExtents(all, 0, disk.length, disk);
	// A clipped run has the identity that the whole one has at that place.
	for (const extent of all.filter(each => each.identity && each.length > 1).slice(0, 50)) {
		const [clipped] = view.extents(extent.offset + 1, extent.offset + extent.length);
		assert.deepEqual(clipped?.identity, shiftIdentity(extent.identity!, 1));
	}
}

export function isError(code: string, field?: string): (error: unknown) => boolean {
	return error => {
		assert.ok(EngineError.is(error), `not an EngineError: ${String(error)}`);
		assert.equal(error.code, code, error.message);
		if (field !== undefined) assert.equal(error.details.field, field, error.message);
		return true;
	};
}

function checkExtents(extents: readonly Extent[], from: number, to: number, disk: Buffer): void {
	let at = from;
	for (const { offset, length, kind } of extents) {
		assert.equal(offset, at);
		assert.ok(length > 0);
		if (kind === 'zero') assert.ok(disk.subarray(offset, offset + length).equals(zeros(length)));
		at += length;
	}
	assert.equal(at, to);
}

let someZeros = Buffer.alloc(0);
function zeros(length: number): Buffer {
	if (someZeros.length < length) someZeros = Buffer.alloc(length);
	return someZeros.subarray(0, length);
}

function viewOf(image: DiskImage, id: string | undefined): DiskView {
	return id === undefined ? image.current() : image.atSnapshot(id);
}

function firstDifference(a: Buffer, b: Buffer): number {
	return a.findIndex((byte, index) => byte !== b[index]);
}
