import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { suite, test } from 'node:test';
import { QmpClient, QmpCommandError } from '../../../src/engine/machine/qmp.js';

const GREETING = '{"QMP": {"version": {}, "capabilities": []}}\r\n';

/** A server that answers by a script: what it is sent is in `sent`. */
async function connected(answer: (message: { execute: string; id: number }, reply: (text: string) => void) => void) {
	const [fromServer, toServer] = [new PassThrough(), new PassThrough()];
	const sent: string[] = [];
	toServer.on('data', (chunk: Buffer) => {
		for (const line of chunk.toString().trim().split('\n')) {
			const message = JSON.parse(line) as { execute: string; id: number };
			sent.push(message.execute);
			if (message.execute === 'qmp_capabilities') fromServer.write(`{"return": {}, "id": ${message.id}}\n`);
			else answer(message, text => fromServer.write(text));
		}
	});
	fromServer.write(GREETING);
	return { client: await QmpClient.connect(fromServer, toServer), fromServer, sent };
}

suite('QMP', () => {
	test('replies find their commands, in pieces, in any order, between events', async () => {
		const held: number[] = [];
		const { client, fromServer, sent } = await connected(({ id }) => held.push(id));
		const events: string[] = [];
		using _listening = client.onEvent(({ event }) => events.push(event));
		const [first, second] = [client.execute('one'), client.execute('two')];
		await new Promise(setImmediate);
		const text = `{"event":"STOP","data":{}}\n{"return":"for two","id":${held[1]}}\n\n{"return":"for one","id":${held[0]}}\n{"return":"for nobody","id":99}\n`;
		for (const character of text) fromServer.write(character);
		assert.deepEqual([await first, await second], ['for one', 'for two']);
		assert.deepEqual([events, sent], [['STOP'], ['qmp_capabilities', 'one', 'two']]);
	});

	test('a refused command says why, and the session goes on', async () => {
		const { client } = await connected(({ id, execute }, reply) =>
			reply(
				execute === 'bad'
					? `{"error":{"class":"GenericError","desc":"no such thing"},"id":${id}}\n`
					: `{"return":7,"id":${id}}\n`,
			),
		);
		await assert.rejects(client.execute('bad'), (error: Error) => {
			assert.match(error.message, /command bad failed: no such thing/);
			assert.ok(error.cause instanceof QmpCommandError);
			assert.match(error.stack ?? '', /qmp/);
			return true;
		});
		assert.equal(await client.execute('good'), 7);
	});

	for (const [what, text] of [
		['the connection ends', undefined],
		['what comes is not JSON', 'hello\n'],
		['an error has no id', '{"error":{"class":"GenericError","desc":"JSON parse error"}}\n'],
		['a line is too long', 'x'.repeat(10 * 1024 * 1024 + 1)],
	] as const) {
		test(`whoever waits is told when ${what}`, async () => {
			const { client, fromServer } = await connected(() => undefined);
			const waiting = client.execute('never');
			if (text === undefined) fromServer.end();
			else fromServer.write(text);
			await assert.rejects(waiting, { code: 'ERR_TOOL', message: /command never failed/ });
			await assert.rejects(client.execute('later'), { code: 'ERR_TOOL' });
		});
	}

	test('no greeting, no session', async () => {
		const fromServer = new PassThrough();
		const connecting = QmpClient.connect(fromServer, new PassThrough());
		fromServer.end();
		await assert.rejects(connecting, { code: 'ERR_TOOL' });
	});
});
