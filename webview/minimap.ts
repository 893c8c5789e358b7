/** Activity over time, when there are more snapshots than a person scrolls through: a click goes there. */
import type { TimelineState } from './timeline-state.js';

/** Fewer rows need no map. */
const LEAST_ROWS = 300;
const HEIGHT = 28;
const BAR = 3;

export class Minimap {
	readonly element = document.createElement('div');
	readonly #canvas = document.createElement('canvas');
	/** Marks what the grid shows. */
	readonly #window = document.createElement('div');
	#from = 0;
	#to = 0;
	/** Milliseconds, newest first, and the row of each. */
	#times: readonly { readonly time: number; readonly id: string }[] = [];
	#drawn: unknown;

	constructor(
		private readonly state: TimelineState,
		/** Gets the id of the row nearest to where the person clicked. */
		private readonly goTo: (id: string) => void,
	) {
		this.element.className = 'minimap';
		this.element.setAttribute('role', 'img');
		this.#window.className = 'window';
		this.element.append(this.#canvas, this.#window);
		this.element.addEventListener('click', event => this.#onClick(event));
		new ResizeObserver(() => this.#draw()).observe(this.element);
		// The theme's name is in the class: with another theme the bars have another colour.
		new MutationObserver(() => this.#draw()).observe(document.body, { attributeFilter: ['class'] });
	}

	setLabel(text: string): void {
		this.element.setAttribute('aria-label', text);
		this.element.title = text;
	}

	/** After the items changed. */
	refresh(): void {
		if (this.#drawn === this.state.shape) return;
		this.#drawn = this.state.shape;
		this.#times = this.state.items.flatMap(item => {
			if (item.kind !== 'row') return [];
			const time = Date.parse(item.row.time);
			return Number.isFinite(time) ? [{ time, id: item.row.id }] : [];
		});
		this.element.hidden = this.#times.length < LEAST_ROWS;
		if (this.element.hidden) return;
		this.#from = this.#times.at(-1)!.time; // OK: there are rows, sorted by time.
		this.#to = Math.max(this.#times[0]!.time, this.#from + 1); // OK: as above.
		this.#draw();
	}

	/** Shows which part of the time is in sight. */
	mark(newest: string, oldest: string): void {
		if (this.element.hidden) return;
		const at = (time: string) =>
			Math.max(0, Math.min(1, (Date.parse(time) - this.#from) / (this.#to - this.#from))) * this.element.clientWidth;
		const [left, right] = [at(oldest), at(newest)];
		this.#window.style.left = `${left}px`;
		this.#window.style.width = `${Math.max(2, right - left)}px`;
	}

	#draw(): void {
		const width = Math.floor(this.element.clientWidth);
		if (this.element.hidden || width === 0) return;
		// As many dots as the screen has, or the bars are blurred at 200 %.
		const scale = window.devicePixelRatio;
		this.#canvas.width = Math.round(width * scale);
		this.#canvas.height = Math.round(HEIGHT * scale);
		const counts = new Array<number>(Math.ceil(width / BAR)).fill(0);
		for (const { time } of this.#times) {
			const place = Math.floor(((time - this.#from) / (this.#to - this.#from)) * counts.length);
			counts[Math.min(counts.length - 1, place)]!++; // OK: from 0 to the last.
		}
		const most = Math.max(1, ...counts);
		const context = this.#canvas.getContext('2d');
		if (!context) return;
		context.scale(scale, scale);
		context.fillStyle = getComputedStyle(this.#canvas).color;
		for (const [i, count] of counts.entries()) {
			const height = count === 0 ? 0 : Math.max(2, Math.round(Math.sqrt(count / most) * (HEIGHT - 4)));
			context.fillRect(i * BAR, HEIGHT - height, BAR - 1, height);
		}
	}

	#onClick(event: MouseEvent): void {
		const at = event.clientX - this.element.getBoundingClientRect().left;
		const wanted = this.#from + (at / this.element.clientWidth) * (this.#to - this.#from);
		let nearest: { id: string; distance: number } | undefined;
		for (const { time, id } of this.#times) {
			const distance = Math.abs(time - wanted);
			if (nearest === undefined || distance < nearest.distance) nearest = { id, distance };
		}
		if (nearest) this.goTo(nearest.id);
	}
}
