/**
 * What QEMU says of the port that leads to the guest's agent, so that nobody connects in vain: what a client sends before
 * the guest opens the port waits there, and clients that gave up are still served one after another, before the next one.
 */
import type { Monitor } from '../qmp.js';

export interface AgentPort {
	/** A program in the guest has opened it. */
	readonly isOpen: boolean;
	/** A program of the host is connected. */
	readonly isTaken: boolean;
}

/** @returns `undefined` when QEMU has no such port: the address is of another machine, or spelled in another way. */
export async function agentPort(monitor: Monitor, address: string): Promise<AgentPort | undefined> {
	const path = address.replace(/^unix:/, '');
	const devices = (await monitor.execute('query-chardev')) as {
		readonly filename?: string;
		readonly 'frontend-open'?: boolean;
	}[];
	for (const { filename = '', 'frontend-open': isOpen } of devices) {
		// "disconnected:unix:/run/agent.sock,server=on", or "unix:/run/agent.sock,server=on" with whatever QEMU adds.
		const match = /^(disconnected:)?unix:(.*)$/.exec(filename);
		if (!match?.[2]?.startsWith(path) || !/^(?:,| |$)/.test(match[2].slice(path.length))) continue;
		return { isOpen: isOpen === true, isTaken: match[1] === undefined };
	}
	return undefined;
}
