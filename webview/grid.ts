/**
 * The rows on the screen: only those in sight exist, so that 10,000 snapshots cost what fifty cost. A tree grid for
 * assistive technology, with one tab stop and an active row.
 */
import type { TimelineRow, TimelineRowContext, TimelineStrings } from '../src/shared/timeline-protocol.js';
import { ROW_HEIGHT, drawGraph, drawLines, graphSize, type GraphSize } from './graph.js';
import { MAX_LANES } from './lanes.js';
import type { Item, TimelineState } from './timeline-state.js';

/** Rows above and below what is in sight, so that a quick scroll shows no gap. */
const OVERSCAN = 12;
/** However large the screen, no more rows exist. */
const MAX_ROWS = 110;
const LANE_STEPS = [2, 4, 8, 16, MAX_LANES];

export interface GridEvents {
	select(id: string, how: 'single' | 'toggle' | 'range'): void;
	open(id: string): void;
	rollBack(id: string): void;
	key(event: KeyboardEvent): void;
	/** The newest and the oldest row in sight. */
	scrolled(newest: string, oldest: string): void;
}

interface Drawn {
	readonly element: HTMLElement;
	readonly item: Item;
	/** What it looks like besides: an item that is drawn with other marks is drawn anew. */
	readonly look: string;
}

