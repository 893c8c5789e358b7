// Debian packages in small: what dpkg writes down about them, and a few files. Names and versions are Debian's, contents ours.
import { createHash } from 'node:crypto';
import { program } from './binary.mjs';

/**
 * @typedef {object} Package
 * @property {string} version
 * @property {string} section
 * @property {string} summary
 * @property {string} [depends]
 * @property {Record<string, string>} [programs] path to the name that it prints; a size follows after a colon
 * @property {Record<string, string>} [files] path to text
 * @property {string[]} [conffiles] paths of `files` that the administrator may change
 */

/** @type {Record<string, Package>} */
export const BASE = {
	'base-files': {
		version: '12.4+deb12u11',
		section: 'admin',
		summary: 'Debian base system miscellaneous files',
		files: { '/usr/share/base-files/dot.bashrc': 'alias ll="ls -l"\n' },
	},
	bash: {
		version: '5.2.15-2+b8',
		section: 'shells',
		summary: 'GNU Bourne Again SHell',
		programs: { '/usr/bin/bash': 'bash:14000' },
	},
	coreutils: {
		version: '9.1-1',
		section: 'utils',
		summary: 'GNU core utilities',
		programs: { '/usr/bin/cat': 'cat:3000', '/usr/bin/ls': 'ls:6000', '/usr/bin/cp': 'cp:5200' },
	},
	cron: {
		version: '3.0pl1-162',
		section: 'admin',
		summary: 'process scheduling daemon',
		programs: { '/usr/sbin/cron': 'cron:5000' },
		files: {
			'/usr/lib/systemd/system/cron.service': service(
				'Regular background program processing daemon',
				'/usr/sbin/cron -f',
			),
			'/etc/crontab':
				'SHELL=/bin/sh\n17 * * * * root run-parts /etc/cron.hourly\n25 6 * * * root run-parts /etc/cron.daily\n',
		},
		conffiles: ['/etc/crontab'],
	},
	curl: {
		version: '7.88.1-10+deb12u12',
		section: 'web',
		summary: 'command line tool for transferring data with URL syntax',
		depends: 'libssl3',
		programs: { '/usr/bin/curl': 'curl:9000' },
	},
	dpkg: {
		version: '1.21.22',
		section: 'admin',
		summary: 'Debian package management system',
		programs: { '/usr/bin/dpkg': 'dpkg:8000' },
	},
	'iputils-ping': {
		version: '3:20221126-1+deb12u1',
		section: 'net',
		summary: 'tools to test the reachability of network hosts',
		programs: { '/usr/bin/ping': 'ping:3600' },
	},
	libssl3: {
		version: '3.0.16-1~deb12u1',
		section: 'libs',
		summary: 'Secure Sockets Layer toolkit - shared libraries',
		programs: {
			'/usr/lib/x86_64-linux-gnu/libssl.so.3': 'libssl:16000',
			'/usr/lib/x86_64-linux-gnu/libcrypto.so.3': 'libcrypto:30000',
		},
	},
	'openssh-server': {
		version: '1:9.2p1-2+deb12u6',
		section: 'net',
		summary: 'secure shell (SSH) server',
		depends: 'libssl3',
		programs: { '/usr/sbin/sshd': 'sshd:12000' },
		files: {
			'/usr/lib/systemd/system/ssh.service': service('OpenBSD Secure Shell server', '/usr/sbin/sshd -D'),
			'/etc/ssh/sshd_config':
				'# Settings of the SSH server.\nPort 22\nPermitRootLogin prohibit-password\nPasswordAuthentication yes\n' +
				'X11Forwarding yes\nAcceptEnv LANG LC_*\nSubsystem sftp internal-sftp\n',
		},
		conffiles: ['/etc/ssh/sshd_config'],
	},
	python3: {
		version: '3.11.2-1+b1',
		section: 'python',
		summary: 'interactive high-level object-oriented language',
		programs: { '/usr/bin/python3.11': 'python:20000' },
	},
	sqlite3: {
		version: '3.40.1-2+deb12u1',
		section: 'database',
		summary: 'Command line interface for SQLite 3',
		programs: { '/usr/bin/sqlite3': 'sqlite3:7000' },
	},
	systemd: {
		version: '252.38-1~deb12u1',
		section: 'admin',
		summary: 'system and service manager',
		programs: { '/usr/lib/systemd/systemd': 'systemd:18000' },
		files: {
			'/etc/systemd/journald.conf': '[Journal]\n#Storage=auto\n#SystemMaxUse=\n',
		},
		conffiles: ['/etc/systemd/journald.conf'],
	},
};

