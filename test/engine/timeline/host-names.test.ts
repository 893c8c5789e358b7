import assert from 'node:assert/strict';
import { test } from 'node:test';
import { foldName, whyNameRefused } from '../../../src/engine/timeline/host-names.js';

const raw = (text: string) => Buffer.from(text, 'utf8').toString('latin1');

test('names that leave the folder are refused everywhere', () => {
	for (const platform of ['linux', 'darwin', 'win32']) {
		for (const name of ['', '.', '..', 'a/b', '/', 'a\0b', 'x'.repeat(256)]) {
			assert.notEqual(whyNameRefused(name, platform), undefined, `${JSON.stringify(name)} on ${platform}`);
		}
		for (const name of ['hosts', '...', '.bashrc', 'a b', '-rf', raw('\u00e4'), 'com', 'console', 'nullable.txt']) {
			if (name === '...' && platform === 'win32') continue;
			assert.equal(whyNameRefused(name, platform), undefined, `${JSON.stringify(name)} on ${platform}`);
		}
	}
});

test('bytes that are no UTF-8 are a name on Linux alone', () => {
	assert.equal(whyNameRefused('\xff\xfe', 'linux'), undefined);
	assert.match(whyNameRefused('\xff\xfe', 'darwin') ?? '', /UTF-8/);
	assert.match(whyNameRefused('\xff\xfe', 'win32') ?? '', /UTF-8/);
});

test('what Windows takes for something else is refused there', () => {
	const names = [
		'con',
		'NUL',
		'nul.txt',
		'Com1',
		'lpt9.tar.gz',
		'aux ',
		raw('com\u00b9'),
		'a:b',
		'file:$DATA',
		'a\\b',
		'a|b',
	];
	for (const name of [...names, 'what?', 'a*', '"', '<', '>', 'dot.', 'blank ', 'tab\t', 'CONIN$']) {
		assert.notEqual(whyNameRefused(name, 'win32'), undefined, JSON.stringify(name));
		assert.equal(whyNameRefused(name, 'linux'), undefined, JSON.stringify(name));
	}
});

test('names that a file system without case takes for one have one form', () => {
	for (const [a, b] of [
		['README', 'readme'],
		[raw('\u00c4'), raw('a\u0308')],
		[raw('\u03c3'), raw('\u03c2')],
	] as const) {
		assert.equal(foldName(a), foldName(b));
	}
	assert.notEqual(foldName('a'), foldName('b'));
});
