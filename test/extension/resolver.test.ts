import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
	diffTitle,
	linkTarget,
	MAX_FILE_BYTES,
	resolveChange,
	resolveFile,
	resolveSides,
} from '../../src/extension/documents/resolver.js';
import { explanationText, failureText } from '../../src/extension/documents/explain.js';
import { StrataError } from '../../src/extension/engine-error.js';
import type { NamedState } from '../../src/extension/state-name.js';
import type { UriParts } from '../../src/extension/uri.js';
import type { FileFacts } from '../../src/shared/engine-api.js';
import { change, engineWith, entry, facts } from './fake-engine.js';

const a: NamedState = { source: 'abcd2345', state: 'cleanbase1', sourceName: 'dev', label: 'clean-base' };
const b: NamedState = { source: 'abcd2345', state: 'beforeinst', sourceName: 'dev', label: 'before-install' };

/** An engine whose files are what the table says, by state and path or by path alone. */
function engine(files: Readonly<Record<string, FileFacts | StrataError>>) {
	return engineWith({
		facts: ({ state }, path) => {
			const found = files[`${state}:${path}`] ?? files[path];
			if (found instanceof StrataError) return Promise.reject(found);
			return found ? Promise.resolve(found) : Promise.reject(new StrataError('ERR_NOT_FOUND', `no ${path}`));
		},
	});
}

function shown(uri: UriParts | undefined): string {
	if (!uri) return 'nothing';
	return `${uri.scheme} ${uri.authority.split('+')[1]} ${uri.path}${uri.query ? `?${uri.query}` : ''}`;
}

const opens: readonly [string, FileFacts, string][] = [
	['text is opened', facts('/p1/f', 'text'), 'strata clean-base /p1/f'],
	['an empty file is opened', facts('/p1/f', 'empty', { size: 0 }), 'strata clean-base /p1/f'],
	['a database is rendered', facts('/p1/f', 'sqlite'), 'strata-text clean-base /p1/f.sql?sqlite'],
	['a program is rendered', facts('/p1/f', 'elf'), 'strata-text clean-base /p1/f.txt?elf'],
	['an archive is listed', facts('/p1/f', 'archive'), 'strata-text clean-base /p1/f.txt?archive'],
	['bytes are summed up', facts('/p1/f', 'binary'), 'strata-text clean-base /p1/f.txt?binary'],
	['a picture under another name is bytes', facts('/p1/f', 'image'), 'strata-text clean-base /p1/f.txt?binary'],
	['a device shows its properties', facts('/p1/f', 'device'), 'strata-text clean-base /p1/f.properties?properties'],
	['an encrypted file is explained', facts('/p1/f', 'encrypted'), 'strata-text clean-base /p1/f.txt?explain'],
	[
		'too much text is explained',
		facts('/p1/f', 'text', { size: MAX_FILE_BYTES + 1 }),
		'strata-text clean-base /p1/f.txt?explain',
	],
	[
		'too many bytes are explained',
		facts('/p1/f', 'binary', { size: 2 ** 30 }),
		'strata-text clean-base /p1/f.txt?explain',
	],
	[
		'a long line is explained',
		facts('/p1/f', 'text', { longestLine: 20_001 }),
		'strata-text clean-base /p1/f.txt?explain',
	],
];
for (const [name, file, expected] of opens) {
	test(name, async () => assert.equal(shown(await resolveFile(engine({ '/p1/f': file }), a, '/p1/f')), expected));
}

test('a picture is opened as one', async () => {
	const uri = await resolveFile(engine({ '/p1/f.png': facts('/p1/f.png', 'image') }), a, '/p1/f.png');
	assert.equal(shown(uri), 'strata clean-base /p1/f.png');
});

test('a link opens what it leads to, and itself when that is nothing or a circle', async () => {
	const link = (target: string): FileFacts => ({
		...facts('/p1/l', 'symlink'),
		entry: entry('/p1/l', { type: 'symlink', target }),
	});
	const files = { '/p1/l': link('/etc/hosts'), '/p1/etc/hosts': facts('/p1/etc/hosts', 'text') };
	assert.equal(shown(await resolveFile(engine(files), a, '/p1/l')), 'strata clean-base /p1/etc/hosts');
	assert.match(shown(await resolveFile(engine({ '/p1/l': link('gone') }), a, '/p1/l')), /\?properties$/);
	assert.match(shown(await resolveFile(engine({ '/p1/l': link('l') }), a, '/p1/l')), /\?properties$/);
});

test('a link stays in its volume', () => {
	assert.equal(linkTarget('/p1/a/b', '../../../../etc'), '/p1/etc');
	assert.equal(linkTarget('/p1/a/b', './c'), '/p1/a/c');
	assert.equal(linkTarget('/disk2/p1/a/b', '/x'), '/disk2/p1/x');
	assert.equal(linkTarget('/disk/a/b', '../x'), '/disk/x');
});

test('what cannot be asked is explained, never thrown', async () => {
	const uri = await resolveFile(engine({ '/p1/f': new StrataError('ERR_CORRUPT', 'bad block') }), a, '/p1/f');
	assert.equal(shown(uri), 'strata-text clean-base /p1/f.txt?explain');
});

