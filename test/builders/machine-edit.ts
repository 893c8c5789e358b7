/** Writing to the filesystem inside a qcow2: QEMU's storage daemon shows it as a file, debugfs writes into that. */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Where `makeMachine` puts its partition. */
export const EXPORT_OFFSET = 1024 * 1024;

/** `use` gets the path of a file that is the whole disk. It is written through when this returns. */
export async function withWritableVolume<T>(image: string, use: (disk: string) => T | Promise<T>): Promise<T> {
	const dir = mkdtempSync(join(tmpdir(), 'strata-export-'));
	const exported = join(dir, 'disk');
	writeFileSync(exported, '');
	const daemon = spawn(
		'qemu-storage-daemon',
		[
			'--blockdev',
			`driver=file,filename=${image.replaceAll(',', ',,')},node-name=f`,
			'--blockdev',
			'driver=qcow2,file=f,node-name=q',
			'--export',
			`type=fuse,id=e,node-name=q,mountpoint=${exported},writable=on`,
		],
		{ stdio: ['ignore', 'ignore', 'pipe'] },
	);
	let complaint = '';
	daemon.stderr.on('data', (data: Buffer) => (complaint += data.toString()));
	const ended = new Promise<void>(resolve => daemon.on('exit', () => resolve()));
	try {
		for (let i = 0; !readFileSync('/proc/mounts', 'utf8').includes(` ${exported} `); i++) {
			if (i > 200 || daemon.exitCode !== null) throw new Error(`the export did not appear: ${complaint}`);
			await sleep(25);
		}
		return await use(exported);
	} finally {
		daemon.kill('SIGTERM');
		await ended;
		rmSync(dir, { recursive: true, force: true });
	}
}

/** Runs debugfs commands; it ends with 0 whatever happens, so what it says is looked at. */
export function debugfsScript(device: string, commands: readonly string[]): void {
	const output = execFileSync('sh', ['-c', 'exec debugfs -w -f - "$0" 2>&1', device], {
		input: commands.join('\n'),
		encoding: 'utf8',
	});
	const failure = /^(?!debugfs[ :]).*(?:not found|error|Usage:|No such|Invalid|exists|failed).*$/im.exec(output);
	if (failure) throw new Error(`debugfs: ${failure[0]}\n${output}`);
}
