// A reporter for node:test: says only what failed and what was slow, and counts into the file $STRATA_TEST_COUNTS.
import { writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import process from 'node:process';
import { inspect } from 'node:util';

const SLOWEST = 5;

/** @param {AsyncIterable<{ type: string, data: any }>} events */
export default async function* reporter(events) {
	const counts = { passed: 0, failed: 0, skipped: 0 };
	const durations = [];
	/** Names of the tests around the one that is reported next. */
	const path = [];
	for await (const { type, data } of events) {
		if (type === 'test:start') path[data.nesting] = data.name;
		if (type === 'test:stderr' || type === 'test:stdout') yield data.message;
		if (type !== 'test:pass' && type !== 'test:fail') continue;
		const name = [...path.slice(0, data.nesting), data.name].join(' › ');
		// Of a suite its tests are counted; it fails by itself only when a hook did.
		const isSuite = data.details?.type === 'suite';
		const isOwnFailure = type === 'test:fail' && data.details?.error?.failureType !== 'subtestsFailed';
		if (isSuite && !isOwnFailure) continue;
		if (data.skip !== undefined || data.todo !== undefined) counts.skipped++;
		else if (type === 'test:pass') counts.passed++;
		else counts.failed++;
		durations.push({ name, milliseconds: data.details?.duration_ms ?? 0 });
		if (type === 'test:fail' && data.todo === undefined) yield failure(name, data);
	}
	durations.sort((a, b) => b.milliseconds - a.milliseconds);
	const slowest = durations.slice(0, SLOWEST).filter(one => 500 < one.milliseconds);
	for (const one of slowest) yield `  ${(one.milliseconds / 1000).toFixed(1).padStart(6)} s  ${one.name}\n`;
	yield `${counts.passed} passed, ${counts.failed} failed${counts.skipped > 0 ? `, ${counts.skipped} skipped` : ''}\n`;
	if (process.env.STRATA_TEST_COUNTS) writeFileSync(process.env.STRATA_TEST_COUNTS, JSON.stringify(counts));
}

function failure(name, data) {
	const error = data.details?.error;
	const cause = error?.cause ?? error;
	const where = data.file ? `${relative(process.cwd(), data.file)}:${data.line ?? ''}` : '';
	const text = typeof cause === 'string' ? cause : (cause?.stack ?? inspect(cause));
	return `FAIL ${name}  ${where}\n${text.replace(/^/gm, '     ')}\n`;
}
