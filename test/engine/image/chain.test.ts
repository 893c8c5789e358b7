import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { suite, test } from 'node:test';
import { openImage } from '../../../src/engine/image/open-image.js';
import { probeImage } from '../../../src/engine/image/probe.js';
import { readBytes } from '../../../src/engine/io/source.js';
import { buildQcow2, expectedDisk, type Qcow2Description } from '../../builders/qcow2.js';
import { TempFolder, qemuDisk, qemuImg } from '../../oracles/qemu.js';
import { checkView, isError, runImageSuite } from './image-suite.js';
import { MemoryFiles } from './memory-files.js';

const CLUSTER = 4096;
const TOP: Qcow2Description = {
	clusters: [{ fill: 1 }, 'hole', 'zero', 'hole', 'hole', 'hole', { fill: 6 }],
	backing: { name: 'base.raw', format: 'raw' },
	snapshots: [{ id: '1', name: 's', clusters: ['hole', { fill: 2 }, 'hole'] }],
};
const RAW = Buffer.from(Array.from({ length: 4 * CLUSTER + 1000 }, (_, i) => 1 + (i % 250)));

/** Images in a folder in memory. Names that begin with a slash are taken as they are. */
function folder(files: Record<string, Uint8Array | Qcow2Description>): MemoryFiles {
	return new MemoryFiles(
		Object.fromEntries(
			Object.entries(files).map(([name, content]) => [
				name.startsWith('/') ? name : `/vm/${name}`,
				content instanceof Uint8Array ? content : buildQcow2(content).bytes,
			]),
		),
	);
}

const over = (name: string, format?: string): Qcow2Description => ({
	clusters: [{ fill: 1 }, 'hole'],
	backing: { name, ...(format === undefined ? {} : { format }) },
});

suite('raw images', () => {
	runImageSuite('raw', () => ({
		image: openImage('/vm/a.raw', { files: folder({ 'a.raw': RAW }) }),
		disks: new Map([[undefined, RAW]]),
	}));

	test('a given format is not probed: a guest can write a qcow2 header', () => {
		const { bytes } = buildQcow2({ clusters: [] });
		using image = openImage('/vm/a', { files: folder({ a: bytes }), format: 'raw' });
		checkView(image.current(), bytes);
		assert.match(image.noSnapshotsReason!, /qemu-img convert/);
	});
});

