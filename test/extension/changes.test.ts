import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
	commonVolume,
	indexChanges,
	spokenChange,
	type Children,
	type Layout,
} from '../../src/extension/changes/change-model.js';
import { atOnce, inSlices } from '../../src/extension/sliced.js';
import { changeFacts, countsText } from '../../src/extension/words.js';
import type { SummaryRecord } from '../../src/shared/engine-api.js';
import type { ChangeRecord } from '../../src/shared/records.js';
import { change, comparison } from './fake-engine.js';

const changes = [
	change('/p1/etc/hosts'),
	change('/p1/etc/nginx/nginx.conf', { status: 'A', fields: [], size: [null, 10], type: [null, 'file'] }),
	change('/p1/usr/bin/jq'),
	change('/p1/usr/share/doc/jq/README', { status: 'D', fields: [], size: [10, null], type: ['file', null] }),
];

function changeNodes(all: readonly ChangeRecord[], layout: Layout, summary?: SummaryRecord, filter = '') {
	return atOnce(indexChanges(all, { layout, filter, summary }));
}

/** "etc/ 2", " hosts M": a tree as lines. */
function drawn(children: Children, indent = ''): string[] {
	return children
		.slice(0, children.length)
		.flatMap(node =>
			node.kind === 'change'
				? [`${indent}${node.label} ${node.change.status}${node.description ? ` (${node.description})` : ''}`]
				: [`${indent}${node.label}/ ${node.count}`, ...drawn(node.children, `${indent} `)],
		);
}

test('the tree joins chains of single folders and leaves out the only volume', () => {
	assert.deepEqual(drawn(changeNodes(changes, 'tree').children), [
		'etc/ 2',
		' nginx/ 1',
		'  nginx.conf A',
		' hosts M',
		'usr/ 2',
		' bin/ 1',
		'  jq M',
		' share/doc/jq/ 1',
		'  README D',
	]);
});

test('with two volumes each path says its own', () => {
	const two = [change('/p1/a'), change('/p2/b')];
	assert.equal(atOnce(commonVolume(two)), '');
	assert.deepEqual(drawn(changeNodes(two, 'tree').children), ['p1/ 1', ' a M', 'p2/ 1', ' b M']);
	assert.equal(atOnce(commonVolume([change('/disk2/p1/a')])), '/disk2/p1/');
});

test('a folder that is a change itself keeps its letter; an empty one is a row', () => {
	const added = change('/p1/srv', { status: 'A', fields: [], size: [null, 0], type: [null, 'directory'] });
	assert.deepEqual(drawn(changeNodes([added], 'tree').children), ['srv A']);
	const index = changeNodes([added, change('/p1/srv/x')], 'tree');
	const [folder] = index.children.slice(0, 1);
	assert.ok(folder?.kind === 'folder');
	assert.equal(folder.change?.status, 'A');
	assert.equal(folder.count, 2);
	assert.deepEqual(
		folder.changes().map(({ path }) => path),
		['/p1/srv', '/p1/srv/x'],
	);
	assert.equal(index.changes().length, 2);
});

test('the list says the folder and what differs', () => {
	const mode = change('/p1/etc/hosts', { status: 'm', fields: ['mode', 'mtime'], mode: ['0644', '0600'] });
	assert.deepEqual(drawn(changeNodes([mode], 'list').children), ['hosts m (etc · mode 644 → 600)']);
});

test('by package: 214 files read as three packages and the strays', () => {
	const summary: SummaryRecord = {
		lines: [],
		packages: [{ name: 'nginx', before: null, after: '1.22.1' }],
		services: [],
		users: [],
		ownerOf: { '/p1/etc/nginx/nginx.conf': 'nginx' },
	};
	const nodes = changeNodes(changes, 'packages', summary).children.slice(0, 9);
	assert.deepEqual(
		nodes.map(node => (node.kind === 'package' ? `${node.label}: ${node.description}` : node.kind)),
		['nginx: installed 1.22.1 · 1 file', 'Not in a package: 3 files'],
	);
});

test('a name that an object has is a package like any other', () => {
	const summary: SummaryRecord = { lines: [], packages: [], services: [], users: [], ownerOf: {} };
	const [node] = changeNodes([change('/p1/constructor')], 'packages', summary).children.slice(0, 1);
	assert.equal(node?.label, 'Not in a package');
});

test('the filter wants every word, in any case, also of where a file came from', () => {
	const paths = (filter: string) =>
		changeNodes(changes, 'list', undefined, filter)
			.changes()
			.map(({ path }) => path);
	assert.deepEqual(paths('NGINX conf'), ['/p1/etc/nginx/nginx.conf']);
	assert.equal(paths('').length, 4);
	assert.equal(paths('nothing').length, 0);
	const moved = change('/p1/new', { from: '/p1/old', status: 'R' });
	assert.equal(changeNodes([moved], 'list', undefined, 'old').shown, 1);
});

test('a row is spoken with its folder', () => {
	assert.equal(spokenChange(changes[0]!, '/p1/'), 'hosts in etc, modified, 13 B');
	assert.equal(
		spokenChange(change('/p1/x', { status: 'm', fields: ['mode'], mode: ['0644', '4755'] }), '/p1/'),
		'x, metadata changed, mode 644 → 4755, 13 B',
	);
});

test('what differs is named', () => {
	assert.equal(
		changeFacts(change('/p1/a', { status: 'T', type: ['file', 'symlink'], fields: ['type'] })),
		'file → symbolic link',
	);
	assert.equal(changeFacts(change('/p1/a', { status: 'R', from: '/p1/b', fields: [] })), 'from /p1/b');
	assert.equal(changeFacts(change('/p1/a', { status: 'm', fields: ['mtime'] })), 'time');
	assert.equal(
		changeFacts(change('/p1/a', { status: 'm', fields: ['owner', 'xattr', 'links'] })),
		'owner · attributes · hard links',
	);
});

test('counts are told once, without what is zero', () => {
	assert.equal(countsText(comparison(changes).counts), '+1 ~2 −1');
	assert.equal(countsText(comparison([]).counts), 'no changes');
});

test('many changes are sorted in slices, and rows are made only of what is shown', async () => {
	const many = Array.from({ length: 50_000 }, (_, i) => change(`/p1/d${i % 100}/f${i}`));
	let others = 0;
	const timer = setInterval(() => others++, 0);
	const index = await inSlices(indexChanges(many, { layout: 'tree', filter: 'f', summary: undefined }));
	clearInterval(timer);
	assert.ok(others > 0, 'nobody else came to run');
	assert.equal(index.shown, 50_000);
	assert.equal(index.children.length, 100);
	const [folder] = index.children.slice(0, 1);
	assert.ok(folder?.kind === 'folder');
	assert.equal(folder.children.slice(0, 10).length, 10);
	assert.equal(index.changes().length, 50_000);
});
