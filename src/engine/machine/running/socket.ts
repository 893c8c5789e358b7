/** The sockets on which a running QEMU listens: of QMP, and of the guest's agent. */
import { createConnection, type Socket } from 'node:net';
import { isAbsolute } from 'node:path';
import { platform } from 'node:process';
import { EngineError } from '../../util/errors.js';

export interface SocketOptions {
	/** A TCP port has no owner: whoever reaches it commands the machine. So it is refused unless a person asked for it. */
	readonly allowTcp?: boolean;
	readonly timeoutMs?: number;
}

const CONNECT_TIMEOUT_MS = 5_000;

/**
 * Connect to `address`: the absolute path of a Unix socket, a Windows named pipe, or `tcp:HOST:PORT`.
 *
 * Connecting says little: QEMU serves one client at a time, and the next one waits in the queue of the system.
 *
 * @throws EngineError `ERR_USAGE` for what is no address, `ERR_REFUSED` for TCP, `ERR_NOT_FOUND` when nobody listens, `ERR_IO`.
 */
export async function openSocket(address: string, options: SocketOptions = {}): Promise<Socket> {
	const place = checkAddress(address, options);
	const socket = createConnection(place);
	const timeoutMs = options.timeoutMs ?? CONNECT_TIMEOUT_MS;
	return new Promise((resolve, reject) => {
		const fail = (error: EngineError) => {
			socket.destroy();
			reject(error);
		};
		const timer = setTimeout(
			() => fail(new EngineError('ERR_TOOL', `${address} gave no connection within ${timeoutMs / 1000} seconds`)),
			timeoutMs,
		);
		socket.once('connect', () => {
			clearTimeout(timer);
			socket.removeAllListeners('error');
			resolve(socket);
		});
		socket.once('error', cause => {
			clearTimeout(timer);
			fail(connectError(address, cause));
		});
	});
}

/** What `createConnection` takes. @throws EngineError `ERR_USAGE`, `ERR_REFUSED`. */
export function checkAddress(
	address: string,
	options: SocketOptions = {},
): { path: string } | { host: string; port: number } {
	const tcp = /^tcp:(\[[^\]]+\]|[^:]+):(\d{1,5})$/.exec(address);
	if (tcp) {
		if (options.allowTcp !== true) {
			const message = `${address} is a TCP port, over which everybody who reaches it commands the machine: name a Unix socket instead`;
			throw new EngineError('ERR_REFUSED', message);
		}
		return { host: tcp[1]!.replace(/^\[|\]$/g, ''), port: Number(tcp[2]) }; // OK: the pattern has two groups.
	}
	const path = address.startsWith('unix:') ? address.slice('unix:'.length) : address;
	const isPipe = platform === 'win32' && /^\\\\[.?]\\pipe\\/i.test(path);
	if (isPipe || (isAbsolute(path) && !path.includes('\0'))) return { path };
	throw new EngineError('ERR_USAGE', `${JSON.stringify(address)} is not the absolute path of a socket`);
}

function connectError(address: string, cause: Error): EngineError {
	const { code } = cause as NodeJS.ErrnoException;
	const details = { file: address };
	if (code === 'ENOENT' || code === 'ECONNREFUSED') {
		const message = `nobody listens at ${address}: the machine does not run, or was started without this socket`;
		return new EngineError('ERR_NOT_FOUND', message, details, { cause });
	}
	if (code === 'EACCES' || code === 'EPERM') {
		return new EngineError('ERR_IO', `${address} may not be used by this user`, details, { cause });
	}
	return new EngineError('ERR_IO', `${address}: ${cause.message}`, details, { cause });
}
