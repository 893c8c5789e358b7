/** e2fsprogs' debugfs: reads, and makes by hand what no system call makes. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from './run.js';

/** Output of one command that only reads. */
export function debugfs(image: string, command: string): string {
	return run('debugfs', ['-R', command, image]).toString('latin1');
}

/** Carry out commands that write, one a line. */
export function debugfsWrite(image: string, commands: readonly string[]): void {
	run('debugfs', ['-w', '-f', '/dev/stdin', image], `${commands.join('\n')}\n`);
}

/** Content of a file, by path or `<inode>`. */
export function debugfsDump(image: string, file: string): Buffer {
	const directory = mkdtempSync(join(tmpdir(), 'strata-dump-'));
	try {
		debugfs(image, `dump ${file} ${join(directory, 'out')}`);
		return readFileSync(join(directory, 'out'));
	} finally {
		rmSync(directory, { recursive: true });
	}
}

/** Blocks of a file in order, holes left out. */
export function debugfsBlocks(image: string, file: string): number[] {
	return debugfs(image, `blocks ${file}`)
		.trim()
		.split(/\s+/)
		.filter(word => word !== '' && word !== '0')
		.map(Number);
}

/** A value of `dumpe2fs -h`. */
export function superblockField(image: string, label: string): string | undefined {
	const text = run('dumpe2fs', ['-h', image]).toString();
	return new RegExp(`^${label}: +(.*)$`, 'm').exec(text)?.[1];
}