test('cancelling is not explained', async () => {
	const cancelled = engine({ '/p1/f': new StrataError('ERR_CANCELLED', 'cancelled') });
	await assert.rejects(resolveFile(cancelled, a, '/p1/f'));
});

async function plan(files: Parameters<typeof engine>[0], over: Parameters<typeof change>[1]) {
	const result = await resolveChange(engine(files), a, b, change('/p1/f', over));
	return result.kind === 'open' ? shown(result.uri) : `${shown(result.left)} | ${shown(result.right)}`;
}
const text = { '/p1/f': facts('/p1/f', 'text') };

test('an added file opens in the target, a deleted one in the base', async () => {
	assert.equal(await plan(text, { status: 'A', size: [null, 1], type: [null, 'file'] }), 'strata before-install /p1/f');
	assert.equal(await plan(text, { status: 'D', size: [1, null], type: ['file', null] }), 'strata clean-base /p1/f');
});

test('text is compared with text', async () => {
	assert.equal(await plan(text, {}), 'strata clean-base /p1/f | strata before-install /p1/f');
});

test('binary bytes never reach the diff editor', async () => {
	const both = { '/p1/f': facts('/p1/f', 'sqlite') };
	assert.equal(
		await plan(both, {}),
		'strata-text clean-base /p1/f.sql?sqlite | strata-text before-install /p1/f.sql?sqlite',
	);
	const mixed = { 'cleanbase1:/p1/f': facts('/p1/f', 'text'), 'beforeinst:/p1/f': facts('/p1/f', 'elf') };
	assert.equal(
		await plan(mixed, {}),
		'strata-text clean-base /p1/f.txt?binary | strata-text before-install /p1/f.txt?binary',
	);
});

test('metadata, types and links are compared as properties', async () => {
	const expected =
		'strata-text clean-base /p1/f.properties?properties | strata-text before-install /p1/f.properties?properties';
	assert.equal(await plan(text, { status: 'm', fields: ['mode'] }), expected);
	assert.equal(await plan(text, { status: 'T', type: ['file', 'symlink'] }), expected);
	assert.equal(await plan(text, { type: ['symlink', 'symlink'], fields: ['target'] }), expected);
});

test('a file that moved is compared with where it was', async () => {
	const files = { '/p1/old': facts('/p1/old', 'text'), '/p1/f': facts('/p1/f', 'text') };
	const moved = { status: 'R', from: '/p1/old', fields: ['content'] } as const;
	assert.equal(await plan(files, moved), 'strata clean-base /p1/old | strata before-install /p1/f');
	assert.match(await plan(files, { ...moved, fields: [] }), /old\.properties\?properties \|/);
});

test('one large side explains both', async () => {
	const files = {
		'cleanbase1:/p1/f': facts('/p1/f', 'text'),
		'beforeinst:/p1/f': facts('/p1/f', 'text', { longestLine: 1e6 }),
	};
	assert.equal(
		await plan(files, {}),
		'strata-text clean-base /p1/f.txt?explain | strata-text before-install /p1/f.txt?explain',
	);
});

test('every change has an entry for the editor of all changes', async () => {
	const all = [
		change('/p1/f'),
		change('/p1/f', { status: 'A' }),
		change('/p1/f', { status: 'D' }),
		change('/p1/f', { status: 'm', fields: ['owner'] }),
		change('/p1/f', { status: 'T' }),
		change('/p1/f', { status: 'R', from: '/p1/f' }),
		change('/p1/f', { status: 'E', side: 'a' }),
		change('/p1/missing'),
	];
	for (const one of all) {
		const { left, right } = await resolveSides(engine(text), a, b, one);
		assert.ok(left ?? right, one.status);
	}
});

test('the title says file, base and target', () => {
	assert.equal(diffTitle(a, b, { path: '/p1/etc/hosts' }), 'hosts (clean-base ↔ before-install)');
	assert.equal(
		diffTitle(a, { ...b, source: 'other234', sourceName: 'ci' }, { path: '/p1/x' }),
		'x (dev: clean-base ↔ ci: before-install)',
	);
	assert.equal(diffTitle(a, b, { path: '/p1/new', from: '/p1/old' }), 'old → new (clean-base ↔ before-install)');
});

test('explanations say what is wrong and what can be done, and no stack', () => {
	const large = explanationText(a, '/p1/f', facts('/p1/f', 'text', { size: 2 ** 30 }));
	assert.match(large, /too large to open/);
	assert.match(large, /1 GB/);
	assert.match(large, /Restore/);
	const damaged = failureText(a, '/p1/f', new StrataError('ERR_CORRUPT', 'ext4: extent header magic is 0'));
	assert.match(damaged, /It is damaged: ext4: extent header magic is 0/);
	assert.match(failureText(a, '/p1/f', new StrataError('ERR_NOT_FOUND', 'no')), /does not exist in "clean-base"/);
	assert.doesNotMatch(failureText(a, '/p1/f', new Error('x')), / at /);
});