/** @type {Record<string, Package>} */
export const LATER = {
	jq: {
		version: '1.6-2.1',
		section: 'utils',
		summary: 'lightweight and flexible command-line JSON processor',
		programs: { '/usr/bin/jq': 'jq:4200' },
		files: { '/usr/share/doc/jq/README.Debian': 'jq filters JSON as sed filters text.\n' },
	},
	'nginx-common': {
		version: '1.22.1-9+deb12u2',
		section: 'httpd',
		summary: 'small, powerful, scalable web/proxy server - common files',
		files: {
			'/etc/nginx/nginx.conf':
				'user www-data;\nworker_processes auto;\npid /run/nginx.pid;\n\nevents {\n\tworker_connections 768;\n}\n\nhttp {\n' +
				'\tsendfile on;\n\ttypes_hash_max_size 2048;\n\tinclude /etc/nginx/mime.types;\n\tdefault_type application/octet-stream;\n' +
				'\tssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3;\n\taccess_log /var/log/nginx/access.log;\n\tgzip on;\n' +
				'\tinclude /etc/nginx/conf.d/*.conf;\n\tinclude /etc/nginx/sites-enabled/*;\n}\n',
			'/etc/nginx/mime.types':
				'types {\n\ttext/html html htm;\n\ttext/css css;\n\timage/png png;\n\tapplication/javascript js;\n\tapplication/json json;\n}\n',
			'/etc/nginx/sites-available/default':
				'server {\n\tlisten 80 default_server;\n\tlisten [::]:80 default_server;\n\troot /var/www/html;\n\tindex index.html;\n' +
				'\tserver_name _;\n\n\tlocation / {\n\t\ttry_files $uri $uri/ =404;\n\t}\n}\n',
			'/etc/logrotate.d/nginx':
				'/var/log/nginx/*.log {\n\tdaily\n\trotate 14\n\tcompress\n\tcreate 0640 www-data adm\n}\n',
			'/etc/default/nginx': '# Options of the nginx service.\n# STOP_SCHEDULE="QUIT/5/TERM/5/KILL/5"\n',
			'/usr/lib/systemd/system/nginx.service': service(
				'A high performance web server',
				'/usr/sbin/nginx -g "daemon on;"',
			),
			'/usr/share/nginx/html/index.html':
				'<!doctype html>\n<title>It works</title>\n<h1>The web server works.</h1>\n<p>Put your own pages here.</p>\n',
		},
		conffiles: [
			'/etc/nginx/nginx.conf',
			'/etc/nginx/mime.types',
			'/etc/nginx/sites-available/default',
			'/etc/logrotate.d/nginx',
			'/etc/default/nginx',
		],
	},
	nginx: {
		version: '1.22.1-9+deb12u2',
		section: 'httpd',
		summary: 'small, powerful, scalable web/proxy server',
		depends: 'nginx-common, libssl3',
		programs: { '/usr/sbin/nginx': 'nginx:26000' },
	},
	postgresql: {
		version: '15+248+deb12u1',
		section: 'database',
		summary: 'object-relational SQL database',
		programs: { '/usr/lib/postgresql/15/bin/postgres': 'postgres:24000' },
		files: {
			'/usr/lib/systemd/system/postgresql.service': service(
				'PostgreSQL database server',
				'/usr/lib/postgresql/15/bin/postgres',
			),
			'/etc/postgresql/15/main/postgresql.conf':
				"data_directory = '/var/lib/postgresql/15/main'\nlisten_addresses = 'localhost'\nport = 5432\nmax_connections = 100\nshared_buffers = 128MB\n",
		},
		conffiles: ['/etc/postgresql/15/main/postgresql.conf'],
	},
};

function service(description, command) {
	return `[Unit]\nDescription=${description}\nAfter=network.target\n\n[Service]\nExecStart=${command}\nRestart=on-failure\n\n[Install]\nWantedBy=multi-user.target\n`;
}

