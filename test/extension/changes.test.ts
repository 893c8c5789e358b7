import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
	changeNodes,
	commonVolume,
	filterChanges,
	spokenChange,
	type ChangeNode,
} from '../../src/extension/changes/change-model.js';
import { changeFacts, countsText } from '../../src/extension/words.js';
import type { SummaryRecord } from '../../src/shared/engine-api.js';
import { change, comparison } from './fake-engine.js';

const changes = [
	change('/p1/etc/hosts'),
	change('/p1/etc/nginx/nginx.conf', { status: 'A', fields: [], size: [null, 10], type: [null, 'file'] }),
	change('/p1/usr/bin/jq'),
	change('/p1/usr/share/doc/jq/README', { status: 'D', fields: [], size: [10, null], type: ['file', null] }),
];

/** "etc/", " hosts M": a tree as lines. */
function drawn(nodes: readonly ChangeNode[], indent = ''): string[] {
	return nodes.flatMap(node =>
		node.kind === 'change'
			? [`${indent}${node.label} ${node.change.status}${node.description ? ` (${node.description})` : ''}`]
			: [`${indent}${node.label}/ ${node.count}`, ...drawn(node.children, `${indent} `)],
	);
}

test('the tree joins chains of single folders and leaves out the only volume', () => {
	assert.deepEqual(drawn(changeNodes(changes, 'tree', undefined)), [
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
	assert.equal(commonVolume(two), '');
	assert.deepEqual(drawn(changeNodes(two, 'tree', undefined)), ['p1/ 1', ' a M', 'p2/ 1', ' b M']);
	assert.equal(commonVolume([change('/disk2/p1/a')]), '/disk2/p1/');
});

test('a folder that is a change itself keeps its letter; an empty one is a row', () => {
	const added = change('/p1/srv', { status: 'A', fields: [], size: [null, 0], type: [null, 'directory'] });
	assert.deepEqual(drawn(changeNodes([added], 'tree', undefined)), ['srv A']);
	const [folder] = changeNodes([added, change('/p1/srv/x')], 'tree', undefined);
	assert.ok(folder?.kind === 'folder');
	assert.equal(folder.change?.status, 'A');
	assert.equal(folder.count, 2);
});

test('the list says the folder and what differs', () => {
	const mode = change('/p1/etc/hosts', { status: 'm', fields: ['mode', 'mtime'], mode: ['0644', '0600'] });
	assert.deepEqual(drawn(changeNodes([mode], 'list', undefined)), ['hosts m (etc · mode 644 → 600)']);
});

test('by package: 214 files read as three packages and the strays', () => {
	const summary: SummaryRecord = {
		lines: [],
		packages: [{ name: 'nginx', before: null, after: '1.22.1' }],
		services: [],
		users: [],
		ownerOf: { '/p1/etc/nginx/nginx.conf': 'nginx' },
	};
	const nodes = changeNodes(changes, 'packages', summary);
	assert.deepEqual(
		nodes.map(node => (node.kind === 'package' ? `${node.label}: ${node.description}` : node.kind)),
		['nginx: installed 1.22.1 · 1 file', 'Not in a package: 3 files'],
	);
});

test('a name that an object has is a package like any other', () => {
	const summary: SummaryRecord = { lines: [], packages: [], services: [], users: [], ownerOf: {} };
	const nodes = changeNodes([change('/p1/constructor')], 'packages', summary);
	assert.equal(nodes[0]?.label, 'Not in a package');
});

test('the filter wants every word, in any case, also of where a file came from', () => {
	const paths = (filter: string) => filterChanges(changes, filter).map(({ path }) => path);
	assert.deepEqual(paths('NGINX conf'), ['/p1/etc/nginx/nginx.conf']);
	assert.equal(paths('').length, 4);
	assert.equal(paths('nothing').length, 0);
	assert.equal(filterChanges([change('/p1/new', { from: '/p1/old', status: 'R' })], 'old').length, 1);
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

test('ten thousand changes become rows at once', () => {
	const many = Array.from({ length: 10_000 }, (_, i) => change(`/p1/d${i % 100}/f${i}`));
	const nodes = changeNodes(many, 'tree', undefined);
	assert.equal(nodes.length, 100);
	assert.equal(
		nodes.reduce((sum, node) => sum + (node.kind === 'folder' ? node.count : 1), 0),
		10_000,
	);
});
