// What happens on the example machine: two days of a developer's life, four snapshots on two branches, and an accident.
//
//   clean-base ──┬── experiment                        PostgreSQL tried, and left
//                └── before-nginx ── nginx-installed ── (current state: a slip of the pen, a page deleted)
import { noise, picture } from './binary.mjs';
import { Machine } from './machine.mjs';
import { BASE, LATER, install, log } from './packages.mjs';
import { SCHEMA, database, purchases } from './shop-database.mjs';

const at = text => Date.parse(`${text}Z`) / 1000;
const DEV = { uid: 1000, gid: 1000 };
const SHOP = '/srv/shop/shop.db';

/** @returns {Promise<{ name: string | null, parent: string | null, note: string, machine: Machine, time: number }[]>} the last one is the current state */
export async function story() {
	const base = await cleanBase();
	const experiment = await tryPostgres(base.fork(at('2025-05-12T11:04:00')));
	const before = await prepare(base.fork(at('2025-05-13T16:05:00')));
	const installed = await installNginx(before.fork(at('2025-05-13T16:41:00')));
	const current = slip(installed.fork(at('2025-05-13T17:10:00')));
	const state = (name, parent, time, note, machine) => ({ name, parent, time: at(time), note, machine });
	return [
		state('clean-base', null, '2025-05-12T09:02:00', 'Debian 12 with the shop on it, as handed over.', base),
		state('experiment', 'clean-base', '2025-05-12T11:30:00', 'PostgreSQL instead of SQLite: not worth it.', experiment),
		state('before-nginx', 'clean-base', '2025-05-13T16:40:00', 'Before apt install nginx.', before),
		state('nginx-installed', 'before-nginx', '2025-05-13T16:52:00', 'nginx serves the shop.', installed),
		state(null, 'nginx-installed', '2025-05-13T17:20:00', '', current),
	];
}

async function cleanBase() {
	const machine = new Machine(at('2025-05-11T18:00:00'));
	for (const [path, target] of [
		['/bin', 'usr/bin'],
		['/lib', 'usr/lib'],
		['/sbin', 'usr/sbin'],
	])
		machine.link(path, target);
	for (const path of [
		'/dev',
		'/proc',
		'/run',
		'/sys',
		'/mnt',
		'/opt',
		'/boot/efi',
		'/etc/cron.daily',
		'/var/lib/dpkg/info',
	])
		machine.folder(path);
	for (const path of ['/tmp', '/var/tmp']) machine.folder(path, { mode: 0o1777 });
	machine.folder('/root', { mode: 0o700 });
	machine.write('/boot/vmlinuz-6.1.0-37-amd64', noise('kernel', 60_000));
	machine.write('/boot/config-6.1.0-37-amd64', kernelConfig());
	machine.link('/vmlinuz', 'boot/vmlinuz-6.1.0-37-amd64');
	settings(machine);
	for (const [name, recipe] of Object.entries(BASE)) install(machine, name, recipe);
	machine.files.get('/usr/bin/ping').xattrs = {
		'security.capability': Buffer.from('0100000200200000000000000000000000000000', 'hex'),
	};
	machine.link('/usr/bin/sh', 'bash');
	machine.link('/usr/bin/python3', 'python3.11');
	for (const name of ['cron', 'ssh']) enable(machine, name);
	machine.write('/etc/machine-id', 'c0ffee00c0ffee00c0ffee00c0ffee00\n', { mode: 0o444 });

	machine.now = at('2025-05-12T08:40:00');
	machine.folder('/home/dev', { mode: 0o750, ...DEV });
	machine.write('/home/dev/.bashrc', "export EDITOR=nano\nPS1='\\u@\\h:\\w\\$ '\n", DEV);
	machine.write(
		'/home/dev/todo.txt',
		'- a real web server before the shop\n- only keys for ssh\n- back up shop.db\n',
		DEV,
	);
	machine.write('/home/dev/old-notes.txt', 'The old server was called box3. It is gone.\n', DEV);
	machine.folder('/home/dev/.ssh', { mode: 0o700, ...DEV });
	machine.write(
		'/home/dev/.ssh/authorized_keys',
		'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleEx dev@laptop\n',
		DEV,
	);
	machine.folder('/srv/shop', DEV);
	machine.write('/srv/shop/shop.py', shopProgram('8000'), { mode: 0o755, ...DEV });
	machine.write(
		'/srv/shop/README.md',
		'# The shop\n\nSells lamps and desks. Run `./shop.py`, then open port 8000.\n',
		DEV,
	);
	machine.write(SHOP, await database(undefined, SCHEMA), { mode: 0o640, ...DEV });
	machine.write(
		'/srv/shop/static/logo.png',
		picture(96, [
			[96, 165, 250],
			[30, 41, 59],
		]),
		DEV,
	);
	machine.write('/srv/shop/data/temperatures.csv', temperatures(), DEV);
	for (let minute = 0; minute < 40; minute++) {
		machine.now += 30;
		log(
			machine,
			'/var/log/syslog',
			`${stamp(machine)} dev-debian CRON[${900 + minute}]: (root) CMD (run-parts /etc/cron.hourly)\n`,
		);
	}
	return machine;
}

