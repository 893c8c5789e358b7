import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, suite, test } from 'node:test';
import { discover } from '../../../src/engine/machine/discover.js';
import { readDomainXml } from '../../../src/engine/machine/discover-libvirt.js';
import { originOf } from '../../../src/engine/machine/discover-places.js';
import { UNWATCHED } from '../../../src/engine/util/work.js';
import { writeMbr } from '../../builders/partition-table.js';

const folder = mkdtempSync(join(tmpdir(), 'strata-discover-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const MIB = 1024 * 1024;

function write(path: string, content: string | Buffer): string {
	mkdirSync(dirname(path), { recursive: true });
	writeFileSync(path, content);
	return path;
}

function qcow2(path: string, ...options: string[]): string {
	mkdirSync(dirname(path), { recursive: true });
	execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', ...options, path, '16M']);
	return path;
}

function rawDisk(path: string): string {
	const disk = Buffer.alloc(MIB);
	writeMbr(disk, [{ type: 0x83, firstLba: 64, sectorCount: 1000 }]);
	return write(path, disk);
}

function find(folders: readonly string[], home?: string) {
	return discover({ folders, knownPlaces: home !== undefined, ...(home === undefined ? {} : { home }) }, UNWATCHED);
}

suite('below a folder', () => {
	test('images by content; chains as one machine; nothing else', () => {
		const root = join(folder, 'content');
		const base = qcow2(join(root, 'images/base'));
		const middle = qcow2(join(root, 'images/middle.txt'), '-b', 'base', '-F', 'qcow2');
		const top = qcow2(join(root, 'work/top'), '-b', middle, '-F', 'qcow2');
		execFileSync('qemu-img', ['snapshot', '-c', 'one', top]);
		const raw = rawDisk(join(root, 'raw.bin'));
		const overRaw = qcow2(join(root, 'over-raw.qcow2'), '-b', 'raw.bin', '-F', 'raw');
		const data = qcow2(join(root, 'data.qcow2'), '-o', `data_file=${join(root, 'data.raw')},data_file_raw=on`);
		write(join(root, 'notes.qcow2'), 'not an image at all'.repeat(1000));
		write(join(root, 'zeros.img'), Buffer.alloc(2 * MIB));
		write(join(root, 'odd-size.img'), Buffer.alloc(MIB + 1));
		rawDisk(join(root, 'node_modules/x/disk.img'));
		rawDisk(join(root, '.git/disk.img'));
		symlinkSync('..', join(root, 'work/loop'));
		symlinkSync(raw, join(root, 'work/link-to-raw'));
		symlinkSync('nowhere', join(root, 'work/dangling'));
		assert.deepEqual(find([root]), [
			machine('data', data, { size: 16 * MIB }),
			machine('over-raw', overRaw, { chain: [overRaw, raw], size: 16 * MIB }),
			machine('top', top, { chain: [top, middle, base], size: 16 * MIB, snapshots: 1 }),
		]);
		assert.deepEqual(find([root, root, join(root, 'work')]).length, 3, 'each once');
	});

	test('chains that are loops, and that lead nowhere', () => {
		const root = join(folder, 'loops');
		const one = qcow2(join(root, 'one'));
		const two = qcow2(join(root, 'two'), '-b', one, '-F', 'qcow2');
		execFileSync('qemu-img', ['rebase', '-u', '-b', two, '-F', 'qcow2', one]);
		const lost = qcow2(join(root, 'lost'));
		execFileSync('qemu-img', ['rebase', '-u', '-b', 'gone', '-F', 'qcow2', lost]);
		const remote = qcow2(join(root, 'remote'));
		execFileSync('qemu-img', ['rebase', '-u', '-b', 'nbd://localhost/x', '-F', 'raw', remote]);
		assert.deepEqual(
			find([root]).map(({ disks }) => disks[0]?.chain),
			[
				[lost, join(root, 'gone')],
				[remote, 'nbd://localhost/x'],
			],
		);
	});

	test('raw disks with a filesystem; formats that are not read; no discs, no packages', () => {
		const root = join(folder, 'formats');
		const ext4 = write(join(root, 'ext4'), '');
		truncateSync(ext4, 4 * MIB);
		execFileSync('mkfs.ext4', ['-q', '-F', ext4]);
		const vmdk = join(root, 'a.vmdk');
		execFileSync('qemu-img', ['create', '-q', '-f', 'vmdk', vmdk, '16M']);
		const iso = Buffer.alloc(MIB);
		iso.write('\x01CD001\x01', 32768, 'latin1');
		writeMbr(iso, [{ type: 0x17, firstLba: 64, sectorCount: 1000 }]);
		write(join(root, 'install.iso'), iso);
		write(join(root, 'core.snap'), Buffer.concat([Buffer.from('hsqs'), Buffer.alloc(MIB - 4)]));
		assert.deepEqual(
			find([root]).map(({ name, disks }) => [name, disks[0]?.format]),
			[
				['a', 'vmdk'],
				['ext4', 'raw'],
			],
		);
	});

	test('folders that are not there are passed over', () => {
		assert.deepEqual(find([join(folder, 'nothing')]), []);
	});
});

test('known places: names and disks as the programs have them', () => {
	const home = join(folder, 'home');
	const at = (path: string) => join(home, path);
	const base = rawDisk(at('.lima/dev/basedisk'));
	const diff = qcow2(at('.lima/dev/diffdisk'), '-b', base, '-F', 'raw');
	qcow2(at('.colima/_lima/colima/diffdisk'));
	qcow2(at('.local/share/gnome-boxes/images/fedora'));
	qcow2(at('.local/share/containers/podman/machine/qemu/default.qcow2'));
	const utm = ['Data/b.qcow2', 'Data/a.qcow2'].map(name =>
		qcow2(at(`Library/Containers/com.utmapp.UTM/Data/Documents/My VM.utm/${name}`)),
	);
	const web = qcow2(at('disks/web & more.qcow2'));
	write(at('.config/libvirt/qemu/web.xml'), domain('web', [web, '/gone.qcow2']));
	const found = find([], home).filter(({ disks }) => disks[0]?.path.startsWith(home));
	assert.deepEqual(
		found.map(({ name, origin, disks }) => [name, origin, disks.map(({ path }) => path.slice(home.length + 1))]),
		[
			['My VM', 'utm', utm.map(path => path.slice(home.length + 1)).sort()],
			['colima', 'colima', ['.colima/_lima/colima/diffdisk']],
			['default', 'podman', ['.local/share/containers/podman/machine/qemu/default.qcow2']],
			['dev', 'lima', ['.lima/dev/diffdisk']],
			['fedora', 'gnome-boxes', ['.local/share/gnome-boxes/images/fedora']],
			['web', 'libvirt', ['disks/web & more.qcow2']],
		],
	);
	assert.deepEqual(found[3]?.disks[0]?.chain, [diff, base]);
});

test('where a path comes from', () => {
	const none = () => false;
	assert.deepEqual(originOf('/srv/.vagrant/machines/web/qemu/x/linked-box.img', none), {
		origin: 'vagrant',
		name: 'web',
		group: 'vagrant:/srv/.vagrant/machines/web',
	});
	assert.equal(originOf('/var/snap/multipass/common/data/multipassd/vault/instances/calm/a.img', none).name, 'calm');
	assert.equal(originOf('/var/lib/libvirt/images/db.qcow2', none).origin, 'libvirt');
	const conf = (path: string) => path === '/vms/ubuntu.conf';
	assert.deepEqual(originOf('/vms/ubuntu/disk.qcow2', conf), { origin: 'quickemu', name: 'ubuntu', group: undefined });
	assert.deepEqual(originOf('/vms/ubuntu/disk.qcow2', none), { origin: 'file', name: 'disk', group: undefined });
});

suite("libvirt's XML", () => {
	test('names disks, not drives', () => {
		const xml = `<!-- <domain><name>no</name> --><domstatus><domain id='1' type="kvm">
			<name> db &amp; web &#x41; </name><devices>
			<disk type='file' device='cdrom'><source file='/iso'/></disk>
			<disk type='file'><driver name='qemu' type='qcow2'/><source  file = "/a&quot;b.img" index='1'/></disk>
			<disk device='disk'><source file='/second'/><backingStore><source file='/not-this'/></backingStore></disk>
			<disk type='network' device='disk'><source protocol='rbd' name='pool/x'/></disk>
			<disk type='file'><source file='relative'/></disk></devices></domain></domstatus>`;
		assert.deepEqual(readDomainXml(xml), { name: 'db & web A', disks: ['/a"b.img', '/second'] });
	});

	test('anything else is no domain', () => {
		for (const xml of ['', '<network><name>x</name></network>', '<domain>', '<domain><name></name>', '<!--<domain>']) {
			assert.equal(readDomainXml(xml), undefined);
		}
		// Would take hours if each opening were searched to the end.
		assert.deepEqual(readDomainXml(`<domain><name>x</name>${'<disk '.repeat(500_000)}`)?.disks, []);
		assert.equal(readDomainXml('<!--'.repeat(500_000)), undefined);
	});
});

function machine(name: string, path: string, facts: { chain?: string[]; size: number; snapshots?: number }) {
	const { chain = [path], size, snapshots = 0 } = facts;
	return { name, disks: [{ path, format: 'qcow2', size, snapshots, chain }], origin: 'file', registeredAs: null };
}

function domain(name: string, disks: readonly string[]): string {
	const devices = disks.map(
		disk => `<disk type='file' device='disk'><source file='${disk.replace('&', '&amp;')}'/></disk>`,
	);
	return `<domain type='kvm'><name>${name}</name><devices>${devices.join('')}</devices></domain>`;
}