/** Installs or upgrades, as dpkg does: files, lists, sums, the status file, logs. @param {import('./machine.mjs').Machine} machine */
export function install(machine, name, recipe) {
	const before = statusOf(machine).get(name);
	const files = new Map(
		Object.entries(recipe.files ?? {}).map(([path, text]) => [path, { content: Buffer.from(text), mode: 0o644 }]),
	);
	for (const [path, what] of Object.entries(recipe.programs ?? {})) {
		const [printed, size] = what.split(':');
		files.set(path, {
			content: program(printed, recipe.version, Number(size)),
			mode: path.includes('/lib/x86') ? 0o644 : 0o755,
		});
	}
	files.set(`/usr/share/doc/${name}/changelog.Debian`, {
		content: Buffer.from(
			`${name} (${recipe.version}) bookworm; urgency=medium\n\n  * Part of the example machine of Strata.\n`,
		),
		mode: 0o644,
	});
	for (const [path, { content, mode }] of files) {
		// What the administrator changed stays.
		if (before && recipe.conffiles?.includes(path) && machine.has(path)) continue;
		machine.write(path, content, { mode });
	}
	const info = `/var/lib/dpkg/info/${name}`;
	const paths = [...new Set([...files.keys()].flatMap(parents))].sort();
	machine.write(`${info}.list`, `/.\n${paths.join('\n')}\n`);
	machine.write(
		`${info}.md5sums`,
		[...files]
			.filter(([path]) => !recipe.conffiles?.includes(path))
			.map(([path, { content }]) => `${createHash('md5').update(content).digest('hex')}  ${path.slice(1)}\n`)
			.join(''),
	);
	if (recipe.conffiles) machine.write(`${info}.conffiles`, `${recipe.conffiles.join('\n')}\n`);
	const status = statusOf(machine);
	const size = Math.ceil([...files.values()].reduce((sum, file) => sum + file.content.length, 0) / 1024);
	status.set(
		name,
		[
			`Package: ${name}`,
			'Status: install ok installed',
			'Priority: optional',
			`Section: ${recipe.section}`,
			`Installed-Size: ${size}`,
			'Maintainer: Nobody <nobody@example.invalid>',
			'Architecture: amd64',
			`Version: ${recipe.version}`,
			...(recipe.depends ? [`Depends: ${recipe.depends}`] : []),
			`Description: ${recipe.summary}`,
		].join('\n'),
	);
	saveStatus(machine, status);
	const clock = new Date(machine.now * 1000).toISOString().slice(0, 19).replace('T', ' ');
	const old = before ? /^Version: (.*)$/m.exec(before)[1] : '<none>';
	log(
		machine,
		'/var/log/dpkg.log',
		`${clock} ${before ? 'upgrade' : 'install'} ${name}:amd64 ${old} ${recipe.version}\n`,
	);
	machine.now += 2;
}

/** Removes a package with its files; changed configuration goes as well. */
export function purge(machine, name) {
	const list = machine.text(`/var/lib/dpkg/info/${name}.list`).split('\n').filter(Boolean);
	for (const path of list.sort().reverse()) {
		if (path === '/.' || !machine.has(path)) continue;
		const isFolder = machine.files.get(path).type === 'directory';
		if (!isFolder || ![...machine.files.keys()].some(other => other.startsWith(`${path}/`))) machine.remove(path);
	}
	for (const suffix of ['list', 'md5sums', 'conffiles']) {
		const path = `/var/lib/dpkg/info/${name}.${suffix}`;
		if (machine.has(path)) machine.remove(path);
	}
	const status = statusOf(machine);
	status.delete(name);
	saveStatus(machine, status);
	const clock = new Date(machine.now * 1000).toISOString().slice(0, 19).replace('T', ' ');
	log(machine, '/var/log/dpkg.log', `${clock} purge ${name}:amd64\n`);
}

export function log(machine, path, line) {
	if (machine.has(path)) machine.append(path, line);
	else machine.write(path, line, { mode: 0o640, gid: 4 });
}

function statusOf(machine) {
	const text = machine.has(STATUS) ? machine.text(STATUS) : '';
	return new Map(
		text
			.split('\n\n')
			.filter(Boolean)
			.map(paragraph => [/^Package: (.*)$/m.exec(paragraph)[1], paragraph.trimEnd()]),
	);
}

const STATUS = '/var/lib/dpkg/status';

function saveStatus(machine, status) {
	const names = [...status.keys()].sort();
	if (machine.has(STATUS)) machine.write(`${STATUS}-old`, machine.text(STATUS));
	machine.write(STATUS, names.map(name => `${status.get(name)}\n`).join('\n'));
}

function parents(path) {
	const parts = path.split('/').slice(1);
	return parts.map((_, index) => `/${parts.slice(0, index + 1).join('/')}`);
}