/** A branch that led nowhere. */
async function tryPostgres(machine) {
	aptHistory(machine, 'install postgresql', ['postgresql']);
	install(machine, 'postgresql', LATER.postgresql);
	enable(machine, 'postgresql');
	addUser(machine, 'postgres', 112, '/var/lib/postgresql', '/bin/bash');
	machine.folder('/var/lib/postgresql/15/main', { mode: 0o700, uid: 112, gid: 112 });
	machine.write('/var/lib/postgresql/15/main/PG_VERSION', '15\n', { mode: 0o600, uid: 112, gid: 112 });
	machine.edit('/srv/shop/shop.py', text =>
		text.replace("sqlite3.connect('/srv/shop/shop.db')", "connect('dbname=shop')"),
	);
	machine.write(
		'/srv/shop/move-to-postgres.sql',
		'BEGIN;\nCREATE TABLE customer (id integer PRIMARY KEY, name text NOT NULL, city text);\nCOMMIT;\n',
		DEV,
	);
	machine.rename(SHOP, '/srv/shop/shop.db.before-postgres');
	log(machine, '/var/log/syslog', `${stamp(machine)} dev-debian systemd[1]: Started postgresql.service.\n`);
	return machine;
}

async function prepare(machine) {
	machine.edit('/etc/hosts', text => text.replace('127.0.1.1\tdev-debian', '127.0.1.1\tdev-debian\n10.0.2.7\tbackup'));
	machine.edit('/etc/ssh/sshd_config', text => text.replace('PasswordAuthentication yes', 'PasswordAuthentication no'));
	machine.chmod('/home/dev/.ssh/authorized_keys', 0o600);
	machine.folder('/home/dev/notes', DEV);
	machine.rename('/home/dev/todo.txt', '/home/dev/notes/todo.txt');
	machine.remove('/home/dev/old-notes.txt');
	aptHistory(machine, 'install jq', ['jq']);
	install(machine, 'jq', LATER.jq);
	machine.write(
		'/etc/cron.daily/backup-shop',
		'#!/bin/sh\nset -e\nsqlite3 /srv/shop/shop.db ".backup /var/backups/shop.db"\n',
		{ mode: 0o755 },
	);
	machine.write(SHOP, await database(machine.files.get(SHOP).content, purchases(61, 75)), { mode: 0o640, ...DEV });
	for (let minute = 0; minute < 20; minute++) {
		machine.now += 60;
		log(
			machine,
			'/var/log/syslog',
			`${stamp(machine)} dev-debian sshd[${2100 + minute}]: Accepted publickey for dev from 10.0.2.2\n`,
		);
	}
	return machine;
}

