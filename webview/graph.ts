/** Draws one row's part of the graph: lines that pass, curves that join, the dot. */
import type { TimelineRow } from '../src/shared/timeline-protocol.js';
import { MAX_LANES, type LaneLine, type LaneRow } from './lanes.js';

export const ROW_HEIGHT = 26;
const LANE_WIDTH = 14;
const MIDDLE = ROW_HEIGHT / 2;
const COLOURS = 6;
const NAMESPACE = 'http://www.w3.org/2000/svg';

/** Pixels that the graph needs for so many lanes. */
export function graphWidth(lanes: number): number {
	return (Math.min(lanes, MAX_LANES) + 1) * LANE_WIDTH;
}

export function drawGraph(
	row: TimelineRow,
	lanes: LaneRow,
	width: number,
	marks: { readonly isBase: boolean; readonly isTarget: boolean },
): SVGSVGElement {
	const svg = element('svg', { width: String(width), height: String(ROW_HEIGHT), 'aria-hidden': 'true' });
	const own = `lane${lanes.group % COLOURS}`;
	for (const line of lanes.through) svg.append(path(`M${x(line.lane)} 0V${ROW_HEIGHT}`, `lane${line.group % COLOURS}`));
	for (const line of lanes.joins)
		svg.append(
			path(
				`M${x(line.lane)} 0C${x(line.lane)} ${MIDDLE} ${x(lanes.lane)} 0 ${x(lanes.lane)} ${MIDDLE}`,
				`lane${line.group % COLOURS}`,
			),
		);
	if (lanes.hasChild) svg.append(path(`M${x(lanes.lane)} 0V${MIDDLE}`, own));
	if (lanes.hasParent)
		svg.append(path(`M${x(lanes.lane)} ${MIDDLE}V${ROW_HEIGHT}`, row.inferred ? `${own} guessed` : own));
	svg.append(dot(row, x(lanes.lane), own, marks));
	return svg;
}

/** The lines that pass a day's heading. */
export function drawLines(lines: readonly LaneLine[], width: number): SVGSVGElement {
	const svg = element('svg', { width: String(width), height: String(ROW_HEIGHT), 'aria-hidden': 'true' });
	for (const line of lines) svg.append(path(`M${x(line.lane)} 0V${ROW_HEIGHT}`, `lane${line.group % COLOURS}`));
	return svg;
}

/** A ring for the current state, a filled dot for its parent, diamonds for base (hollow) and target (filled), a small dot for safety snapshots. */
function dot(
	row: TimelineRow,
	at: number,
	colour: string,
	{ isBase, isTarget }: { readonly isBase: boolean; readonly isTarget: boolean },
): SVGElement {
	if (isBase || isTarget) {
		const diamond = `M${at} ${MIDDLE - 6}L${at + 6} ${MIDDLE}L${at} ${MIDDLE + 6}L${at - 6} ${MIDDLE}Z`;
		return path(diamond, `${colour} dot ${isTarget ? 'full' : 'hollow'}`);
	}
	if (row.state === 'current') {
		const group = element('g', {});
		group.append(circle(at, 6, `${colour} dot hollow`), circle(at, 2.5, `${colour} dot full`));
		return group;
	}
	if (row.safety) return circle(at, 2.5, `${colour} dot full`);
	return circle(at, 4.5, `${colour} dot ${row.isPosition ? 'full' : 'hollow'}`);
}

function x(lane: number): number {
	return lane * LANE_WIDTH + LANE_WIDTH / 2 + 2;
}

function path(d: string, className: string): SVGElement {
	return element('path', { d, class: className });
}

function circle(cx: number, r: number, className: string): SVGElement {
	return element('circle', { cx: String(cx), cy: String(MIDDLE), r: String(r), class: className });
}

function element<K extends keyof SVGElementTagNameMap>(
	name: K,
	attributes: Readonly<Record<string, string>>,
): SVGElementTagNameMap[K] {
	const made = document.createElementNS(NAMESPACE, name);
	for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
	return made;
}
