/** Where each row's dot stands, and which lines pass it: one lane for each branch that is alive there. */

export interface LaneNode {
	readonly id: string;
	readonly parent: string | null;
	/** Lanes of one group share a colour. */
	readonly group: number;
}

export interface LaneLine {
	readonly lane: number;
	readonly group: number;
}

/** What is drawn in one row. Rows run from the newest to the oldest, so a parent stands below its children. */
export interface LaneRow {
	readonly lane: number;
	readonly group: number;
	/** Lines that pass from top to bottom. */
	readonly through: readonly LaneLine[];
	/** Lines that come from above and end in this row's dot, besides the one in its own lane. */
	readonly joins: readonly LaneLine[];
	/** A line comes from above in its own lane: it has a child. */
	readonly hasChild: boolean;
	/** A line goes on below: its parent is further down. */
	readonly hasParent: boolean;
}

/** Lanes beyond this one are drawn on top of it: a person cannot follow more. */
export const MAX_LANES = 24;

/**
 * Lay out a forest. A parent that does not stand below its child (absent, or above it because dates lie) gets no line.
 *
 * Linear in rows × lanes that are alive.
 */
export function layoutLanes(nodes: readonly LaneNode[]): LaneRow[] {
	const place = new Map(nodes.map((node, index) => [node.id, index]));
	/** The row that each lane waits for. */
	const waiting: ({ readonly id: string; readonly group: number } | undefined)[] = [];
	return nodes.map((node, index) => {
		const coming: number[] = [];
		for (let lane = 0; lane < waiting.length; lane++) if (waiting[lane]?.id === node.id) coming.push(lane);
		const lane = coming[0] ?? freeLane(waiting);
		const joins = coming.slice(1).map(each => ({ lane: Math.min(each, MAX_LANES - 1), group: waiting[each]!.group })); // OK: coming holds lanes that wait.
		for (const each of coming) waiting[each] = undefined;
		const through: LaneLine[] = [];
		for (const [each, line] of waiting.entries())
			if (line && each !== lane) through.push({ lane: Math.min(each, MAX_LANES - 1), group: line.group });
		const hasParent = node.parent !== null && index < (place.get(node.parent) ?? -1);
		waiting[lane] = hasParent ? { id: node.parent, group: node.group } : undefined;
		while (waiting.length > 0 && waiting[waiting.length - 1] === undefined) waiting.pop();
		return {
			lane: Math.min(lane, MAX_LANES - 1),
			group: node.group,
			through,
			joins,
			hasChild: coming.length > 0,
			hasParent,
		};
	});
}

function freeLane(waiting: readonly unknown[]): number {
	const free = waiting.indexOf(undefined);
	return free < 0 ? waiting.length : free;
}
