/** The timeline's state without its looks: rows, filter, selection, base. */
import type { TimelineMachine, TimelineRow } from '../src/shared/timeline-protocol.js';
import { layoutLanes, type LaneLine, type LaneRow } from './lanes.js';

/** What survives a reload of the page. */
export interface SavedState {
	readonly filter: string;
	readonly machine: string;
	readonly hideOthers: boolean;
	readonly base: string | null;
	readonly selected: readonly string[];
	readonly active: string | null;
	readonly scrollTop: number;
}

export type Item =
	/** `lines` go on through the day's heading, from the rows above to those below. */
	| { readonly kind: 'day'; readonly day: string; readonly time: string; readonly lines: readonly LaneLine[] }
	| { readonly kind: 'row'; readonly row: TimelineRow; readonly lanes: LaneRow; readonly matches: boolean };

export class TimelineState {
	machines: readonly TimelineMachine[] = [];
	rows: readonly TimelineRow[] = [];
	filter = '';
	machine = '';
	hideOthers = false;
	base: string | null = null;
	targets: readonly string[] = [];
	active: string | null = null;
	readonly selected = new Set<string>();
	/** What is drawn, from the top. */
	items: readonly Item[] = [];
	matchCount = 0;
	/** Another one when other rows are shown: a filter that only fades some does not change it. */
	shape: readonly TimelineRow[] = [];
	#anchor: string | null = null;
	/** What every key of the filter asks of each row, worked out once. */
	#texts: readonly string[] = [];
	#days: ReadonlyMap<TimelineRow, string> = new Map();
	#byId: ReadonlyMap<string, TimelineRow> = new Map();
	/** Ids of the rows among `items`, and where each stands there. */
	#ids: readonly string[] = [];
	#places: ReadonlyMap<string, { readonly row: number; readonly item: number }> = new Map();