suite('backing files', () => {
	runImageSuite('a shorter raw file below', () => {
		const files = folder({ 'top.qcow2': TOP, 'base.raw': RAW });
		return {
			image: openImage('/vm/top.qcow2', { files }),
			disks: new Map([
				[undefined, expectedDisk(TOP.clusters, 12, 7 * CLUSTER, RAW)],
				['1', expectedDisk(TOP.snapshots![0]!.clusters, 12, 3 * CLUSTER, RAW)],
			]),
		};
	});

	test('a chain of three, of other cluster sizes, closes all its files', () => {
		const middle: Qcow2Description = {
			clusterBits: 9,
			clusters: Array.from({ length: 40 }, (_, i) => (i % 2 === 0 ? 'hole' : { fill: 100 + i })),
			backing: { name: 'base.raw', format: 'raw' },
		};
		const top: Qcow2Description = { ...TOP, backing: { name: 'middle.qcow2', format: 'qcow2' } };
		const files = folder({ 'top.qcow2': top, 'middle.qcow2': middle, 'base.raw': RAW });
		const image = openImage('/vm/top.qcow2', { files });
		const below = expectedDisk(middle.clusters, 9, undefined, RAW);
		checkView(image.current(), expectedDisk(TOP.clusters, 12, undefined, below));
		assert.deepEqual(
			image.files.map(file => [file.path, file.format, file.role]),
			[
				['/vm/top.qcow2', 'qcow2', 'top'],
				['/vm/middle.qcow2', 'qcow2', 'backing'],
				['/vm/base.raw', 'raw', 'backing'],
			],
		);
		assert.equal(files.opened, 3);
		image[Symbol.dispose]();
		assert.equal(files.opened, 0);
	});

	const good: readonly (readonly [string, string | undefined])[] = [
		['base.raw', 'raw'],
		['./base.raw', 'raw'],
		['/vm/base.raw', 'raw'],
		['file:base.raw', 'raw'],
		['file:///vm/base.raw', 'raw'],
		['a:b.raw', 'raw'],
		['json:{"driver":"raw","file":{"driver":"file","filename":"base.raw"}}', undefined],
		['json:{"driver":"raw","file.driver":"file","file.filename":"/vm/base.raw","read-only":true}', undefined],
		['json:{"file.filename":"base.raw","driver":"raw"}', undefined],
		['json:{"driver":"file","filename":"base.raw"}', 'raw'],
	];
	for (const [name, format] of good) {
		test(`${name} is followed`, () => {
			const files = folder({ 'top.qcow2': over(name, format), 'base.raw': RAW, 'a:b.raw': RAW });
			using image = openImage('/vm/top.qcow2', { files });
			assert.equal(readBytes(image.current(), CLUSTER, 1)[0], RAW[CLUSTER]);
		});
	}

	const bad: readonly (readonly [string, string | undefined, string, RegExp])[] = [
		['base.raw', undefined, 'ERR_REFUSED', /base\.raw.*does not record its format.*backingFormats/],
		['nbd://host/x', 'raw', 'ERR_REFUSED', /"nbd:"/],
		['http://host/x', 'raw', 'ERR_REFUSED', /"http:"/],
		['host_device:/dev/sda', 'raw', 'ERR_REFUSED', /host_device/],
		['json:{"driver":"raw","file":{"driver":"nbd","host":"x"}}', undefined, 'ERR_REFUSED', /"nbd"/],
		['json:{"driver":"vmdk","file":{"driver":"file","filename":"base.raw"}}', undefined, 'ERR_REFUSED', /"vmdk"/],
		[
			'json:{"driver":"raw","file":{"driver":"host_device","filename":"/dev/sda"}}',
			undefined,
			'ERR_REFUSED',
			/host_device/,
		],
		[
			'json:{"driver":"raw","offset":512,"file":{"driver":"file","filename":"base.raw"}}',
			undefined,
			'ERR_REFUSED',
			/"offset"/,
		],
		['json:{"driver":"raw","file":"node0"}', undefined, 'ERR_REFUSED', /names no file/],
		['json:{"driver":"raw"', undefined, 'ERR_CORRUPT', /parsed/],
		['json:[1]', undefined, 'ERR_CORRUPT', /no object/],
		['base.raw', 'vmdk', 'ERR_UNSUPPORTED', /VMDK images cannot be read yet/],
		['base.raw', 'toString', 'ERR_UNSUPPORTED', /"toString" images/],
		['gone.raw', 'raw', 'ERR_NOT_FOUND', /its backing file \/vm\/gone\.raw is missing/],
		['/etc/base.raw', 'raw', 'ERR_REFUSED', /outside the folder.*allowOutside/],
		['../vmx/base.raw', 'raw', 'ERR_REFUSED', /outside the folder/],
		['base\n.raw', 'raw', 'ERR_UNSUPPORTED', /base\\x0a\.raw/],
		['base\0.raw', 'raw', 'ERR_CORRUPT', /base\\x00/],
		['top.qcow2', 'qcow2', 'ERR_CORRUPT', /form a circle: \/vm\/top\.qcow2 -> \/vm\/top\.qcow2/],
	];
	for (const [name, format, code, message] of bad) {
		test(`${JSON.stringify(name)} as ${format ?? 'nothing'}: ${code}`, () => {
			const files = folder({
				'top.qcow2': over(name, format),
				'base.raw': RAW,
				'/etc/base.raw': RAW,
				'/vmx/base.raw': RAW,
			});
			assert.throws(
				() => openImage('/vm/top.qcow2', { files }),
				error =>
					(isError(code)(error) && message.test((error as Error).message)) || assert.fail((error as Error).message),
			);
			assert.equal(files.opened, 0);
		});
	}

	test('what is refused can be allowed', () => {
		const files = folder({ 'top.qcow2': over('/etc/base.raw'), '/etc/base.raw': RAW });
		for (const key of ['/etc/base.raw']) {
			using image = openImage('/vm/top.qcow2', { files, allowOutside: true, backingFormats: { [key]: 'raw' } });
			assert.equal(readBytes(image.current(), CLUSTER, 1)[0], RAW[CLUSTER]);
		}
		const relative = folder({ 'top.qcow2': over('base.raw'), 'base.raw': RAW });
		using image = openImage('/vm/top.qcow2', { files: relative, backingFormats: { 'base.raw': 'raw' } });
		assert.equal(readBytes(image.current(), CLUSTER, 1)[0], RAW[CLUSTER]);
	});

	test('a long chain ends', () => {
		const files: Record<string, Qcow2Description> = {};
		for (let i = 0; i < 210; i++)
			files[`${i}.qcow2`] = { clusters: [], size: 0, backing: { name: `${i + 1}.qcow2`, format: 'qcow2' } };
		const memory = folder(files);
		assert.throws(() => openImage('/vm/0.qcow2', { files: memory }), isError('ERR_LIMIT'));
		assert.equal(memory.opened, 0);
	});

	test('symbolic links: the real place counts', () => {
		using temp = new TempFolder();
		mkdirSync(temp.join('vm'));
		mkdirSync(temp.join('other'));
		writeFileSync(temp.join('other', 'base.raw'), RAW);
		symlinkSync(temp.join('other', 'base.raw'), temp.join('vm', 'base.raw'));
		writeFileSync(temp.join('vm', 'top.qcow2'), buildQcow2(TOP).bytes);
		assert.throws(() => openImage(temp.join('vm', 'top.qcow2')), isError('ERR_REFUSED'));
		using image = openImage(temp.join('vm', 'top.qcow2'), { allowOutside: true });
		assert.ok(qemuDisk(temp.join('vm', 'top.qcow2')).equals(readBytes(image.current(), 0, image.current().size)));
	});

	test('directories and devices are no images', () => {
		using temp = new TempFolder();
		assert.throws(() => openImage(temp.path), isError('ERR_REFUSED'));
		assert.throws(() => openImage('/dev/null'), isError('ERR_REFUSED'));
		assert.throws(() => openImage(temp.join('gone')), isError('ERR_NOT_FOUND'));
	});
});

