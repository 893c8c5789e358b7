/** The commands, their arguments and their help. What they do is in `commands/`. */
import { Command, CommanderError, Option } from 'commander';
import { EngineError } from '../engine/util/errors.js';
import { completionScript } from './completion.js';
import type { DiffOptions } from './commands/diff.js';
import type { SnapshotOptions } from './commands/snapshots.js';
import type { AddOptions } from './commands/sources.js';
import type { Context } from './context.js';

type Run = (work: (context: Context) => Promise<void>) => Promise<void>;

const ADDRESS_HELP = `
SOURCE is a registered name, an id, or the path of a disk image. SOURCE@SNAPSHOT names a state by the snapshot's id,
name or key; without @SNAPSHOT it is the current state. Paths inside begin with the volume: /p1/etc/hosts.

Exit codes: 0 done, 1 differences (diff --exit-code), 2 wrong usage, 3 failed, 4 finished but parts were unreadable, 130 cancelled.`;

/** `run` carries out one command with a context made from the global options. */
export function buildProgram(version: string, run: Run, write: (text: string) => void): Command {
	const program = new Command('strata')
		.description('Time travel for development machines: snapshots, differences, rollback.')
		.version(version, '-V, --version', 'print the version')
		.addOption(new Option('--json', 'one JSON document, or one record a line'))
		.addHelpText('after', ADDRESS_HELP)
		.exitOverride()
		.configureHelp({ showGlobalOptions: true });
	const command = (usage: string, description: string) =>
		program
			.command(usage)
			.description(description)
			.addOption(new Option('--json', 'one JSON document, or one record a line'))
			.exitOverride();

	command('sources', 'list registered machines').action(() =>
		run(async c => (await import('./commands/sources.js')).sources(c)),
	);
	command('add <disk...>', 'register a machine by its disk images')
		.option('--name <name>', 'what to call it')
		.option('--format <format>', 'qcow2 or raw; without it, found by content and fixed from then on')
		.option('--allow-outside', 'open backing and data files outside the image’s folder')
		.option('--qmp <socket>', 'the socket of QEMU’s monitor (QMP), to work on the machine while it runs')
		.option('--agent <socket>', 'the socket of the guest’s agent')
		.option('--libvirt <domain>', 'the libvirt domain, reached through virsh')
		.action((disks: string[], options: AddOptions) =>
			run(async c => (await import('./commands/sources.js')).add(c, disks, options)),
		);
	command('remove <source>', 'forget a machine; its images and journal stay').action((source: string) =>
		run(async c => (await import('./commands/sources.js')).remove(c, source)),
	);
	command('discover [dir...]', 'find disk images below folders, or in the places where hypervisors keep them').action(
		(dirs: string[]) => run(async c => (await import('./commands/sources.js')).discover(c, dirs)),
	);
	command('info <source>', 'format, size, volumes, filesystems, what is unsupported').action((source: string) =>
		run(async c => (await import('./commands/sources.js')).info(c, source)),
	);
	command('snapshots <source>', 'list snapshots, newest first')
		.option('--size', 'measure what deleting each would free, however many there are')
		.option('--no-size', 'do not measure')
		.action((source: string, options: { size?: boolean }) =>
			run(async c => (await import('./commands/snapshots.js')).snapshots(c, source, options)),
		);
	command('snapshot <source>', 'take a snapshot; of a running machine when its --qmp or --libvirt is known')
		.requiredOption('-m, --message <label>', 'what to call it')
		.option('--note <text>', 'a longer note')
		.option('--memory', 'with the memory of the running machine, so that it can be rolled back while it runs')
		.option('--validated', 'freeze the filesystems of the running machine for the moment, through its agent')
		.action((source: string, options: SnapshotOptions) =>
			run(async c => (await import('./commands/snapshots.js')).snapshot(c, source, options)),
		);
	command('rollback <source@snapshot>', 'roll back; the current state is kept in a safety snapshot first').action(
		(state: string) => run(async c => (await import('./commands/snapshots.js')).rollback(c, state)),
	);
	command('undo <source>', 'undo the last rollback').action((source: string) =>
		run(async c => (await import('./commands/snapshots.js')).undo(c, source)),
	);
	command('delete <source@snapshot>', 'delete a snapshot; this cannot be undone')
		.option('-y, --yes', 'do not ask')
		.action((state: string, options: { yes?: boolean }) =>
			run(async c => (await import('./commands/snapshots.js')).remove(c, state, options)),
		);
	command('settle <source>', 'finish or undo an action that was cut off').action((source: string) =>
		run(async c => (await import('./commands/snapshots.js')).settle(c, source)),
	);
	command('rename <source@snapshot> <label>', 'change a snapshot’s label').action((state: string, label: string) =>
		run(async c => (await import('./commands/snapshots.js')).rename(c, state, label)),
	);
	command('note <source@snapshot> <text>', 'keep a note with a snapshot').action((state: string, text: string) =>
		run(async c => (await import('./commands/snapshots.js')).note(c, state, text)),
	);
	command('ls <source> [path]', 'list files')
		.option('-l, --long', 'mode, owner, size, time')
		.option('-R, --recursive', 'folders below as well')
		.action((source: string, path: string | undefined, options: { long?: boolean; recursive?: boolean }) =>
			run(async c => (await import('./commands/files.js')).ls(c, source, path ?? '/', options)),
		);
	command('cat <source> <path>', 'write a file to standard output').action((source: string, path: string) =>
		run(async c => (await import('./commands/files.js')).cat(c, source, path)),
	);
	command('diff <a> <b> [path]', 'what differs between two states')
		.option('--name-status', 'one letter and the path: A, M, D, T, R, m (metadata alone), E (unreadable)')
		.option('--stat', 'with the change in size')
		.option('-p, --patch', 'as a unified difference')
		.option('--exit-code', 'exit with 1 when something differs')
		.option('--quick', 'trust sizes and times: faster, and may miss a change that restored them')
		.option('--directory-times', 'also directories of which only the time changed')
		.option('--noise [pattern...]', 'hide what matches (like .gitignore); without a pattern, logs and caches')
		.action((a: string, b: string, path: string | undefined, options: DiffOptions) =>
			run(async c => (await import('./commands/diff.js')).diff(c, a, b, path, options)),
		);
	command('history <source> <path>', 'every version of one file').action((source: string, path: string) =>
		run(async c => (await import('./commands/files.js')).history(c, source, path)),
	);
	command('restore <source> <path...>', 'copy files out to a folder of this computer')
		.requiredOption('--to <dir>', 'the folder')
		.option('--keep-owner', 'owners as in the machine (needs root)')
		.option('--keep-setuid', 'set-user-ID and set-group-ID bits as in the machine')
		.action((source: string, paths: string[], options: { to: string; keepOwner?: boolean; keepSetuid?: boolean }) =>
			run(async c => (await import('./commands/files.js')).restore(c, source, paths, options)),
		);
	program
		.command('completion <shell>')
		.description('print a completion script for bash, zsh or fish')
		.exitOverride()
		.action((shell: string) => write(completionScript(shell, program)));
	// What the completion scripts call: one candidate a line.
	program
		.command('__complete <kind> [word]', { hidden: true })
		.exitOverride()
		.action((kind: string, word: string | undefined) =>
			run(async c => (await import('./completion.js')).candidates(c, kind, word ?? '')),
		);
	return program;
}

/** Whether commander's error is its way of saying that it printed help or the version. */
export function isHelp(error: unknown): boolean {
	return error instanceof CommanderError && error.exitCode === 0;
}

/** Commander's complaints about arguments, as the engine's error. */
export function usageError(error: unknown): EngineError | undefined {
	if (!(error instanceof CommanderError)) return undefined;
	return new EngineError('ERR_USAGE', error.message.replace(/^error: /, ''));
}