export class Grid {
	readonly element = document.createElement('div');
	readonly #content = document.createElement('div');
	readonly #drawn = new Map<number, Drawn>();
	#strings: TimelineStrings | undefined;
	#size: GraphSize = graphSize(1, 0);
	#lanes = 1;
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
		this.element.addEventListener('scroll', () => this.#schedule());
		this.element.addEventListener('keydown', event => events.key(event));
		this.element.addEventListener('focus', () => {
			if (this.state.active !== null) return;
			this.state.active = this.state.neighbour(1);
			this.refresh();
		});
		this.#content.addEventListener('click', event => this.#onClick(event));
		this.#content.addEventListener('dblclick', event => {
			const id = rowOf(event);
			if (id !== undefined && actionOf(event) === undefined) events.open(id);
		});
		this.element.addEventListener('contextmenu', event => this.#onContextMenu(event));
		new ResizeObserver(() => this.#schedule()).observe(this.element);
	}

	setStrings(strings: TimelineStrings): void {
		this.#strings = strings;
		this.element.setAttribute('aria-label', strings.snapshots);
	}

	/** Draws what is in sight, after rows, selection or marks changed. */
	refresh(): void {
		const { items } = this.state;
		this.#content.style.height = `${items.length * ROW_HEIGHT}px`;
		this.element.setAttribute('aria-rowcount', String(items.length));
		this.#draw();
	}

	/** Scrolls as little as it takes to show a row. */
	reveal(id: string): void {
		const index = this.state.placeOf(id);
		if (index === undefined) return;
		const top = index * ROW_HEIGHT;
		const { scrollTop, clientHeight } = this.element;
		// The day's heading belongs to its first row.
		const above = this.state.items[index - 1]?.kind === 'day' ? ROW_HEIGHT : 0;
		if (top - above < scrollTop) this.element.scrollTop = top - above;
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
		const { scrollTop, clientWidth } = this.element;
		const top = Math.floor(scrollTop / ROW_HEIGHT);
		const first = Math.max(0, top - OVERSCAN);
		const last = Math.min(items.length, first + Math.min(MAX_ROWS, this.visibleRows + OVERSCAN * 2 + 1));
		const size = graphSize(this.#lanesFor(items.slice(first, last)), clientWidth);
		if (size.width !== this.#size.width || size.laneWidth !== this.#size.laneWidth) {
			this.#size = size;
			this.element.style.setProperty('--graph-width', `${size.width}px`);
			this.#forget(() => true);
		}
		this.#forget(index => index < first || last <= index);
		for (let index = first; index < last; index++) {
			const item = items[index]!; // OK: last is not above the length.
			const look = item.kind === 'day' ? '' : this.#lookOf(item.row.id);
			const before = this.#drawn.get(index);
			if (before?.item === item && before.look === look) continue;
			const element = this.#build(item, index);
			element.style.top = `${index * ROW_HEIGHT}px`;
			if (before) before.element.replaceWith(element);
			else this.#content.append(element);
			this.#drawn.set(index, { element, item, look });
		}
		const active = this.#drawn.get(this.state.placeOf(this.state.active) ?? -1);
		if (active) this.element.setAttribute('aria-activedescendant', active.element.id);
		else this.element.removeAttribute('aria-activedescendant');
		const [newest, oldest] = [items[top], items[Math.min(items.length, top + this.visibleRows) - 1]];
		if (newest && oldest) this.events.scrolled(timeOf(newest), timeOf(oldest));
	}

	/** The graph grows by steps, and shrinks late: names do not jump with every branch that one scrolls past. */
	#lanesFor(items: readonly Item[]): number {
		let needed = 1;
		for (const item of items) {
			if (item.kind === 'row')
				needed = Math.max(needed, item.lanes.lane + 1, (item.lanes.through.at(-1)?.lane ?? 0) + 1);
		}
		if (this.#lanes < needed || needed * 2 <= this.#lanes) {
			this.#lanes = LANE_STEPS.find(step => needed <= step) ?? MAX_LANES;
		}
		return this.#lanes;
	}

	#forget(which: (index: number) => boolean): void {
		for (const [index, { element }] of this.#drawn) {
			if (!which(index)) continue;
			element.remove();
			this.#drawn.delete(index);
		}
	}

	#lookOf(id: string): string {
		const { base, targets, selected, active } = this.state;
		return [base === id, targets.includes(id), selected.has(id), active === id].map(Number).join('');
	}

	/** The menu key opens the menu of the active row, at that row: the event comes from the grid, which has the focus. */
	#onContextMenu(event: MouseEvent): void {
		const id = rowOf(event);
		if (id !== undefined) {
			if (!this.state.selected.has(id)) this.events.select(id, 'single');
			return;
		}
		event.preventDefault();
		event.stopPropagation();
		const row = this.#drawn.get(this.state.placeOf(this.state.active) ?? -1)?.element;
		if (!row || event.button === 2) return;
		const label = row.querySelector('.label')!.getBoundingClientRect(); // OK: each row has one.
		const { left, bottom } = label;
		row.dispatchEvent(
			new MouseEvent('contextmenu', {
				bubbles: true,
				cancelable: true,
				composed: true,
				clientX: left,
				clientY: bottom,
			}),
		);
	}

	#build(item: Item, index: number): HTMLElement {
		const element = document.createElement('div');
		element.id = `row${index}`;
		element.setAttribute('role', 'row');
		element.setAttribute('aria-rowindex', String(index + 1));
		element.setAttribute('aria-level', '1');
		if (item.kind === 'day') {
			element.className = 'row day';
			const graph = cell('graph', '');
			graph.append(drawLines(item.lines, this.#size));
			const name = this.#dayName(item.day, item.time);
			element.setAttribute('aria-label', name);
			element.append(cell('time', ''), graph, cell('label', name));
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
		element.title = [
			row.label,
			new Date(row.time).toLocaleString(),
			row.facts.join(' · '),
			row.inferred && this.#strings?.guessed,
			row.note,
		]
			.filter(Boolean)
			.join('\n');
		const graph = cell('graph', '');
		graph.append(drawGraph(row, lanes, this.#size, { isBase, isTarget }));
		const machine = this.state.machines.find(({ id }) => id === row.source)?.name ?? '';
		element.append(
			cell('time', clock(row.time)),
			graph,
			cell('label', row.label),
			cell('machine', machine),
			cell('facts', row.facts.join(' · ')),
			this.#actions(row),
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

	/** Seen when the mouse is on the row, and on the active one. The keyboard has Enter and the menu. */
	#actions(row: TimelineRow): HTMLElement {
		const box = document.createElement('div');
		box.className = 'actions';
		box.setAttribute('aria-hidden', 'true');
		const add = (action: string, icon: string, title: string) => {
			const element = document.createElement('span');
			element.className = `action codicon codicon-${icon}`;
			element.dataset['action'] = action;
			element.title = title;
			box.append(element);
		};
		add('openFiles', 'files', this.#strings?.openFiles ?? '');
		if (row.state !== 'current') add('rollBack', 'discard', this.#strings?.rollBack ?? '');
		return box;
	}

	#onClick(event: MouseEvent): void {
		const id = rowOf(event);
		if (id === undefined) return;
		this.element.focus();
		const action = actionOf(event);
		if (action === 'openFiles') this.events.open(id);
		else if (action === 'rollBack') this.events.rollBack(id);
		else this.events.select(id, event.shiftKey ? 'range' : event.ctrlKey || event.metaKey ? 'toggle' : 'single');
	}
}

function actionOf(event: Event): string | undefined {
	return event.target instanceof HTMLElement ? event.target.dataset['action'] : undefined;
}

function timeOf(item: Item): string {
	return item.kind === 'day' ? item.time : item.row.time;
}

function rowOf(event: Event): string | undefined {
	return event.target instanceof Element
		? (event.target.closest<HTMLElement>('[data-row]')?.dataset['row'] ?? undefined)
		: undefined;
}

function contextOf(id: string, tokens: string): string {
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
	return new Date(iso).toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
}