suite('formats that are recognised', () => {
	const formats = [
		['vmdk', 'VMDK'],
		['vdi', 'VDI'],
		['vpc', 'VHD'],
		['vhdx', 'VHDX'],
		['qed', 'QED'],
		['qcow', 'qcow (version 1)'],
		['parallels', 'Parallels'],
	] as const;
	for (const [format, name] of formats) {
		test(`${name}, as qemu-img makes it`, () => {
			using temp = new TempFolder();
			const variants: string[][] = format === 'vpc' ? [[], ['-o', 'subformat=fixed']] : [[]];
			for (const options of variants) {
				const path = temp.join('a:b.img');
				qemuImg('create', '-q', '-f', format, ...options, `file:${path}`, '4M');
				assert.throws(
					() => openImage(path),
					error =>
						isError('ERR_UNSUPPORTED')(error) && (error as Error).message.includes(`${name} images cannot be read yet`),
				);
				assert.equal(probeImage(path).format, format);
			}
		});
	}

	test('LUKS is recognised, and text is raw', () => {
		const files = folder({
			luks: Buffer.from('LUKS\xba\xbe\0\x01', 'latin1'),
			text: Buffer.from('hello'),
			empty: Buffer.alloc(0),
		});
		assert.deepEqual(
			['luks', 'text', 'empty'].map(name => probeImage(`/vm/${name}`, { files }).format),
			['luks', 'raw', 'raw'],
		);
		assert.throws(() => openImage('/vm/luks', { files }), isError('ERR_UNSUPPORTED'));
		using image = openImage('/vm/empty', { files });
		assert.equal(image.current().size, 0);
	});

	test('a probe tells what the header has', () => {
		const files = folder({ 'top.qcow2': TOP, bad: buildQcow2({ clusters: [], incompatible: 1n << 50n }).bytes });
		assert.deepEqual(probeImage('/vm/top.qcow2', { files }), {
			format: 'qcow2',
			fileSize: files.files['/vm/top.qcow2']!.byteLength,
			virtualSize: 7 * CLUSTER,
			snapshots: 1,
			backing: { name: 'base.raw', format: 'raw' },
			dataFile: undefined,
			encrypted: false,
			problem: undefined,
		});
		assert.equal(probeImage('/vm/bad', { files }).problem!.code, 'ERR_UNSUPPORTED');
	});
});
