/**
 * Starts the command line with V8's code cache. Half of the time of a short command is the compilation of functions that
 * were compiled just so the last time; what V8 made of them is kept in Strata's home, one file a command.
 *
 * Nothing depends on the cache: it is made again when it is absent, when Strata or Node changed, or when V8 rejects it.
 */
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire, wrap } from 'node:module';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { Script } from 'node:vm';
import { homeFolder } from '../engine/timeline/home.js';

const FOLDER = 'code-cache';
/** Words that begin a command line often, and are worth a file. */
const COMMANDS = ['ls', 'cat', 'diff', 'snapshots', 'info', 'history', '__complete'];

const program = join(__dirname, 'cli-main.cjs');
const command = process.argv.slice(2).find(word => !word.startsWith('-')) ?? '';
const cache = COMMANDS.includes(command) ? cachePath() : undefined;
const cachedData = cache === undefined ? undefined : readCache(cache);
const script = new Script(wrap(readFileSync(program, 'utf8')), {
	filename: program,
	...(cachedData ? { cachedData } : {}),
});
const run = script.runInThisContext() as (
	exports: object,
	require: NodeJS.Require,
	module: object,
	file: string,
	folder: string,
) => void; // OK: `wrap` makes it so.
if (cache !== undefined && (cachedData === undefined || script.cachedDataRejected === true)) {
	// At the end, when the functions that the command needed are compiled.
	process.once('exit', () => writeCache(cache));
}
const main = { exports: {} };
run(main.exports, createRequire(program), main, program, dirname(program));

/** A name for this program, this command and this V8. V8 itself compares no more than the length of the source. */
function cachePath(): string {
	const { size, mtimeMs } = statSync(program);
	return join(homeFolder(), FOLDER, `${command}-${size}-${Math.round(mtimeMs)}-${process.versions.v8}-${process.arch}`);
}

function readCache(path: string): Buffer | undefined {
	try {
		// It is code: only what this user alone could have written is run.
		const isOwn = [dirname(path), path].every(each => {
			const { uid, mode } = statSync(each);
			return process.getuid === undefined || (uid === process.getuid() && (mode & 0o022) === 0);
		});
		return isOwn ? readFileSync(path) : undefined;
	} catch {
		return undefined; // Absent or unreadable: then it is compiled.
	}
}

/** A home that cannot be written has no cache; the command was carried out all the same. */
function writeCache(path: string): void {
	const folder = dirname(path);
	const temporary = `${path}.${process.pid}`;
	try {
		mkdirSync(folder, { recursive: true, mode: 0o700 });
		for (const name of readdirSync(folder))
			if (name.startsWith(`${command}-`)) rmSync(join(folder, name), { force: true });
		writeFileSync(temporary, script.createCachedData(), { mode: 0o600 });
		renameSync(temporary, path);
	} catch {
		discard(temporary);
	}
}

function discard(path: string): void {
	try {
		rmSync(path, { force: true });
	} catch {
		// There is no folder that it could be in.
	}
}
