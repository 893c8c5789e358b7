/** What the host knows of processes: whether the owner of a lock still lives, and which programs of Strata's still run. */
import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import { kill, pid, platform } from 'node:process';

/** Names a process for as long as this host runs, also when its number is used again. */
export interface ProcessIdentity {
	readonly host: string;
	/** Tells hosts apart that are called the same; empty or absent where the system does not tell. */
	readonly machineId?: string | undefined;
	/** Changes at every boot; empty where the system does not tell. */
	readonly bootId: string;
	/** The space in which `pid` counts: containers have their own. Empty where there is none. */
	readonly pidSpace: string;
	readonly pid: number;
	/** In the system's own form; empty where the system does not tell. */
	readonly startTime: string;
}

export function thisProcess(): ProcessIdentity {
	return {
		host: hostname(),
		machineId: machineId(),
		bootId: bootId(),
		pidSpace: pidSpace(),
		pid,
		startTime: startTime(pid),
	};
}

/** `elsewhere`: on another host or in another container, so nothing can be said of it from here. */
export function stateOf(owner: ProcessIdentity): 'alive' | 'dead' | 'elsewhere' {
	if (owner.host !== hostname()) return 'elsewhere';
	const boot = bootId();
	if (owner.bootId !== '' && boot !== '' && owner.bootId !== boot) {
		// Booted anew since; or another host of the same name ("localhost"), which shares the folder, and lives.
		return owner.machineId && machineId() && owner.machineId !== machineId() ? 'elsewhere' : 'dead';
	}
	if (owner.pidSpace !== pidSpace()) return 'elsewhere';
	try {
		kill(owner.pid, 0);
	} catch (error) {
		// EPERM: it exists, and belongs to someone else.
		if ((error as NodeJS.ErrnoException).code !== 'EPERM') return 'dead';
	}
	const started = startTime(owner.pid);
	return started === '' || owner.startTime === '' || started === owner.startTime ? 'alive' : 'dead';
}

export interface RunningProcess {
	readonly pid: number;
	readonly command: string;
}

/** Processes that have `marker` on their command line, this one left out. */
export function processesWith(marker: string): RunningProcess[] {
	// No marker is on no command line: the empty text would be found on all of them.
	if (platform === 'win32' || marker === '') return [];
	const found: RunningProcess[] = [];
	if (platform === 'linux') {
		for (const name of readdirSync('/proc')) {
			if (!/^\d+$/.test(name) || Number(name) === pid) continue;
			const command = readProc(`/proc/${name}/cmdline`).replaceAll('\0', ' ');
			if (command.includes(marker)) found.push({ pid: Number(name), command });
		}
		return found;
	}
	const { stdout } = spawnSync('ps', ['-A', '-o', 'pid=,command='], { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
	for (const line of (stdout ?? '').split('\n')) {
		const match = /^ *(\d+) (.*)$/.exec(line);
		if (match && match[2]!.includes(marker) && Number(match[1]) !== pid) {
			found.push({ pid: Number(match[1]), command: match[2]! }); // OK: the pattern has two groups.
		}
	}
	return found;
}

/** A container may have none; then its host name tells, which is its own. */
function machineId(): string {
	return platform === 'linux' ? readProc('/etc/machine-id').trim() : '';
}

function bootId(): string {
	if (platform === 'linux') return readProc('/proc/sys/kernel/random/boot_id').trim();
	if (platform === 'darwin')
		return (spawnSync('sysctl', ['-n', 'kern.boottime'], { encoding: 'utf8' }).stdout ?? '').trim();
	return '';
}

function pidSpace(): string {
	if (platform !== 'linux') return '';
	try {
		return readlinkSync('/proc/self/ns/pid');
	} catch {
		return ''; // No /proc: one space is all there is.
	}
}

/** Empty for a process that has ended, also when its parent has not asked how. */
function startTime(id: number): string {
	if (platform === 'linux') {
		const stat = readProc(`/proc/${id}/stat`);
		// The name in parentheses may hold anything, so fields are counted from the last parenthesis (proc(5)).
		const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
		return fields[0] === 'Z' || fields[0] === 'X' ? 'ended' : (fields[19] ?? '');
	}
	if (platform === 'win32') return '';
	return (spawnSync('ps', ['-o', 'lstart=', '-p', String(id)], { encoding: 'utf8' }).stdout ?? '').trim();
}

function readProc(path: string): string {
	try {
		return readFileSync(path, 'utf8');
	} catch {
		return ''; // It ended meanwhile, or is hidden from this user.
	}
}