async function installNginx(machine) {
	aptHistory(machine, 'install nginx', ['nginx-common', 'nginx'], ['libssl3', 'curl']);
	install(machine, 'libssl3', { ...BASE.libssl3, version: '3.0.17-1~deb12u2' });
	install(machine, 'curl', { ...BASE.curl, version: '7.88.1-10+deb12u14' });
	install(machine, 'nginx-common', LATER['nginx-common']);
	install(machine, 'nginx', LATER.nginx);
	machine.write('/var/cache/apt/archives/nginx_1.22.1-9+deb12u2_amd64.deb', noise('nginx.deb', 20_000));
	machine.write('/var/www/html/index.html', machine.text('/usr/share/nginx/html/index.html'));
	enable(machine, 'nginx');
	machine.write(
		'/etc/nginx/sites-available/shop',
		'server {\n\tlisten 80;\n\tserver_name shop.example;\n\n\tlocation / {\n\t\tproxy_pass http://127.0.0.1:8000;\n\t}\n\n\tlocation /static/ {\n\t\troot /srv/shop;\n\t}\n}\n',
	);
	machine.link('/etc/nginx/sites-enabled/default', '/etc/nginx/sites-available/default');
	machine.link('/etc/nginx/sites-enabled/shop', '/etc/nginx/sites-available/shop');
	machine.edit('/etc/hosts', text => text.replace('127.0.0.1\tlocalhost', '127.0.0.1\tlocalhost shop.example'));
	addUser(machine, 'deploy', 1001, '/home/deploy', '/bin/bash');
	machine.folder('/home/deploy', { mode: 0o750, uid: 1001, gid: 1001 });
	machine.chown('/srv/shop/static/logo.png', 1001, 1001);
	machine.write(
		'/srv/shop/static/logo.png',
		picture(96, [
			[52, 211, 153],
			[6, 78, 59],
		]),
		{ uid: 1001, gid: 1001 },
	);
	machine.edit('/srv/shop/data/temperatures.csv', text => text.replaceAll(/^(2025-03-1\d,\d+),.*$/gm, '$1,corrected'));
	machine.write(
		SHOP,
		await database(machine.files.get(SHOP).content, [
			'ALTER TABLE purchase ADD COLUMN delivered INTEGER NOT NULL DEFAULT 0',
			'UPDATE purchase SET delivered = 1 WHERE id <= 70',
			"UPDATE customer SET city = 'city 9' WHERE name = 'Ada'",
			'DELETE FROM purchase WHERE id = 13',
		]),
		{ mode: 0o640, ...DEV },
	);
	machine.folder('/var/log/nginx', { gid: 4 });
	for (let request = 0; request < 30; request++)
		log(
			machine,
			'/var/log/nginx/access.log',
			`10.0.2.2 - - [13/May/2025:16:51:${String(request).padStart(2, '0')} +0000] "GET /static/logo.png HTTP/1.1" 200 2417\n`,
		);
	log(machine, '/var/log/syslog', `${stamp(machine)} dev-debian systemd[1]: Started nginx.service.\n`);
	return machine;
}

/** A semicolon lost, a page deleted: the reason to roll back. */
function slip(machine) {
	machine.edit('/etc/nginx/sites-available/shop', text =>
		text.replace('proxy_pass http://127.0.0.1:8000;', 'proxy_pass http://127.0.0.1:8000'),
	);
	machine.remove('/var/www/html/index.html');
	machine.edit('/etc/systemd/journald.conf', text => text.replace('#SystemMaxUse=', 'SystemMaxUse=50M'));
	machine.chmod('/srv/shop/shop.py', 0o644);
	log(
		machine,
		'/var/log/nginx/error.log',
		'2025/05/13 17:18:03 [emerg] 2214#2214: unexpected "}" in /etc/nginx/sites-enabled/shop:7\n',
	);
	return machine;
}

function settings(machine) {
	const texts = {
		'/etc/hostname': 'dev-debian\n',
		'/etc/hosts': '127.0.0.1\tlocalhost\n127.0.1.1\tdev-debian\n\n::1\tlocalhost ip6-localhost ip6-loopback\n',
		'/etc/fstab':
			'UUID=7b1c9a52-4f0e-4a7e-9c55-d0f5a1b2c3d4 /         ext4 errors=remount-ro 0 1\nUUID=57A7-0001                            /boot/efi vfat umask=0077         0 1\nUUID=0b0f0e0d-1111-4222-8333-444455556666 none      swap sw                0 0\n',
		'/etc/os-release':
			'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\nID=debian\n',
		'/etc/debian_version': '12.11\n',
		'/etc/resolv.conf': 'nameserver 10.0.2.3\n',
		'/etc/default/grub': 'GRUB_DEFAULT=0\nGRUB_TIMEOUT=5\nGRUB_CMDLINE_LINUX_DEFAULT="quiet"\n',
		'/etc/apt/sources.list':
			'deb http://deb.debian.org/debian bookworm main\ndeb http://deb.debian.org/debian-security bookworm-security main\n',
		'/etc/sysctl.d/99-dev.conf':
			'# More files may be watched than the default allows.\nfs.inotify.max_user_watches = 524288\n',
		'/etc/motd': 'The example machine of Strata. Break it: every snapshot brings it back.\n',
		'/etc/passwd':
			'root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\nwww-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\nsshd:x:105:65534::/run/sshd:/usr/sbin/nologin\ndev:x:1000:1000:Developer:/home/dev:/bin/bash\n',
		'/etc/group': 'root:x:0:\ndaemon:x:1:\nadm:x:4:dev\nwww-data:x:33:\nsudo:x:27:dev\ndev:x:1000:\n',
	};
	for (const [path, text] of Object.entries(texts)) machine.write(path, text);
	machine.write('/etc/shadow', 'root:!:20219:0:99999:7:::\ndev:!:20219:0:99999:7:::\n', { mode: 0o640, gid: 42 });
	machine.link('/etc/localtime', '/usr/share/zoneinfo/Etc/UTC');
}

