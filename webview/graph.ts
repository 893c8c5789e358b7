/** Draws one row's part of the graph: lines that pass, curves that join, the dot. */
import type { TimelineRow } from '../src/shared/timeline-protocol.js';
import { MAX_LANES, type LaneLine, type LaneRow } from './lanes.js';

export const ROW_HEIGHT = 26;
/** Pixels; narrower where many lanes would leave no room for the names. */
const WIDEST_LANE = 14;
const NARROWEST_LANE = 5;
/** Of the grid's width, and never more than so many pixels. */
const SHARE = 0.35;
const WIDEST_GRAPH = 224;
const MIDDLE = ROW_HEIGHT / 2;
const COLOURS = 6;
const NAMESPACE = 'http://www.w3.org/2000/svg';

export interface GraphSize {
	readonly laneWidth: number;
	/** Pixels of the whole graph. */
	readonly width: number;
}

/** How large a graph of so many lanes is drawn in a grid of that width. */
export function graphSize(lanes: number, gridWidth: number): GraphSize {
	const count = Math.min(lanes, MAX_LANES) + 1;
	const room = Math.min(gridWidth * SHARE, WIDEST_GRAPH);
	const laneWidth = Math.max(NARROWEST_LANE, Math.min(WIDEST_LANE, Math.floor(room / count)));
	// The outermost dots need their room, however narrow the lanes are.
	return { laneWidth, width: (count - 1) * laneWidth + WIDEST_LANE };
}

export function drawGraph(
	row: TimelineRow,
	lanes: LaneRow,
	size: GraphSize,
	marks: { readonly isBase: boolean; readonly isTarget: boolean },
): SVGSVGElement {
	const svg = canvas(size);
	const x = (lane: number) => placeOf(lane, size);
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
export function drawLines(lines: readonly LaneLine[], size: GraphSize): SVGSVGElement {
	const svg = canvas(size);
	for (const { lane, group } of lines)
		svg.append(path(`M${placeOf(lane, size)} 0V${ROW_HEIGHT}`, `lane${group % COLOURS}`));
	return svg;
}

function canvas({ width }: GraphSize): SVGSVGElement {
	return element('svg', { width: String(width), height: String(ROW_HEIGHT), 'aria-hidden': 'true' });
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

function placeOf(lane: number, { laneWidth }: GraphSize): number {
	return lane * laneWidth + WIDEST_LANE / 2;
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
