import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { rawFromBytes, textFromRaw } from '../../src/engine/util/names.js';
import {
	bareSourceToken,
	changeUri,
	fileUri,
	parseFileUri,
	parseTextUri,
	slug,
	textFromUriPath,
	textUri,
	uriPathFromText,
} from '../../src/extension/uri.js';

const address = { source: 'abcd2345', state: 'k3vqwertyu', label: 'Before Install', path: '/p1/etc/hosts' };

test('a file has one address, and it reads back', () => {
	const uri = fileUri(address);
	assert.deepEqual(uri, {
		scheme: 'strata',
		authority: 'abcd2345.k3vqwertyu+before-install',
		path: '/p1/etc/hosts',
		query: '',
	});
	assert.deepEqual(parseFileUri(uri), { ...address, label: 'before-install' });
});

test('a rendering has the path, an extension and a renderer', () => {
	const uri = textUri({ ...address, path: '/p1/var/data.db', renderer: 'sqlite', extension: 'sql' });
	assert.equal(uri.path, '/p1/var/data.db.sql');
	const back = parseTextUri(uri);
	assert.equal(back?.path, '/p1/var/data.db');
	assert.equal(back?.renderer, 'sqlite');
	assert.equal(back?.extension, 'sql');
});

test('a change has its own scheme and its status', () => {
	assert.deepEqual(changeUri('c1', '/p1/a', 'M'), {
		scheme: 'strata-change',
		authority: 'c1',
		path: '/p1/a',
		query: 'M',
	});
});

test('other schemes and authorities are not ours', () => {
	assert.equal(parseFileUri({ scheme: 'file', authority: '', path: '/etc/hosts', query: '' }), undefined);
	assert.equal(parseFileUri({ scheme: 'strata', authority: 'no-dot', path: '/x', query: '' }), undefined);
	assert.equal(parseTextUri({ scheme: 'strata-text', authority: 'a.b', path: '/nodot', query: 'x' }), undefined);
});

test('slugs are lower case, short, and never empty', () => {
	assert.equal(slug('Vor Änderung / $(trash)'), 'vor-anderung-trash');
	assert.equal(slug('\u202e'), 'snapshot');
	fc.assert(fc.property(fc.string({ unit: 'binary' }), label => /^[a-z0-9._-]{1,40}$/.test(slug(label))));
});

test('names that systemd escapes keep their backslash', () => {
	const text = textFromRaw(rawFromBytes(Buffer.from('/p1/dev-disk\\x2dby.swap')));
	assert.equal(uriPathFromText(text), '/p1/dev-disk\\x2dby.swap');
	assert.equal(textFromUriPath(uriPathFromText(text)), text);
});

test('bytes that are not UTF-8 stand in the private use area, and the real ones beside them', () => {
	assert.equal(uriPathFromText('/a\\xff'), '/a\uefff');
	assert.equal(uriPathFromText('/a\\x0ab'), '/a\uef0ab');
	const real = textFromRaw(rawFromBytes(Buffer.from('/a\uefff')));
	assert.equal(uriPathFromText(real), '/a\uefee\uefbf\uefbf');
});

test('what could mislead in the title of a tab stands there as private characters', () => {
	const text = textFromRaw(rawFromBytes(Buffer.from('/p1/two\nlines\u202egpj.exe\u007f')));
	assert.match(uriPathFromText(text), /^[\x20-\x7e\uef00-\uefff]+$/);
	assert.equal(textFromUriPath(uriPathFromText(text)), text);
});

test('every sequence of bytes has one path, and comes back from it', () => {
	const byte = fc.oneof(
		fc.integer({ min: 0, max: 255 }),
		fc.constantFrom(0xee, 0xbe, 0xbf, 0x80, 0x5c, 0x78, 0x2f, 0xc3),
	);
	fc.assert(
		fc.property(fc.array(byte, { maxLength: 40 }), bytes => {
			const text = textFromRaw(rawFromBytes(Uint8Array.from(bytes)));
			assert.equal(textFromUriPath(uriPathFromText(text)), text);
		}),
		{ numRuns: 3000 },
	);
	fc.assert(
		fc.property(fc.string({ unit: 'binary', maxLength: 20 }), name => {
			const text = textFromRaw(rawFromBytes(Buffer.from(name, 'utf8')));
			assert.equal(textFromUriPath(uriPathFromText(text)), text);
		}),
		{ numRuns: 2000 },
	);
});

test('the token of a bare image is 12 characters of base32', () => {
	assert.match(bareSourceToken('/srv/a.qcow2'), /^p[a-z2-7]{11}$/);
	assert.notEqual(bareSourceToken('/srv/a.qcow2'), bareSourceToken('/srv/b.qcow2'));
});
