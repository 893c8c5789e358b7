// Brings a machine's files into an ext4 image with e2fsprogs' own tools. No mount, no root; the same bytes on every run.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';

const TYPE_BITS = { file: 0o100000, directory: 0o040000, symlink: 0o120000, fifo: 0o010000 };

/** A program that must succeed, at a time of our choosing. @returns its output */
export function run(program, args, { time = 0, input, allowed = [0] } = {}) {
	const result = spawnSync(program, args, {
		input,
		encoding: 'utf8',
		maxBuffer: 2 ** 28,
		env: { ...process.env, LC_ALL: 'C', TZ: 'UTC', E2FSPROGS_FAKE_TIME: String(time), SOURCE_DATE_EPOCH: String(time) },
	});
	if (result.error) throw result.error;
	if (!allowed.includes(result.status))
		throw new Error(`${program} ${args.join(' ')}: ${result.stdout}\n${result.stderr}`);
	return { output: result.stdout, errors: result.stderr };
}

export function makeFilesystem(partition, { time, uuid, label }) {
	run(
		'mke2fs',
		[
			'-q',
			'-F',
			'-t',
			'ext4',
			'-b',
			'4096',
			'-N',
			'2048',
			'-U',
			uuid,
			'-L',
			label,
			'-E',
			`hash_seed=${uuid},lazy_itable_init=0`,
			partition,
		],
		{ time },
	);
}

/**
 * Changes what is in the image from one state of a machine to the next.
 * @param {Map<string, import('./machine.mjs').Entry>} before
 * @param {Map<string, import('./machine.mjs').Entry>} after
 */
export function changeFiles(partition, before, after, { time, scratch }) {
	const commands = [];
	const renamed = renames(before, after);
	const isKept = (path, entry) => after.get(path)?.identity === entry.identity;
	for (const [path, entry] of [...before].reverse()) {
		if (isKept(path, entry) || renamed.has(path)) continue;
		// A folder that is written again is the same folder.
		if (entry.type === 'directory' && after.get(path)?.type === 'directory') continue;
		commands.push(`${entry.type === 'directory' ? 'rmdir' : 'rm'} ${path}`);
	}
	let number = 0;
	const facts = [];
	for (const [path, entry] of after) {
		const old = before.get(path);
		const isNew =
			!old || (old.identity !== entry.identity && !(old.type === 'directory' && entry.type === 'directory'));
		if (isNew) {
			const from = [...renamed].find(([, to]) => to === path)?.[0];
			if (from !== undefined) commands.push(`ln ${from} ${path}`, `unlink ${from}`);
			else if (entry.type === 'directory') commands.push(`mkdir ${path}`);
			else if (entry.type === 'symlink') commands.push(`symlink ${path} ${entry.target}`);
			else {
				const content = join(scratch, `content-${number++}`);
				writeFileSync(content, entry.content);
				commands.push(`write ${content} ${path}`);
				for (const [name, value] of Object.entries(entry.xattrs ?? {})) {
					const file = join(scratch, `content-${number++}`);
					writeFileSync(file, value);
					facts.push(`ea_set -f ${file} ${path} ${name}`);
				}
			}
		}
		if (isNew || old.mode !== entry.mode || old.uid !== entry.uid || old.gid !== entry.gid || old.time !== entry.time)
			facts.push(...factsOf(path, entry, isNew, time));
	}
	facts.push(`sif / mtime @${time}`, `sif / ctime @${time}`);
	const { errors } = run('debugfs', ['-w', '-f', '-', partition], {
		time,
		input: `${[...commands, ...facts].join('\n')}\n`,
	});
	const complaints = errors.split('\n').filter(line => line !== '' && !/^debugfs \d/.test(line));
	if (complaints.length > 0) throw new Error(`debugfs: ${complaints.join('\n')}`);
	run('e2fsck', ['-f', '-n', partition], { time });
}

function factsOf(path, entry, isNew, time) {
	const set = (field, value) => `sif ${path} ${field} ${value}`;
	const facts = [
		set('mode', `0${(TYPE_BITS[entry.type] | entry.mode).toString(8)}`),
		set('uid', entry.uid),
		set('gid', entry.gid),
		set('mtime', `@${entry.time}`),
		set('ctime', `@${time}`),
	];
	if (isNew) facts.push(set('atime', `@${entry.time}`), set('crtime', `@${time}`));
	// debugfs leaves 0; then a file in a deleted one's inode would look like the same file, renamed. Not for folders: the
	// checksums of their blocks depend on it.
	if (isNew && entry.type !== 'directory') facts.push(set('generation', 1000 + entry.identity));
	return facts;
}

/** From the old path to the new one, of files that are in both under other names. */
function renames(before, after) {
	const pathOf = new Map([...after].map(([path, entry]) => [entry.identity, path]));
	return new Map(
		[...before]
			.filter(
				([path, entry]) =>
					entry.type !== 'directory' && after.get(path)?.identity !== entry.identity && pathOf.has(entry.identity),
			)
			.map(([path, entry]) => [path, pathOf.get(entry.identity)]),
	);
}
