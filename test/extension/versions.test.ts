import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nameProblem, proposedLabel } from '../../src/extension/commands/snapshot-name.js';
import { hexDump } from '../../src/extension/documents/hex-dump.js';
import { parseAddresses } from '../../src/extension/terminal-address.js';
import { changeBetween, versionBefore, versionRow } from '../../src/extension/versions/version-rows.js';
import type { HistoryRecord } from '../../src/shared/records.js';
import { snapshot, timeline } from './fake-engine.js';

const now = Date.parse('2026-11-23T10:00:00Z');
const version = (keys: string[], over: Partial<HistoryRecord> = {}): HistoryRecord => ({
	snapshots: keys,
	names: keys,
	state: 'present',
	time: '2026-11-21T10:00:00Z',
	type: 'file',
	size: 12,
	sha256: 'ab',
	...over,
});

test('identical versions are one row', () => {
	const row = versionRow(version(['current', 'beforeinst', 'experiment']), true, now);
	assert.equal(row.label, 'Current state');
	assert.equal(row.description, '2 days · 12 B · same in 2 more · shown');
	assert.equal(versionRow(version(['a'], { state: 'absent', type: null }), false, now).description, 'does not exist');
});

test('the version before is the one of the parent, not the next in the list', () => {
	const all = [version(['experiment']), version(['beforeinst']), version(['cleanbase1'])];
	assert.equal(versionBefore(all[0]!, all, timeline()), all[2]);
	assert.equal(versionBefore(all[2]!, all, timeline()), undefined);
	const orphan = timeline({ snapshots: [snapshot({ key: 'experiment', name: 'x' })] });
	assert.equal(versionBefore(all[0]!, all, orphan), all[1]);
});

test('a step between versions is a change', () => {
	const absent = version(['a'], { state: 'absent', type: null });
	assert.equal(changeBetween('/p1/f', absent, version(['b'])).status, 'A');
	assert.equal(changeBetween('/p1/f', version(['b']), absent).status, 'D');
	assert.equal(changeBetween('/p1/f', version(['a']), version(['b'])).status, 'M');
	assert.equal(changeBetween('/p1/f', version(['a']), version(['b'], { type: 'symlink' })).status, 'T');
});

test('addresses in a terminal are found', () => {
	const found = (line: string) =>
		parseAddresses(line).map(({ source, snapshot: at, path }) => `${source}|${at}|${path}`);
	// That "no" is no machine is found by whoever knows the machines.
	assert.deepEqual(found('no /p1/etc/nginx in dev@clean-base'), ['no||/p1/etc/nginx']);
	assert.deepEqual(found('/home/dev/p1 dev@clean-base'), []);
	assert.deepEqual(found('$ strata cat dev@before-install /p1/etc/hosts'), ['dev|before-install|/p1/etc/hosts']);
	assert.deepEqual(found('dev@3:/p1/etc/hosts and dev:/disk2/p1/x'), ['dev|3|/p1/etc/hosts', 'dev||/disk2/p1/x']);
	assert.deepEqual(found(`${'a'.repeat(100_000)}@/p1`), []);
});

test('a proposed name is the time, and free', () => {
	const at = new Date(2026, 10, 27, 17, 52);
	assert.equal(proposedLabel(timeline(), at), '2026-11-27 17:52');
	const taken = timeline({ snapshots: [snapshot({ key: 'k', name: '2026-11-27 17:52' })] });
	assert.equal(proposedLabel(taken, at), '2026-11-27 17:52 (2)');
	assert.equal(proposedLabel(taken, at, 'apt install nginx'), 'after apt install nginx');
});

test('names that the image or the command line would misread are refused', () => {
	for (const bad of ['', '  ', '12', 'current', 'base', 'clean-base', 'ä'.repeat(101)]) {
		assert.ok(nameProblem(timeline(), bad), bad);
	}
	assert.equal(nameProblem(timeline(), 'before nginx'), undefined);
});

test('bytes are shown sixteen a line', () => {
	const dump = hexDump(
		Uint8Array.from({ length: 20 }, (_, i) => i + 0x3a),
		100,
	);
	assert.match(dump, /^00000000 {2}3a 3b .* {2}:;<=>\?@ABCDEFGHI\n00000010 {2}4a 4b 4c 4d .*\n… 80 more bytes\n$/);
});
