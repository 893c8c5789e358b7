/**
 * QEMU's own programs: where they are, and how they are run. Always by absolute path, with an argument array and an
 * explicit driver, so that no file name is ever taken for an option, a protocol or a format.
 */
import { spawn, spawnSync } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, dirname, isAbsolute, join } from 'node:path';
import { env, platform } from 'node:process';
import { EngineError } from '../util/errors.js';

export type ToolName = 'qemu-img' | 'qemu-storage-daemon';

/** What the person set. Each is a program, or the folder that holds it. */
export interface ToolPaths {
	readonly qemuImg?: string;
	readonly storageDaemon?: string;
}

export interface ToolResult {
	/** Exit code; -1 when a signal ended the program. */
	readonly code: number;
	readonly stdout: string;
	readonly stderr: string;
}

export interface RunOptions {
	/**
	 * The program is killed after this time. Only for programs that read: one that writes an image is never killed,
	 * because that could leave the image half-changed.
	 */
	readonly timeoutMs?: number;
}

/** Where packagers put QEMU when it is not on the PATH of a program that a desktop started. */
const KNOWN_FOLDERS: readonly string[] =
	platform === 'win32'
		? ['C:\\Program Files\\qemu']
		: [
				'/usr/bin',
				'/usr/local/bin',
				'/opt/homebrew/bin',
				'/opt/local/bin',
				'/home/linuxbrew/.linuxbrew/bin',
				'/snap/bin',
			];

/** More than any answer of these programs; the rest is dropped. */
const MAX_OUTPUT = 64 * 1024 * 1024;

/** @throws EngineError `ERR_TOOL` that says how to install what is missing. */
export function findTool(name: ToolName, paths: ToolPaths = {}): string {
	const set = name === 'qemu-img' ? paths.qemuImg : (paths.storageDaemon ?? paths.qemuImg);
	const file = platform === 'win32' ? `${name}.exe` : name;
	if (set !== undefined && set !== '') {
		// The daemon is looked for beside a qemu-img that was set: the two come from one package.
		const beside =
			name === 'qemu-img' || paths.storageDaemon !== undefined
				? [set, join(set, file)]
				: [join(dirname(set), file), join(set, file)];
		const found = beside.find(isProgram);
		if (found !== undefined) return found;
		if (name === 'qemu-img' || paths.storageDaemon !== undefined) {
			throw new EngineError('ERR_TOOL', `${set} is not ${name}: correct the setting strata.qemuImgPath`, { file: set });
		}
	}
	const folders = [...(env['PATH'] ?? '').split(delimiter), ...KNOWN_FOLDERS];
	const found = folders
		.filter(isAbsolute)
		.map(folder => join(folder, file))
		.find(isProgram);
	if (found !== undefined) return found;
	throw new EngineError('ERR_TOOL', `${name} was not found. ${howToInstall(name)}`, { actual: name });
}

/** "7.2.22"; `undefined` when the program does not say. Runs it once for each path. */
export function toolVersion(path: string): string | undefined {
	const known = versions.get(path);
	if (known !== undefined) return known;
	const { stdout } = spawnSync(path, ['--version'], { encoding: 'utf8', timeout: 10_000 });
	const version = /version (\d+(?:\.\d+)*)/.exec(stdout ?? '')?.[1];
	if (version !== undefined) versions.set(path, version);
	return version;
}

const versions = new Map<string, string>();

/** Run a program to its end. A failure of the program is a result, not an error: what it means depends on the program. */
export async function runTool(path: string, args: readonly string[], options: RunOptions = {}): Promise<ToolResult> {
	return new Promise((resolve, reject) => {
		const child = spawn(path, args, { stdio: ['ignore', 'pipe', 'pipe'], env: toolEnvironment(), windowsHide: true });
		const stdout = collect(child.stdout);
		const stderr = collect(child.stderr);
		let timedOut = false;
		const timer =
			options.timeoutMs === undefined
				? undefined
				: setTimeout(() => {
						timedOut = true;
						child.kill('SIGKILL');
					}, options.timeoutMs);
		child.on('error', cause => {
			clearTimeout(timer);
			reject(new EngineError('ERR_TOOL', `${path} could not be started: ${cause.message}`, { file: path }, { cause }));
		});
		child.on('close', code => {
			clearTimeout(timer);
			if (timedOut) {
				reject(new EngineError('ERR_TOOL', `${path} gave no answer within ${options.timeoutMs! / 1000} seconds`)); // OK: the timer was set.
			} else resolve({ code: code ?? -1, stdout: stdout(), stderr: stderr() });
		});
	});
}

/** English messages, because they are matched; nothing of the caller's that changes what the program does. */
export function toolEnvironment(): NodeJS.ProcessEnv {
	return { ...env, LC_ALL: 'C' };
}

/**
 * Names a qcow2 in a regular file for qemu-img, with both drivers fixed: nothing is probed, and a file called `a:b` or
 * `-a` is a file. It is the JSON form of `--image-opts`, because only JSON can say "no backing file" (it is not needed to
 * change a snapshot table, and may be missing). `marker` becomes the node's name: by it the program is found again
 * among all processes when the one that started it is dead.
 */
export function qcow2Image(path: string, marker?: string): string {
	if (!isAbsolute(path)) throw new TypeError(`${path} is not absolute`);
	const node = marker === undefined ? {} : { 'node-name': marker };
	return `json:${JSON.stringify({ driver: 'qcow2', ...node, backing: null, file: { driver: 'file', filename: path } })}`;
}

/** The engine's error for a program that failed on an image. */
export function toolError(tool: string, image: string, result: ToolResult): EngineError {
	const text = firstLine(result.stderr);
	const details = { file: image, actual: result.code };
	if (/Failed to (get|lock)|Is another process using/.test(result.stderr)) {
		return new EngineError('ERR_BUSY', `${image} is in use: stop the machine that runs on it, then try again`, details);
	}
	if (/No space left|Disk quota exceeded/.test(result.stderr)) {
		return new EngineError('ERR_NO_SPACE', `no space left for ${image}`, details);
	}
	return new EngineError(
		'ERR_TOOL',
		`${tool} failed on ${image}: ${text === '' ? `exit code ${result.code}` : text}`,
		details,
	);
}

/** For a message: one line, without what a file name could smuggle to a terminal. */
export function firstLine(text: string): string {
	return (text.split('\n').find(line => line.trim() !== '') ?? '').replace(/[\x00-\x1f\x7f-\x9f]/g, '?').slice(0, 500);
}

function collect(stream: NodeJS.ReadableStream): () => string {
	const chunks: Buffer[] = [];
	let size = 0;
	stream.on('data', (chunk: Buffer) => {
		if (size < MAX_OUTPUT) chunks.push(chunk);
		size += chunk.byteLength;
	});
	return () => Buffer.concat(chunks).toString('utf8');
}

function isProgram(path: string): boolean {
	try {
		accessSync(path, constants.X_OK);
		return statSync(path).isFile();
	} catch {
		return false; // Absent or not executable: not the program, which is what was asked.
	}
}

function howToInstall(name: ToolName): string {
	if (platform === 'darwin') return 'Install QEMU with "brew install qemu".';
	if (platform === 'win32') return 'Install QEMU from https://www.qemu.org/download/#windows.';
	const debian = name === 'qemu-img' ? 'qemu-utils' : 'qemu-system-common';
	return `Install it with "sudo apt install ${debian}" (Debian, Ubuntu), "sudo dnf install qemu-img" (Fedora) or your system's package of QEMU.`;
}
