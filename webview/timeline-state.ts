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
	#anchor: string | null = null;

	/** Newest first; of equal times, current states first. */
	setRows(machines: readonly TimelineMachine[], rows: readonly TimelineRow[]): void {
		this.machines = machines;
		this.rows = [...rows].sort((a, b) =>
			a.time < b.time ? 1 : a.time > b.time ? -1 : Number(b.state === 'current') - Number(a.state === 'current'),
		);
		const known = new Set(rows.map(row => row.id));
		for (const id of this.selected) if (!known.has(id)) this.selected.delete(id);
		if (this.base !== null && !known.has(this.base)) this.base = null;
		if (this.active !== null && !known.has(this.active)) this.active = null;
		if (!machines.some(({ id }) => id === this.machine)) this.machine = '';
		this.refresh();
	}

	/** Works out `items` anew, after rows, filter or machine changed. */
	refresh(): void {
		const words = this.filter.toLowerCase().split(/\s+/).filter(Boolean);
		const names = new Map(this.machines.map(({ id, name }) => [id, name.toLowerCase()]));
		const group = new Map(this.machines.map(({ id }, index) => [id, index]));
		const matches = (row: TimelineRow) => {
			if (this.machine !== '' && row.source !== this.machine) return false;
			const text =
				`${row.label}\n${names.get(row.source) ?? ''}\n${row.facts.join('\n')}\n${row.note}\n${row.time.slice(0, 10)}`.toLowerCase();
			return words.every(word => text.includes(word));
		};
		const shown: { row: TimelineRow; isMatch: boolean }[] = [];
		this.matchCount = 0;
		for (const row of this.rows) {
			const isMatch = matches(row);
			if (isMatch) this.matchCount++;
			// Another machine's rows hide whatever the toggle says: they were not asked for.
			const otherMachine = this.machine !== '' && row.source !== this.machine;
			if (isMatch || (!this.hideOthers && !otherMachine)) shown.push({ row, isMatch });
		}
		const visible = new Set(shown.map(({ row }) => row.id));
		const byId = new Map(this.rows.map(row => [row.id, row]));
		const lanes = layoutLanes(
			shown.map(({ row }) => ({
				id: row.id,
				parent: visibleAncestor(row, visible, byId),
				group: group.get(row.source) ?? 0,
			})),
		);
		const items: Item[] = [];
		let day = '';
		for (const [index, { row, isMatch }] of shown.entries()) {
			const rowDay = localDay(row.time);
			const own = lanes[index]!; // OK: one a row.
			if (rowDay !== day) items.push({ kind: 'day', day: (day = rowDay), time: row.time, lines: linesAbove(own) });
			items.push({ kind: 'row', row, lanes: own, matches: isMatch });
		}
		this.items = items;
	}

	/** `single` replaces, `toggle` adds or takes away, `range` takes all from the last single one. */
	select(id: string, how: 'single' | 'toggle' | 'range'): void {
		this.active = id;
		if (how === 'range' && this.#anchor !== null) {
			const ids = this.items.flatMap(item => (item.kind === 'row' ? [item.row.id] : []));
			const [from, to] = [ids.indexOf(this.#anchor), ids.indexOf(id)].sort((a, b) => a - b) as [number, number];
			this.selected.clear();
			for (const each of ids.slice(Math.max(0, from), to + 1)) this.selected.add(each);
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
		const chosen = this.rows.filter(row => this.selected.has(row.id)).map(row => row.id);
		const base = this.base ?? (chosen.length > 1 ? chosen[chosen.length - 1]! : null); // OK: more than one.
		const targets = chosen.filter(id => id !== base);
		return base === null || targets.length === 0 ? undefined : { base, targets };
	}

	/** The row so many rows from the active one, skipping days; the first or last where there is none. */
	neighbour(step: number): string | null {
		const ids = this.items.flatMap(item => (item.kind === 'row' ? [item.row.id] : []));
		if (ids.length === 0) return null;
		const at = this.active === null ? -1 : ids.indexOf(this.active);
		const next = at < 0 ? (step > 0 ? 0 : ids.length - 1) : Math.max(0, Math.min(ids.length - 1, at + step));
		return ids[next]!; // OK: in range.
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
