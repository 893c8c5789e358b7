/** A real ext4 image, made hostile by debugfs, restored to the host; and a sound one held against the kernel's mount. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
	lstatSync,
	mkdirSync,
	mkdtempSync,
	readFileSync,
	readdirSync,
	rmSync,
	statSync,
	truncateSync,
	writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openImage } from '../../../src/engine/image/open-image.js';
import { openMachineTree } from '../../../src/engine/tree/machine-tree.js';
import { restoreToHost } from '../../../src/engine/timeline/restore.js';
import { UNWATCHED } from '../../../src/engine/util/work.js';

const folder = mkdtempSync(join(tmpdir(), 'strata-restore-image-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const MIB = 1024 * 1024;

function makeImage(name: string): string {
	const path = join(folder, name);
	writeFileSync(path, '');
	truncateSync(path, 32 * MIB);
	execFileSync('mkfs.ext4', ['-q', '-F', path]);
	return path;
}

function restoreAll(path: string, to: string) {
	using image = openImage(path, { format: 'raw' });
	using tree = openMachineTree([image.current()]);
	return restoreToHost(tree, ['/disk'], { to, keepOwner: true, keepSetuid: true }, UNWATCHED);
}

test('names that only a damaged directory has do not leave the folder', () => {
	const path = makeImage('hostile.img');
	const content = join(folder, 'content');
	writeFileSync(content, 'planted');
	const commands = [
		`write ${content} aaXescaped`,
		'mkdir bb',
		'symlink ccc /etc',
		'mkdir cc2',
		`write ${content} cc2/passwd`,
		'mknod null c 1 3',
		'mknod pipe p',
		`write ${content} su`,
		'sif su mode 0104755',
	];
	execFileSync('debugfs', ['-w', '-f', '-', path], { input: commands.join('\n'), stdio: ['pipe', 'ignore', 'ignore'] });
	// Names of the same length, written over in the directory's block; checksums are off so that the names are met.
	const bytes = readFileSync(path);
	const rename = (from: string, to: string) => {
		const at = bytes.indexOf(from, 0, 'latin1');
		assert.ok(0 < at, `${from} is in the image`);
		bytes.write(to, at, 'latin1');
	};
	rename('aaXescaped', '../escaped');
	rename('bb', '..');
	rename('cc2', 'ccc');
	writeFileSync(path, bytes);
	execFileSync('tune2fs', ['-O', '^metadata_csum', path], { stdio: 'ignore' });

	const to = join(folder, 'a/b');
	mkdirSync(to, { recursive: true });
	const result = restoreAll(path, to);
	assert.deepEqual(readdirSync(join(folder, 'a')), ['b']);
	assert.deepEqual(readdirSync(to), ['disk']);
	assert.ok(lstatSync(join(to, 'disk/ccc')).isSymbolicLink());
	const reasons = result.skipped.map(({ reason }) => reason).join('\n');
	for (const expected of [/slash/, /no folder/, /chardev/, /fifo/]) assert.match(reasons, expected);
});

test('what is restored is what the kernel copies', () => {
	const path = makeImage('sound.img');
	const mount = join(folder, 'mount');
	mkdirSync(mount);
	execFileSync('mount', ['-o', 'loop', path, mount]);
	const to = join(folder, 'sound');
	try {
		const script = `
			set -e; cd "$0"
			mkdir -p etc/deep/er empty; echo hosts > etc/hosts; ln etc/hosts etc/deep/hard; ln -s ../hosts etc/deep/soft
			ln -s /nowhere dangling; truncate -s 20M sparse; printf x | dd of=sparse bs=1 seek=9000000 conv=notrunc 2>/dev/null
			echo su > su; chown 1000:2000 su; chmod 6755 su; touch -d '1930-01-01 00:00:00.5' old; touch -d 2100-01-01 new
			: > nothing; chmod 000 nothing; for i in $(seq 300); do echo $i > empty/$i; done; chmod 555 etc/deep/er`;
		execFileSync('sh', ['-c', script, mount]);
		execFileSync('umount', [mount]);
		const result = restoreAll(path, to);
		assert.deepEqual(result.skipped, []);
		execFileSync('mount', ['-o', 'loop,ro', path, mount]);
		// Every fact that rsync can compare; the time of the top was set last, and is compared too.
		const differences = execFileSync(
			'rsync',
			['-naciH', '--delete', '--numeric-ids', `${mount}/`, `${join(to, 'disk')}/`],
			{
				encoding: 'utf8',
			},
		);
		assert.equal(differences, '');
		assert.equal(statSync(join(to, 'disk/sparse')).size, 20 * MIB);
		assert.ok(statSync(join(to, 'disk/sparse')).blocks * 512 < MIB);
	} finally {
		try {
			execFileSync('umount', [mount], { stdio: 'ignore' });
		} catch {
			// It was not mounted any more.
		}
	}
});