function enable(machine, name) {
	machine.link(`/etc/systemd/system/multi-user.target.wants/${name}.service`, `/lib/systemd/system/${name}.service`);
}

function addUser(machine, name, id, home, shell) {
	machine.append('/etc/passwd', `${name}:x:${id}:${id}::${home}:${shell}\n`);
	machine.append('/etc/group', `${name}:x:${id}:\n`);
	machine.edit('/etc/shadow', text => `${text}${name}:!:20220:0:99999:7:::\n`);
}

function aptHistory(machine, command, installed, upgraded = []) {
	const clock = new Date(machine.now * 1000).toISOString().slice(0, 19).replace('T', '  ');
	log(
		machine,
		'/var/log/apt/history.log',
		`\nStart-Date: ${clock}\nCommandline: apt ${command}\nRequested-By: dev (1000)\nInstall: ${installed.join(', ')}\n${upgraded.length > 0 ? `Upgrade: ${upgraded.join(', ')}\n` : ''}`,
	);
}

function stamp(machine) {
	return new Date(machine.now * 1000).toISOString().slice(0, 19);
}

function shopProgram(port) {
	return [
		'#!/usr/bin/env python3',
		'"""A shop in forty lines."""',
		'import http.server',
		'import json',
		'import sqlite3',
		'',
		`PORT = ${port}`,
		"shop = sqlite3.connect('/srv/shop/shop.db')",
		'',
		'',
		'class Shop(http.server.BaseHTTPRequestHandler):',
		'    def do_GET(self):',
		"        rows = shop.execute('SELECT goods, sum(cents) FROM purchase GROUP BY goods').fetchall()",
		'        body = json.dumps(dict(rows)).encode()',
		'        self.send_response(200)',
		"        self.send_header('Content-Type', 'application/json')",
		'        self.end_headers()',
		'        self.wfile.write(body)',
		'',
		'',
		"http.server.ThreadingHTTPServer(('127.0.0.1', PORT), Shop).serve_forever()",
		'',
	].join('\n');
}

/** About 200 KB of text. */
function temperatures() {
	const lines = ['day,hour,celsius'];
	const start = at('2024-06-01T00:00:00');
	for (let hour = 0; hour < 24 * 345; hour++) {
		const day = new Date((start + hour * 3600) * 1000).toISOString().slice(0, 10);
		const celsius =
			11 - 9 * Math.cos((hour / 24 / 365) * 2 * Math.PI - 2.6) + 4 * Math.sin((hour / 24) * 2 * Math.PI - 2);
		lines.push(`${day},${hour % 24},${celsius.toFixed(1)}`);
	}
	return `${lines.join('\n')}\n`;
}

function kernelConfig() {
	const yes =
		'EXT4_FS EXT4_FS_POSIX_ACL JBD2 BTRFS_FS XFS_FS OVERLAY_FS VIRTIO_BLK VIRTIO_NET VIRTIO_BALLOON KVM_GUEST SMP SWAP NAMESPACES CGROUPS INOTIFY_USER EPOLL FUTEX MODULES NET INET IPV6 UNIX PACKET BLK_DEV_DM BLK_DEV_LOOP EFI EFI_STUB FB TTY';
	return `# What the kernel of the example machine was built with.\n${yes
		.split(' ')
		.map(name => `CONFIG_${name}=y\n`)
		.join('')}# CONFIG_DEBUG_KERNEL is not set\n`;
}