	/** Newest first; of equal times, current states first. */
	setRows(machines: readonly TimelineMachine[], rows: readonly TimelineRow[]): void {
		this.machines = machines;
		this.rows = [...rows].sort((a, b) =>
			a.time < b.time ? 1 : a.time > b.time ? -1 : Number(b.state === 'current') - Number(a.state === 'current'),
		);
		const known = (this.#byId = new Map(rows.map(row => [row.id, row])));
		for (const id of this.selected) if (!known.has(id)) this.selected.delete(id);
		if (this.base !== null && !known.has(this.base)) this.base = null;
		if (this.active !== null && !known.has(this.active)) this.active = null;
		const names = new Map(machines.map(({ id, name }) => [id, name]));
		this.#days = new Map(this.rows.map(row => [row, localDay(row.time)]));
		this.#texts = this.rows.map(row =>
			[row.label, names.get(row.source), ...row.facts, row.note, this.#days.get(row)].join('\n').toLowerCase(),
		);
		if (!machines.some(({ id }) => id === this.machine)) this.machine = '';
		this.#layOut([]);
		this.refresh();
	}

	/** Works out `items` anew, after rows, filter or machine changed. */
	refresh(): void {
		const words = this.filter.toLowerCase().split(/\s+/).filter(Boolean);
		const shown: TimelineRow[] = [];
		const matching = new Set<TimelineRow>();
		for (const [index, row] of this.rows.entries()) {
			const text = this.#texts[index]!; // OK: one a row.
			const ofMachine = this.machine === '' || row.source === this.machine;
			const isMatch = ofMachine && words.every(word => text.includes(word));
			if (isMatch) matching.add(row);
			// Another machine's rows hide whatever the toggle says: they were not asked for.
			if (isMatch || (!this.hideOthers && ofMachine)) shown.push(row);
		}
		this.matchCount = matching.size;
		if (shown.length !== this.shape.length || shown.some((row, index) => row !== this.shape[index]))
			this.#layOut(shown);
		// What is drawn as before stays the same item, and is not drawn anew.
		this.items = this.items.map(item =>
			item.kind === 'day' || item.matches === matching.has(item.row) ? item : { ...item, matches: !item.matches },
		);
	}

	#layOut(shown: readonly TimelineRow[]): void {
		const group = new Map(this.machines.map(({ id }, index) => [id, index]));
		const visible = new Set(shown.map(row => row.id));
		const lanes = layoutLanes(
			shown.map(row => ({
				id: row.id,
				parent: visibleAncestor(row, visible, this.#byId),
				group: group.get(row.source) ?? 0,
			})),
		);
		const items: Item[] = [];
		const places = new Map<string, { row: number; item: number }>();
		let lastDay = '';
		for (const [index, row] of shown.entries()) {
			const own = lanes[index]!; // OK: one a row.
			const day = this.#days.get(row) ?? '';
			if (day !== lastDay) items.push({ kind: 'day', day, time: row.time, lines: linesAbove(own) });
			lastDay = day;
			places.set(row.id, { row: index, item: items.length });
			items.push({ kind: 'row', row, lanes: own, matches: true });
		}
		this.items = items;
		this.shape = shown;
		this.#ids = shown.map(row => row.id);
		this.#places = places;
	}

	/** `single` replaces, `toggle` adds or takes away, `range` takes all from the last single one. */
	select(id: string, how: 'single' | 'toggle' | 'range'): void {
		this.active = id;
		if (how === 'range' && this.#anchor !== null) {
			const [a, b] = [this.#places.get(this.#anchor)?.row, this.#places.get(id)?.row];
			this.selected.clear();
			this.selected.add(id);
			if (a === undefined || b === undefined) return;
			for (const each of this.#ids.slice(Math.min(a, b), Math.max(a, b) + 1)) this.selected.add(each);
			return;
		}
		if (how === 'toggle' && this.selected.has(id)) this.selected.delete(id);
		else {
			if (how === 'single') this.selected.clear();
			this.selected.add(id);
		}
		this.#anchor = id;
	}

	/** What *Compare* takes: the base, else the oldest selected row, against the other selected ones. */
	comparison(): { base: string; targets: string[] } | undefined {
		if (this.selected.size === 0) return undefined;
		const chosen = this.rows.filter(row => this.selected.has(row.id)).map(row => row.id);
		const base = this.base ?? (chosen.length > 1 ? chosen[chosen.length - 1]! : null); // OK: more than one.
		const targets = chosen.filter(id => id !== base);
		return base === null || targets.length === 0 ? undefined : { base, targets };
	}

	/** The row so many rows from the active one, skipping days; the first or last where there is none. */
	neighbour(step: number): string | null {
		const ids = this.#ids;
		if (ids.length === 0) return null;
		const at = this.active === null ? undefined : this.#places.get(this.active)?.row;
		const next = at === undefined ? (step > 0 ? 0 : ids.length - 1) : Math.max(0, Math.min(ids.length - 1, at + step));
		return ids[next]!; // OK: in range.
	}

	row(id: string | null): TimelineRow | undefined {
		return id === null ? undefined : this.#byId.get(id);
	}

	/** Where a row stands among `items`; `undefined` when the filter hides it. */
	placeOf(id: string | null): number | undefined {
		return id === null ? undefined : this.#places.get(id)?.item;
	}
}

/** The lines that come into a row from above. */
function linesAbove(row: LaneRow): LaneLine[] {
	return [...row.through, ...row.joins, ...(row.hasChild ? [{ lane: row.lane, group: row.group }] : [])];
}

function visibleAncestor(
	row: TimelineRow,
	visible: ReadonlySet<string>,
	byId: ReadonlyMap<string, TimelineRow>,
): string | null {
	const seen = new Set<string>();
	let parent = row.parent;
	while (parent !== null && !visible.has(parent)) {
		if (seen.has(parent)) return null; // Records that name each other: no line.
		seen.add(parent);
		parent = byId.get(parent)?.parent ?? null;
	}
	return parent;
}

/** The day in the person's own time zone. */
export function localDay(iso: string): string {
	const date = new Date(iso);
	if (Number.isNaN(date.getTime())) return '';
	return `${date.getFullYear()}-${String(date.getMonth() + 1).padStart(2, '0')}-${String(date.getDate()).padStart(2, '0')}`;
}
