/**
 * The rows on the screen: only those in sight exist, so that 10,000 snapshots cost what fifty cost. A tree grid for
 * assistive technology, with one tab stop and an active row.
 */
import type { TimelineRowContext, TimelineStrings } from '../src/shared/timeline-protocol.js';
import { ROW_HEIGHT, drawGraph, drawLines, graphWidth } from './graph.js';
import type { Item, TimelineState } from './timeline-state.js';

/** Rows above and below what is in sight, so that a quick scroll shows no gap. */
const OVERSCAN = 12;

export interface GridEvents {
	select(id: string, how: 'single' | 'toggle' | 'range'): void;
	open(id: string): void;
	key(event: KeyboardEvent): void;
	scrolled(): void;
}

export class Grid {
	readonly element = document.createElement('div');
	readonly #content = document.createElement('div');
	readonly #rows = new Map<number, HTMLElement>();
	#strings: TimelineStrings | undefined;
	#frame = 0;

	constructor(
		private readonly state: TimelineState,
		private readonly events: GridEvents,
	) {
		this.element.className = 'grid';
		this.element.tabIndex = 0;
		this.element.setAttribute('role', 'treegrid');
		this.element.setAttribute('aria-multiselectable', 'true');
		this.#content.className = 'content';
		this.#content.setAttribute('role', 'rowgroup');
		this.element.append(this.#content);
		this.element.addEventListener('scroll', () => {
			this.#schedule();
			events.scrolled();
		});
		this.element.addEventListener('keydown', event => events.key(event));
		this.element.addEventListener('focus', () => {
			if (this.state.active !== null) return;
			this.state.active = this.state.neighbour(1);
			this.refresh();
		});
		this.#content.addEventListener('click', event => this.#onClick(event));
		this.#content.addEventListener('dblclick', event => {
			const id = rowOf(event);
			if (id !== undefined) events.open(id);
		});
		this.#content.addEventListener('contextmenu', event => {
			const id = rowOf(event);
			if (id !== undefined && !this.state.selected.has(id)) events.select(id, 'single');
		});
		new ResizeObserver(() => this.#schedule()).observe(this.element);
	}

	setStrings(strings: TimelineStrings): void {
		this.#strings = strings;
		this.element.setAttribute('aria-label', strings.snapshots);
	}

	/** Draws anew what is in sight: after rows, selection or marks changed. */
	refresh(): void {
		for (const row of this.#rows.values()) row.remove();
		this.#rows.clear();
		const { items, active } = this.state;
		this.#content.style.height = `${items.length * ROW_HEIGHT}px`;
		this.element.setAttribute('aria-rowcount', String(items.length));
		// The menu key opens the menu of the grid itself: it is that of the active row.
		if (active === null) delete this.element.dataset['vscodeContext'];
		else this.element.dataset['vscodeContext'] = contextOf(active);
		this.#draw();
	}

	/** Scrolls as little as it takes to show a row. */
	reveal(id: string): void {
		const index = this.state.items.findIndex(item => item.kind === 'row' && item.row.id === id);
		if (index < 0) return;
		const top = index * ROW_HEIGHT;
		const { scrollTop, clientHeight } = this.element;
		if (top < scrollTop) this.element.scrollTop = top;
		else if (scrollTop + clientHeight < top + ROW_HEIGHT) this.element.scrollTop = top + ROW_HEIGHT - clientHeight;
		this.#draw();
	}

	get visibleRows(): number {
		return Math.max(1, Math.floor(this.element.clientHeight / ROW_HEIGHT));
	}

	#schedule(): void {
		if (this.#frame !== 0) return;
		this.#frame = requestAnimationFrame(() => {
			this.#frame = 0;
			this.#draw();
		});
	}

	#draw(): void {
		const { items } = this.state;
		const first = Math.max(0, Math.floor(this.element.scrollTop / ROW_HEIGHT) - OVERSCAN);
		const last = Math.min(items.length, first + this.visibleRows + OVERSCAN * 2 + 1);
		for (const [index, row] of this.#rows) {
			if (index < first || last <= index) {
				row.remove();
				this.#rows.delete(index);
			}
		}
		let lanes = 1;
		for (let index = first; index < last; index++) {
			const item = items[index]!; // OK: last is not above the length.
			if (item.kind === 'row')
				lanes = Math.max(lanes, item.lanes.lane + 1, ...item.lanes.through.map(each => each.lane + 1));
		}
		const width = graphWidth(lanes);
		if (this.element.dataset['lanes'] !== String(lanes)) {
			this.element.dataset['lanes'] = String(lanes);
			this.element.style.setProperty('--graph-width', `${width}px`);
			for (const row of this.#rows.values()) row.remove();
			this.#rows.clear();
		}
		for (let index = first; index < last; index++) {
			if (this.#rows.has(index)) continue;
			const row = this.#build(items[index]!, index, width);
			row.style.top = `${index * ROW_HEIGHT}px`;
			this.#rows.set(index, row);
			this.#content.append(row);
		}
		const activeRow = [...this.#rows.values()].find(row => row.dataset['row'] === this.state.active);
		if (activeRow) this.element.setAttribute('aria-activedescendant', activeRow.id);
		else this.element.removeAttribute('aria-activedescendant');
	}

	#build(item: Item, index: number, width: number): HTMLElement {
		const element = document.createElement('div');
		element.id = `row${index}`;
		element.setAttribute('role', 'row');
		element.setAttribute('aria-rowindex', String(index + 1));
		element.setAttribute('aria-level', '1');
		if (item.kind === 'day') {
			element.className = 'row day';
			const graph = cell('graph', '');
			graph.append(drawLines(item.lines, width));
			element.append(cell('time', ''), graph, cell('label', this.#dayName(item.day, item.time)));
			return element;
		}
		const { row, lanes, matches } = item;
		const isBase = this.state.base === row.id;
		const isTarget = this.state.targets.includes(row.id);
		const selected = this.state.selected.has(row.id);
		element.className = [
			'row',
			selected && 'selected',
			row.id === this.state.active && 'active',
			!matches && 'faded',
			row.safety && 'safety',
		]
			.filter(Boolean)
			.join(' ');
		element.dataset['row'] = row.id;
		element.dataset['vscodeContext'] = contextOf(row.id, row.tokens);
		element.setAttribute('aria-selected', String(selected));
		element.setAttribute(
			'aria-label',
			[row.spoken, isBase && this.#strings?.base, isTarget && this.#strings?.target].filter(Boolean).join(', '),
		);
		element.title = [row.label, new Date(row.time).toLocaleString(), row.inferred && this.#strings?.guessed, row.note]
			.filter(Boolean)
			.join('\n');
		const graph = cell('graph', '');
		graph.append(drawGraph(row, lanes, width, { isBase, isTarget }));
		const machine = this.state.machines.find(({ id }) => id === row.source)?.name ?? '';
		element.append(
			cell('time', clock(row.time)),
			graph,
			cell('label', row.label),
			cell('machine', machine),
			cell('facts', row.facts.join(' · ')),
		);
		return element;
	}

	#dayName(day: string, time: string): string {
		const now = new Date();
		const local = (date: Date) =>
			`${date.getFullYear()}-${String(date.getMonth() + 1).padStart(2, '0')}-${String(date.getDate()).padStart(2, '0')}`;
		if (day === local(now)) return this.#strings?.today ?? day;
		if (day === local(new Date(now.getTime() - 86_400_000))) return this.#strings?.yesterday ?? day;
		const date = new Date(time);
		return date.toLocaleDateString(undefined, {
			day: 'numeric',
			month: 'short',
			...(date.getFullYear() === now.getFullYear() ? {} : { year: 'numeric' }),
		});
	}

	#onClick(event: MouseEvent): void {
		const id = rowOf(event);
		if (id === undefined) return;
		this.element.focus();
		this.events.select(id, event.shiftKey ? 'range' : event.ctrlKey || event.metaKey ? 'toggle' : 'single');
	}
}

function rowOf(event: Event): string | undefined {
	return event.target instanceof Element
		? (event.target.closest<HTMLElement>('[data-row]')?.dataset['row'] ?? undefined)
		: undefined;
}

function contextOf(id: string, tokens = ''): string {
	const context: TimelineRowContext & { strataItem: string } = {
		webviewSection: 'row',
		strataRow: id,
		strataItem: tokens,
		preventDefaultContextMenuItems: true,
	};
	return JSON.stringify(context);
}

function cell(className: string, text: string): HTMLElement {
	const element = document.createElement('div');
	element.className = className;
	element.setAttribute('role', 'gridcell');
	// Text, never HTML: labels come from images.
	element.textContent = text;
	return element;
}

function clock(iso: string): string {
	return new Date(iso).toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit' });
}
