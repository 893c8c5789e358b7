/** e2fsprogs' debugfs: reads, and makes by hand what no system call makes. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from './run.js';

/** Output of one command that only reads. */
export function debugfs(image: string, command: string): string {
	return run('debugfs', ['-R', command, image]).toString('latin1');
}

/** Output of commands that only read. */
export function debugfsAll(image: string, commands: readonly string[]): string {
	return script(image, [], commands);
}

/** Carry out commands that write. debugfs exits with 0 whatever they did: what it says is given back. */
export function debugfsWrite(image: string, commands: readonly string[]): string {
	return script(image, ['-w'], commands);
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
	return new RegExp(`^${label}:\\s+(.*)$`, 'm').exec(text)?.[1];
}

function script(image: string, options: readonly string[], commands: readonly string[]): string {
	const directory = mkdtempSync(join(tmpdir(), 'strata-debugfs-'));
	try {
		const path = join(directory, 'commands');
		writeFileSync(path, `${commands.join('\n')}\n`);
		return run('debugfs', [...options, '-f', path, image]).toString('latin1');
	} finally {
		rmSync(directory, { recursive: true });
	}
}
