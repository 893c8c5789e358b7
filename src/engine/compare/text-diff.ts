/** Unified differences of text, for the terminal. The editor makes its own. */
import { structuredPatch, type StructuredPatchHunk } from 'diff';

/** Above this many changed lines the difference is said and not shown. */
const MAX_EDITS = 20_000;
const TIMEOUT_MS = 3_000;
/** Regions that need the exact method; larger ones are cut at lines that occur once on both sides. */
const MAX_LINES = 20_000;

export interface TextDiffSide {
	/** Shown in the header; `/dev/null` for a side that does not exist. */
	readonly label: string;
	readonly text: string;
}

/**
 * A unified difference with three lines of context, in the form that `patch` and `git apply` read.
 * Empty when both sides are equal. When the sides differ in more than can be shown, the header and one line that says so.
 */
export function unifiedDiff(a: TextDiffSide, b: TextDiffSide): string {
	if (a.text === b.text) return '';
	const header = `--- ${a.label}\n+++ ${b.label}\n`;
	const hunks = hunksOf(a.text, b.text);
	if (!hunks) return `${header}@@ too many lines differ to be shown @@\n`;
	return header + hunks.map(formatHunk).join('');
}

function hunksOf(a: string, b: string): StructuredPatchHunk[] | undefined {
	const { head, tail, middleA, middleB } = trimCommon(a.split(/(?<=\n)/), b.split(/(?<=\n)/));
	if (middleA.length + middleB.length > MAX_LINES * 2) return undefined;
	// Three lines of context are kept on both sides of what differs.
	const before = head.slice(-3);
	const after = tail.slice(0, 3);
	const patch = structuredPatch(
		'a',
		'b',
		[...before, ...middleA, ...after].join(''),
		[...before, ...middleB, ...after].join(''),
		undefined,
		undefined,
		{ context: 3, maxEditLength: MAX_EDITS, timeout: TIMEOUT_MS },
	);
	const skipped = head.length - before.length;
	return patch?.hunks.map(hunk => ({ ...hunk, oldStart: hunk.oldStart + skipped, newStart: hunk.newStart + skipped }));
}

/** Takes equal lines from both ends: most changes to large files are small. */
function trimCommon(a: string[], b: string[]) {
	const shorter = Math.min(a.length, b.length);
	let from = 0;
	while (from < shorter && a[from] === b[from]) from++;
	let end = 0;
	while (end < shorter - from && a[a.length - 1 - end] === b[b.length - 1 - end]) end++;
	return {
		head: a.slice(0, from),
		tail: a.slice(a.length - end),
		middleA: a.slice(from, a.length - end),
		middleB: b.slice(from, b.length - end),
	};
}

function formatHunk(hunk: StructuredPatchHunk): string {
	const range = (start: number, lines: number) =>
		lines === 1 ? String(start) : `${lines === 0 ? Math.max(0, start - 1) : start},${lines}`;
	const body = hunk.lines.map(line => `${line}\n`).join('');
	return `@@ -${range(hunk.oldStart, hunk.oldLines)} +${range(hunk.newStart, hunk.newLines)} @@\n${body}`;
}
