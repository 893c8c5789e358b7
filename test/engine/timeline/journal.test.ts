import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
	appendFileSync,
	existsSync,
	readFileSync,
	rmSync,
	statSync,
	symlinkSync,
	truncateSync,
	unlinkSync,
	writeFileSync,
} from 'node:fs';
import { suite, test } from 'node:test';
import { appendJournal, parseJournal, readJournal } from '../../../src/engine/timeline/journal.js';
import { Sandbox } from './machine-fixture.js';

suite('journal', () => {
	test('labels and notes are read back', () => {
		using box = new Sandbox();
		const path = box.path('.strata/disk.journal');
		assert.equal(readJournal(path).version, 0);
		appendJournal(path, { type: 'label', key: 'k1', label: 'ä "quoted"\n' }, { type: 'note', key: 'k1', note: 'n' });
		appendJournal(path, { type: 'label', key: 'k1', label: 'second' });
		const state = readJournal(path);
		assert.deepEqual(
			[...state.labels, ...state.notes],
			[
				['k1', 'second'],
				['k1', 'n'],
			],
		);
		assert.equal(state.damagedLines, 0);
	});

	test('cut off at any byte of its last line, it reads as before that line, and goes on', () => {
		using box = new Sandbox();
		const path = box.path('disk.journal');
		appendJournal(path, { type: 'label', key: 'k1', label: 'kept' });
		const whole = statSync(path).size;
		appendJournal(path, { type: 'label', key: 'k1', label: 'lost' });
		const bytes = readFileSync(path);
		for (let size = whole; size < bytes.byteLength - 1; size++) {
			writeFileSync(path, bytes.subarray(0, size));
			assert.equal(parseJournal(readFileSync(path, 'utf8')).labels.get('k1'), 'kept', `cut at ${size}`);
			appendJournal(path, { type: 'note', key: 'k1', note: 'after' });
			const state = parseJournal(readFileSync(path, 'utf8'));
			assert.deepEqual([state.labels.get('k1'), state.notes.get('k1')], ['kept', 'after'], `cut at ${size}`);
		}
		// The newline alone is missing: the record is whole, and stands.
		truncateSync(path, 0);
		writeFileSync(path, bytes.subarray(0, bytes.byteLength - 1));
		assert.equal(parseJournal(readFileSync(path, 'utf8')).labels.get('k1'), 'lost');
	});

	test('of a newer version, what is known is read and nothing is written', () => {
		using box = new Sandbox();
		const path = box.path('disk.journal');
		appendJournal(path, { type: 'label', key: 'k1', label: 'one' });
		appendFileSync(
			path,
			'{"v":2,"time":"2027-01-01T00:00:00Z","type":"label","key":"k1","label":"two","colour":"red"}\n{"v":2,"time":"2027-01-01T00:00:00Z","type":"tag"}\n',
		);
		const before = readFileSync(path, 'utf8');
		const state = readJournal(path);
		assert.deepEqual([state.version, state.labels.get('k1'), state.damagedLines], [2, 'two', 0]);
		assert.throws(() => appendJournal(path, { type: 'note', key: 'k1', note: '' }), {
			code: 'ERR_UNSUPPORTED',
			message: /newer Strata/,
		});
		assert.equal(readFileSync(path, 'utf8'), before);
	});

	test('that is a link or a pipe is refused: nothing is written through it', () => {
		using box = new Sandbox();
		const [path, victim] = [box.path('disk.journal'), box.path('profile')];
		for (const content of ['untouched\n', undefined]) {
			if (content !== undefined) writeFileSync(victim, content);
			symlinkSync(victim, path);
			assert.throws(() => appendJournal(path, { type: 'label', key: 'k1', label: '$(id)' }), {
				code: 'ERR_REFUSED',
				message: /is a link/,
			});
			if (content !== undefined) assert.equal(readFileSync(victim, 'utf8'), content);
			else assert.ok(!existsSync(victim));
			unlinkSync(path);
			rmSync(victim, { force: true });
		}
		symlinkSync('/dev/zero', path);
		assert.throws(() => readJournal(path), { code: 'ERR_REFUSED' });
		unlinkSync(path);
		assert.equal(spawnSync('mkfifo', [path]).status, 0);
		assert.throws(() => readJournal(path), { code: 'ERR_REFUSED' });
	});

	test('damage in the middle is passed over and counted', () => {
		const state = parseJournal(
			'\0\0\n{"v":1,"time":"t","type":"label","key":"a","label":"b"}\n[]\n{"v":1,"type":"label"}\n',
		);
		assert.equal(state.labels.get('a'), 'b');
		assert.equal(state.damagedLines, 2);
	});

	test('rollbacks are a stack that a new snapshot empties', () => {
		const end = (verb: string, rest: object) =>
			JSON.stringify({ v: 1, time: 't', type: 'end', action: 'a', verb, outcome: 'done', ...rest });
		const rollback = (to: string) => end('rollback', { undo: { to, safety: `s-${to}` }, position: to });
		const stack = (...lines: string[]) => parseJournal(lines.join('\n')).rollbacks.map(({ to }) => to);
		assert.deepEqual(stack(rollback('a'), rollback('b')), ['a', 'b']);
		assert.deepEqual(stack(rollback('a'), rollback('b'), end('undo', { undo: { to: 's-b', safety: 's' } })), ['a']);
		assert.deepEqual(stack(rollback('a'), end('take', { position: 'c' })), []);
		assert.deepEqual(stack(rollback('a'), end('take', { outcome: 'undone' })), ['a']);
	});
});
