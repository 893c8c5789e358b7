/**
 * QMP through libvirt, for machines whose socket libvirt holds: `virsh qemu-monitor-command`.
 *
 * Supported: commands. Not supported: events (libvirt keeps them), so a pause cannot be measured. Not tried against a real
 * libvirt. Source: virsh(1).
 */
import { accessSync, constants } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';
import { env } from 'node:process';
import { EngineError } from '../../util/errors.js';
import { QmpCommandError, type ExecuteOptions, type Monitor } from '../qmp.js';
import { firstLine, runTool } from '../tools.js';

export class LibvirtMonitor implements Monitor {
	private constructor(
		private readonly virsh: string,
		private readonly domain: string,
	) {}

	/** @throws EngineError `ERR_TOOL` without virsh; `ERR_NOT_FOUND` when the domain is not there or does not run. */
	static async open(domain: string): Promise<LibvirtMonitor> {
		const virsh = findVirsh();
		if (virsh === undefined) throw new EngineError('ERR_TOOL', 'virsh was not found: install libvirt-clients');
		const { code, stdout, stderr } = await runTool(virsh, ['domstate', '--', domain], { timeoutMs: 10_000 });
		if (code !== 0) throw new EngineError('ERR_NOT_FOUND', `libvirt: ${firstLine(stderr)}`, { actual: domain });
		if (!/^(?:running|paused|idle)\b/.test(stdout.trim())) {
			throw new EngineError('ERR_NOT_FOUND', `the libvirt domain ${domain} does not run (${firstLine(stdout)})`);
		}
		return new LibvirtMonitor(virsh, domain);
	}

	async execute(
		command: string,
		args?: Readonly<Record<string, unknown>>,
		options: ExecuteOptions = {},
	): Promise<unknown> {
		const text = JSON.stringify({ execute: command, ...(args === undefined ? {} : { arguments: args }) });
		const { code, stdout, stderr } = await runTool(
			this.virsh,
			['qemu-monitor-command', '--domain', this.domain, '--cmd', text],
			options,
		);
		const failed = `QMP command ${command} failed`;
		if (code !== 0) throw new EngineError('ERR_TOOL', `${failed}: libvirt: ${firstLine(stderr)}`, { actual: command });
		const reply = JSON.parse(stdout) as { return?: unknown; error?: { class?: unknown; desc?: unknown } };
		if (reply.error === undefined) return reply.return;
		const cause = new QmpCommandError(String(reply.error.class), String(reply.error.desc));
		throw new EngineError('ERR_TOOL', `${failed}: ${cause.description}`, { actual: command }, { cause });
	}

	onEvent(): Disposable {
		return { [Symbol.dispose]: () => undefined };
	}

	[Symbol.dispose](): void {
		// Nothing is held between commands.
	}
}

/** Absolute path of virsh; `undefined` when libvirt's client is not installed. */
export function findVirsh(): string | undefined {
	return (env['PATH'] ?? '')
		.split(delimiter)
		.filter(isAbsolute)
		.map(folder => join(folder, 'virsh'))
		.find(path => {
			try {
				accessSync(path, constants.X_OK);
				return true;
			} catch {
				return false; // Not here.
			}
		});
}
