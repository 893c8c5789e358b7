import assert from 'node:assert/strict';
import { test } from 'node:test';
import { contentLook, isReachable, knownContent } from '../../src/extension/commands/snapshot-content.js';

const both = { qmp: '/run/qmp', agent: '/run/agent' };
const qmpOnly = { qmp: '/run/qmp' };

test('a machine is worked on while it runs when somebody said how it is reached', () => {
	assert.ok(isReachable({ status: 'inUse', connection: qmpOnly }));
	assert.ok(isReachable({ status: 'inUse', connection: { libvirt: 'dev' } }));
	assert.ok(!isReachable({ status: 'inUse' }));
	assert.ok(!isReachable({ status: 'inUse', connection: { command: 'qemu' } }));
	assert.ok(!isReachable({ status: 'ready', connection: both }));
});

test('memory and validated exclude each other, and each is released by itself', () => {
	const after = (chosen: 'disk' | 'memory' | 'validated') =>
		contentLook(chosen, both).toggles.map(({ isChecked, next }) => [isChecked, next]);
	assert.deepEqual(after('disk'), [
		[false, 'memory'],
		[false, 'validated'],
	]);
	assert.deepEqual(after('memory'), [
		[true, 'disk'],
		[false, 'validated'],
	]);
	assert.deepEqual(after('validated'), [
		[false, 'memory'],
		[true, 'disk'],
	]);
});

test('the prompt spells out what is taken, why not both, and what a rollback will mean', () => {
	const prompt = (chosen: 'disk' | 'memory' | 'validated') => contentLook(chosen, both).prompt;
	assert.match(prompt('disk'), /^Disk only · not validated\..*without memory needs the machine to be shut down/);
	assert.match(prompt('memory'), /^Disk and memory · not validated.*needs freezing.*can be rolled back to it/);
	assert.match(prompt('validated'), /^Disk only · validated.*frozen.*needs the machine to be shut down/);
});

test('without an agent nothing is validated, and the button says why', () => {
	assert.match(contentLook('disk', qmpOnly).toggles[1]?.refusal ?? '', /guest agent.*Connect to Running Machine/);
	assert.equal(contentLook('disk', both).toggles[1]?.refusal, undefined);
	assert.equal(knownContent('validated', qmpOnly), 'disk');
	assert.equal(knownContent('validated', both), 'validated');
	assert.equal(knownContent('memory', qmpOnly), 'memory');
	assert.equal(knownContent(undefined, both), 'disk');
});
