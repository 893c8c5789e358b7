import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { EngineError } from '../../../src/engine/util/errors.js';
import { rawFromText, textFromRaw } from '../../../src/engine/util/names.js';

const raw = (...bytes: number[]) => String.fromCharCode(...bytes);

suite('names', () => {
	for (const [bytes, text] of [
		[Buffer.from('plain name.txt'), 'plain name.txt'],
		[Buffer.from('grüße/日本'), 'grüße/日本'],
		[Buffer.from('a\nb'), 'a\\x0ab'],
		[Buffer.from('a\\b'), 'a\\x5cb'],
		[Buffer.from([0x66, 0xff, 0x67]), 'f\\xffg'],
		[Buffer.from([0xc0, 0x80]), '\\xc0\\x80'], // overlong NUL
		[Buffer.from([0xed, 0xa0, 0x80]), '\\xed\\xa0\\x80'], // a surrogate
		[Buffer.from('\u202Etxt.exe'), '\\xe2\\x80\\xaetxt.exe'], // right-to-left override
		[Buffer.from('\u0085'), '\\xc2\\x85'], // a C1 control
	] as const) {
		test(`${bytes.toString('hex')} is written ${text}`, () => {
			assert.equal(textFromRaw(bytes.toString('latin1')), text);
			assert.equal(rawFromText(text), bytes.toString('latin1'));
		});
	}

	test('every sequence of bytes survives text and back', () => {
		fc.assert(
			fc.property(fc.uint8Array({ maxLength: 40 }), bytes => {
				const name = raw(...bytes);
				const text = textFromRaw(name);
				assert.equal(rawFromText(text), name);
				assert.doesNotMatch(text, /[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/);
			}),
			{ numRuns: 2000, seed: 1 },
		);
	});

	test('a backslash that begins no escape is refused', () => {
		assert.throws(
			() => rawFromText('a\\b'),
			(e: unknown) => EngineError.is(e, 'ERR_USAGE'),
		);
	});
});
