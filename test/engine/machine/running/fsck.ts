/** Holds a snapshot of the tiny guest's disk against e2fsck. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import assert from 'node:assert/strict';

const FIRST_PARTITION = 1024 * 1024;

/**
 * @param options `replay`: as the next start of the machine would, first replay the journal. Without it, nothing may be
 * left to replay.
 */
export function fsckSnapshot(image: string, name: string, options: { readonly replay: boolean }): void {
	const folder = mkdtempSync(join(tmpdir(), 'strata-fsck-'));
	try {
		const part = join(folder, 'part');
		const source = JSON.stringify({
			driver: 'raw',
			offset: 0,
			file: { driver: 'file', filename: join(folder, 'disk') },
		});
		execFileSync('qemu-img', [
			'convert',
			'-f',
			'qcow2',
			'-l',
			`snapshot.name=${name}`,
			'-O',
			'raw',
			image,
			join(folder, 'disk'),
		]);
		const whole = `json:${source.replace('"offset":0', `"offset":${FIRST_PARTITION},"size":${64 * 1024 * 1024}`)}`;
		execFileSync('qemu-img', ['convert', '-O', 'raw', whole, part]);
		if (options.replay) {
			const { status } = spawnSync('e2fsck', ['-E', 'journal_only', '-y', part], { env: PATHS });
			assert.ok(status === 0 || status === 1, `${name}: the journal could not be replayed: ${status}`);
		}
		const { status, stdout } = spawnSync('e2fsck', ['-fn', part], { encoding: 'utf8', env: PATHS });
		assert.equal(status, 0, `${name}: ${stdout}`);
		assert.doesNotMatch(stdout, /skipping journal recovery/, `${name}: a journal is left to replay`);
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
}

const PATHS = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` };
