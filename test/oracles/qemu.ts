/** QEMU's own programs as oracles. A missing program fails the test. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A folder for one test, removed after it. */
export class TempFolder implements Disposable {
	readonly path = mkdtempSync(join(tmpdir(), 'strata-test-'));

	join(...names: string[]): string {
		return join(this.path, ...names);
	}

	[Symbol.dispose](): void {
		rmSync(this.path, { recursive: true, force: true });
	}
}

export function qemuImg(...args: string[]): string {
	return execFileSync('qemu-img', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Commands of qemu-io on a qcow2 image: `write -P 7 0 64k`, `write -z 1M 64k`, `discard 0 64k`, … */
export function qemuIo(path: string, ...commands: string[]): void {
	const args = commands.flatMap(command => ['-c', command]);
	const output = execFileSync('qemu-io', ['-f', 'qcow2', '-t', 'unsafe', '-d', 'unmap', ...args, path], {
		encoding: 'utf8',
		stdio: ['ignore', 'pipe', 'pipe'],
	});
	if (/failed|error/i.test(output)) throw new Error(`qemu-io: ${output}`);
}

/** The disk as QEMU reads it: its current state, or an internal snapshot. */
export function qemuDisk(path: string, options: { snapshot?: string; format?: string } = {}): Buffer {
	const { snapshot, format = 'qcow2' } = options;
	const raw = `${path}.oracle.raw`;
	const of = snapshot === undefined ? [] : ['-l', `snapshot.name=${snapshot}`];
	try {
		qemuImg('convert', '-f', format, '-O', 'raw', '-S', '0', ...of, path, raw);
		return readFileSync(raw);
	} finally {
		rmSync(raw, { force: true });
	}
}

export interface QemuCheck {
	readonly errors: number;
	readonly leaks: number;
	readonly allocatedClusters: number;
}

/** `qemu-img check`: it exits with 0 when all is well, 2 with corruptions, 3 with leaks. */
export function qemuCheck(path: string): QemuCheck {
	let output: string;
	try {
		output = qemuImg('check', '--output=json', '-f', 'qcow2', path);
	} catch (error) {
		output = (error as { stdout: string }).stdout;
	}
	const report = JSON.parse(output) as Record<string, number | undefined>;
	return {
		errors: (report['corruptions'] ?? 0) + (report['check-errors'] ?? 0),
		leaks: report['leaks'] ?? 0,
		allocatedClusters: report['allocated-clusters'] ?? 0,
	};
}
