import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ComparisonModel } from '../../src/extension/changes/comparison.js';
import { StrataError } from '../../src/extension/engine-error.js';
import type { NamedState } from '../../src/extension/state-name.js';
import type { CompareOptions, EngineApi, SummaryRecord } from '../../src/shared/engine-api.js';
import { change, comparison, engineWith } from './fake-engine.js';

const named = (state: string): NamedState => ({ source: 'abcd2345', state, sourceName: 'dev', label: state });
const summary: SummaryRecord = {
	lines: ['1 package installed: nginx'],
	packages: [],
	services: [],
	users: [],
	ownerOf: {},
};

function model(methods: Partial<EngineApi>, settings: { rules?: string[]; hide?: boolean } = {}) {
	const memory = new Map<string, unknown>();
	const store = {
		get: (key: string) => memory.get(key),
		update: (key: string, value: unknown) => Promise.resolve(void memory.set(key, value)),
	};
	const made = new ComparisonModel(engineWith({ summary: () => Promise.resolve(summary), ...methods }), {
		rules: () => settings.rules ?? [],
		hideNoise: () => settings.hide ?? false,
		memory: store,
	});
	return { made, store };
}

test('one base, several targets, and the summary a moment later', async () => {
	const { made } = model({ compare: () => Promise.resolve(comparison([change('/p1/a')])) });
	await made.compare(named('a'), [named('b'), named('c'), named('a')]);
	await new Promise(resolve => setImmediate(resolve));
	assert.deepEqual(
		made.outcomes.map(outcome => outcome.state === 'done' && [outcome.pair.b.label, outcome.summary?.lines.length]),
		[
			['b', 1],
			['c', 1],
		],
	);
});

test('it is remembered and made again after a restart', async () => {
	const { made, store } = model({ compare: () => Promise.resolve(comparison([])) });
	await made.compare(named('a'), [named('current')]);
	assert.equal(made.involvesCurrent('abcd2345'), true);
	assert.equal(made.involvesCurrent('other234'), false);
	const again = new ComparisonModel(engineWith({ compare: () => Promise.resolve(comparison([])) }), {
		rules: () => [],
		hideNoise: () => false,
		memory: store,
	});
	await again.refresh();
	assert.equal(again.outcomes.length, 1);
});

test('swapping sides compares the other way round', async () => {
	const { made } = model({ compare: () => Promise.resolve(comparison([])) });
	await made.compare(named('a'), [named('b')]);
	await made.swap();
	assert.equal(made.outcomes[0]?.pair.a.label, 'b');
});

test('noise rules reach the engine only while noise is hidden', async () => {
	const asked: (CompareOptions | undefined)[] = [];
	const compare: EngineApi['compare'] = (_a, _b, options) => {
		asked.push(options);
		return Promise.resolve(comparison([], { hidden: options?.noise ? 42 : 0 }));
	};
	const { made } = model({ compare }, { rules: ['/var/log/'] });
	await made.compare(named('a'), [named('b')]);
	assert.equal(made.noise, 'shown');
	await made.setNoise('hidden');
	assert.equal(made.noise, 'hidden');
	assert.deepEqual(
		asked.map(options => options?.noise),
		[undefined, ['/var/log/']],
	);
});

test('an error is an outcome; a newer comparison ends an older one in silence', async () => {
	const failing = model({ compare: () => Promise.reject(new StrataError('ERR_BUSY', 'in use')) }).made;
	await failing.compare(named('a'), [named('b')]);
	assert.equal(failing.outcomes[0]?.state, 'failed');

	let calls = 0;
	const slow: EngineApi['compare'] = (_a, _b, _options, call) =>
		0 < calls++
			? Promise.resolve(comparison([change('/p1/new')]))
			: new Promise((_, reject) =>
					call!.signal!.addEventListener('abort', () => reject(new StrataError('ERR_CANCELLED', 'cancelled'))),
				);
	const { made } = model({ compare: slow });
	const first = made.compare(named('a'), [named('b')]);
	await made.compare(named('a'), [named('c')]);
	await first;
	assert.deepEqual(
		made.outcomes.map(outcome => [outcome.state, outcome.pair.b.label]),
		[['done', 'c']],
	);
});
