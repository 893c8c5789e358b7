// Builds the example machine that comes with Strata: media/example/example.qcow2.gz and its journal. Needs qemu-utils, e2fsprogs, fdisk,
// dosfstools, mtools; not root. The same tools give the same bytes.
// usage: node scripts/make-example.mjs [FOLDER]
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import process from 'node:process';
import { gzipSync } from 'node:zlib';
import {
	ROOT,
	dateSnapshots,
	goBack,
	makeDisk,
	makeImage,
	place,
	sized,
	takeSnapshot,
	writeState,
} from './example/disk.mjs';
import { changeFiles, makeFilesystem } from './example/ext4.mjs';
import { story } from './example/story.mjs';

const LIMIT = 2 ** 20;

const folder = resolve(process.argv[2] ?? 'media/example');
const scratch = mkdtempSync(join(tmpdir(), 'strata-example-'));
try {
	const states = await story();
	const image = join(scratch, 'example.qcow2');
	makeImage(image);
	const diskOf = name => join(scratch, `disk-${name ?? 'current'}`);
	const rootOf = name => join(scratch, `root-${name ?? 'current'}`);
	let shown;
	for (const { name, parent, machine, time } of states) {
		const parentState = states.find(state => parent !== null && state.name === parent);
		if (parentState === undefined) {
			makeDisk(diskOf(name), scratch, time);
			sized(rootOf(name), ROOT.size);
			makeFilesystem(rootOf(name), { time, uuid: ROOT.uuid, label: 'root' });
		} else {
			copyFileSync(diskOf(parent), diskOf(name));
			copyFileSync(rootOf(parent), rootOf(name));
			if (parent !== shown) goBack(image, parent);
		}
		changeFiles(rootOf(name), parentState?.machine.files ?? new Map(), machine.files, { time, scratch });
		place(diskOf(name), ROOT, readFileSync(rootOf(name)));
		writeState(image, parentState === undefined ? undefined : diskOf(parent), diskOf(name), scratch);
		if (name !== null) takeSnapshot(image, name);
		shown = name;
	}
	const snapshots = states.filter(state => state.name !== null);
	const keys = dateSnapshots(
		image,
		snapshots.map(state => state.time),
	);
	const keyOf = name => keys[snapshots.findIndex(state => state.name === name)] ?? null;
	const journal = snapshots.map(({ name, parent, note, time }) => ({
		v: 1,
		time: new Date(time * 1000).toISOString(),
		type: 'end',
		action: `example-${name}`,
		verb: 'take',
		outcome: 'done',
		made: [{ key: keyOf(name), note, parent: keyOf(parent), consistency: 'offline' }],
		position: keyOf(name),
	}));
	const packed = gzipSync(readFileSync(image), { level: 9 });
	// Bytes 4 to 9 of a gzip header: time, flags, operating system. Node leaves them 0, but for the last.
	packed[9] = 255;
	if (LIMIT < packed.length) throw new Error(`${packed.length} bytes are too many`);
	mkdirSync(folder, { recursive: true });
	writeFileSync(join(folder, 'example.qcow2.gz'), packed);
	// What the image cannot hold: parents and notes. Strata looks for it in .strata/example.qcow2.journal beside the image.
	writeFileSync(join(folder, 'example.journal'), journal.map(record => `${JSON.stringify(record)}\n`).join(''));
	console.log(`${join(folder, 'example.qcow2.gz')}: ${packed.length} bytes, unpacked ${readFileSync(image).length}`);
} finally {
	rmSync(scratch, { recursive: true });
}
