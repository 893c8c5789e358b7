import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { AgentCallError, AgentClient, isFrozenError } from '../../../../src/engine/machine/running/agent.js';
import { readGuestFile } from '../../../../src/engine/machine/running/agent-commands.js';
import { checkAddress, openSocket } from '../../../../src/engine/machine/running/socket.js';
import { QmpClient } from '../../../../src/engine/machine/qmp.js';

interface Call {
	readonly execute: string;
	readonly arguments?: { readonly id?: number };
}

/** A socket that answers by a script. */
class Scripted implements AsyncDisposable {
	readonly #folder = mkdtempSync(join(tmpdir(), 'strata-agent-'));
	readonly path = join(this.#folder, 'socket');
	readonly calls: string[] = [];
	readonly sockets = new Set<Socket>();
	#server: Server | undefined;

	static async listen(answer: (call: Call, socket: Socket) => void, greeting = ''): Promise<Scripted> {
		const scripted = new Scripted();
		const server = createServer(socket => {
			scripted.sockets.add(socket);
			socket.on('error', () => undefined);
			socket.write(greeting);
			socket.on('data', (chunk: Buffer) => {
				for (const line of chunk.toString('latin1').split('\n')) {
					if (line.trim() === '') continue;
					const call = JSON.parse(line.replace(/^\xff/, '')) as Call;
					scripted.calls.push(call.execute);
					answer(call, socket);
				}
			});
		});
		scripted.#server = server;
		await new Promise<void>(resolve => server.listen(scripted.path, resolve));
		return scripted;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		for (const socket of this.sockets) socket.destroy();
		await new Promise(resolve => this.#server!.close(resolve)); // OK: listen() made it.
		rmSync(this.#folder, { recursive: true, force: true });
	}
}

function synced(call: Call, socket: Socket): boolean {
	if (call.execute !== 'guest-sync-delimited') return false;
	socket.write(Buffer.concat([Buffer.from([0xff]), Buffer.from(`{"return": ${call.arguments!.id}}\n`)]));
	return true;
}

suite('guest agent', () => {
	test('what an earlier client left on its way is dropped', async () => {
		await using agent = await Scripted.listen((call, socket) => {
			if (call.execute === 'guest-sync-delimited')
				socket.write('"half of an answer"}\n{"return": 7}\n{"return": {}}\n');
			if (!synced(call, socket)) socket.write('{"return": "mine"}\n');
		});
		using client = await AgentClient.open(agent.path);
		assert.equal(await client.execute('guest-ping'), 'mine');
	});

	test('a sync that is lost is sent again, and only the last number counts', async () => {
		const ids: number[] = [];
		await using agent = await Scripted.listen((call, socket) => {
			if (call.execute !== 'guest-sync-delimited') socket.write('{"return": "mine"}\n');
			else if (ids.push(call.arguments!.id!) === 2) {
				for (const id of ids) synced({ execute: call.execute, arguments: { id } }, socket);
			}
		});
		using client = await AgentClient.open(agent.path);
		assert.equal(await client.execute('guest-ping'), 'mine');
		assert.notEqual(ids[0], ids[1]);
	});

	test('an answer that comes too late is not taken for that of the next call', async () => {
		await using agent = await Scripted.listen((call, socket) => {
			if (call.execute === 'guest-sync-delimited') socket.write('{"return": "late"}\n');
			if (!synced(call, socket) && call.execute !== 'slow') socket.write(`{"return": "${call.execute}"}\n`);
		});
		using client = await AgentClient.open(agent.path);
		await assert.rejects(client.execute('slow', undefined, { timeoutMs: 20 }), {
			code: 'ERR_TOOL',
			message: /slow failed: no answer within 0.02 seconds/,
		});
		assert.equal(await client.execute('next'), 'next');
		assert.deepEqual(agent.calls, ['guest-sync-delimited', 'slow', 'guest-sync-delimited', 'next']);
	});

	test('a refusal is an error, a frozen guest is told apart, and calls take turns', async () => {
		await using agent = await Scripted.listen((call, socket) => {
			if (synced(call, socket)) return;
			const desc =
				call.execute === 'guest-exec'
					? 'The command guest-exec has been disabled: the agent is in frozen state'
					: 'no such file';
			socket.write(`{"error": {"class": "GenericError", "desc": "${desc}"}}\n`);
		});
		using client = await AgentClient.open(agent.path);
		const [first, second] = await Promise.allSettled([client.execute('guest-exec'), client.execute('guest-file-open')]);
		assert.ok(first.status === 'rejected' && isFrozenError(first.reason));
		assert.ok(second.status === 'rejected' && !isFrozenError(second.reason));
		assert.ok((second.reason as Error).cause instanceof AgentCallError);
	});

	test('whoever waits is told when the connection ends', async () => {
		await using agent = await Scripted.listen((call, socket) => {
			if (!synced(call, socket)) socket.destroy();
		});
		using client = await AgentClient.open(agent.path);
		await assert.rejects(client.execute('guest-ping'), { code: 'ERR_TOOL', message: /guest-ping failed.*ended/ });
		await assert.rejects(client.execute('guest-ping'), { code: 'ERR_TOOL' });
	});

	test('a guest without an agent never answers', async () => {
		await using agent = await Scripted.listen(() => undefined);
		await assert.rejects(AgentClient.open(agent.path, { timeoutMs: 30 }), {
			code: 'ERR_TOOL',
			message: /no guest agent answers/,
		});
	});

	test('a file above the limit is given up and closed', async () => {
		await using agent = await Scripted.listen((call, socket) => {
			if (synced(call, socket)) return;
			const piece = { count: 4, 'buf-b64': 'QUJDRA==', eof: false };
			socket.write(`{"return": ${call.execute === 'guest-file-read' ? JSON.stringify(piece) : '1000'}}\n`);
		});
		using client = await AgentClient.open(agent.path);
		await assert.rejects(readGuestFile(client, '/f', 10), { code: 'ERR_LIMIT' });
		assert.equal(agent.calls.at(-1), 'guest-file-close');
	});
});

suite('sockets of a running machine', () => {
	test('TCP is refused unless asked for, and so is what is no address', () => {
		assert.throws(() => checkAddress('tcp:127.0.0.1:4444'), { code: 'ERR_REFUSED' });
		assert.deepEqual(checkAddress('tcp:[::1]:4444', { allowTcp: true }), { host: '::1', port: 4444 });
		assert.deepEqual(checkAddress('unix:/run/a.sock'), { path: '/run/a.sock' });
		for (const bad of ['', 'a.sock', 'unix:a.sock', '/a\0b', 'tcp:host']) {
			assert.throws(() => checkAddress(bad), { code: 'ERR_USAGE' });
		}
	});

	test('a socket that is not there says so', async () => {
		await assert.rejects(openSocket('/nowhere/qmp.sock'), { code: 'ERR_NOT_FOUND', message: /nobody listens/ });
	});

	test('QMP that is taken by another client is busy', async () => {
		await using silent = await Scripted.listen(() => undefined);
		await assert.rejects(QmpClient.open(silent.path, { timeoutMs: 30 }), { code: 'ERR_BUSY' });
	});

	test('a QMP command has its time, and events can be iterated until the end', async () => {
		await using qmp = await Scripted.listen((call, socket) => {
			if (call.execute === 'qmp_capabilities') socket.write('{"return": {}, "id": 1}\n');
			else if (call.execute === 'end') socket.end();
			else socket.write('{"event": "STOP", "timestamp": {"seconds": 5, "microseconds": 250000}}\n');
		}, '{"QMP": {}}\n');
		using client = await QmpClient.open(qmp.path);
		const seen: number[] = [];
		const following = (async () => {
			for await (const event of client.events()) seen.push(event.timeMs);
		})();
		await assert.rejects(client.execute('hang', undefined, { timeoutMs: 30 }), { message: /no reply within/ });
		await assert.rejects(client.execute('end'), { message: /end failed: the connection ended/ });
		await following;
		assert.deepEqual(seen, [5250]);
	});
});
