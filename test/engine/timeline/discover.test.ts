import assert from 'node:assert/strict';
import { symlinkSync } from 'node:fs';
import { test } from 'node:test';
import { StrataEngine } from '../../../src/engine/timeline/engine.js';
import { Sandbox } from './machine-fixture.js';

test('a machine that is found says that it is registered, also by another path', async () => {
	using sandbox = new Sandbox();
	sandbox.image('one.qcow2');
	const two = sandbox.image('two.qcow2');
	symlinkSync(two, sandbox.path('home/link'));
	using engine = new StrataEngine({ home: sandbox.host.home, helper: '' });
	await engine.addMachine({ disks: [{ path: sandbox.path('home/link') }], name: 'mine' });
	const found = await engine.discover({ folders: [sandbox.folder], knownPlaces: false });
	assert.deepEqual(
		found.map(({ name, registeredAs }) => [name, registeredAs]),
		[
			['one', null],
			['two', 'mine'],
		],
	);
});
