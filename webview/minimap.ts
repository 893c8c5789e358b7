/** Activity over time, when there are more snapshots than a person scrolls through: a click goes there. */
import type { TimelineState } from './timeline-state.js';

/** Fewer rows need no map. */
const LEAST_ROWS = 300;
const HEIGHT = 28;
const BAR = 3;

export class Minimap {
	readonly element = document.createElement('canvas');
	#from = 0;
	#to = 0;

	constructor(
		private readonly state: TimelineState,
		/** Gets the id of the row nearest to where the person clicked. */
		private readonly goTo: (id: string) => void,
	) {
		this.element.className = 'minimap';
		this.element.height = HEIGHT;
		this.element.setAttribute('role', 'img');
		this.element.addEventListener('click', event => this.#onClick(event));
		new ResizeObserver(() => this.refresh()).observe(this.element);
	}

	setLabel(text: string): void {
		this.element.setAttribute('aria-label', text);
	}

	refresh(): void {
		const rows = this.#rows();
		this.element.hidden = rows.length < LEAST_ROWS;
		if (this.element.hidden) return;
		const times = rows.map(row => Date.parse(row.time)).filter(Number.isFinite);
		this.#from = Math.min(...[times[times.length - 1]!, times[0]!]); // OK: there are rows, sorted by time.
		this.#to = Math.max(times[0]!, this.#from + 1);
		const width = Math.max(1, Math.floor(this.element.clientWidth));
		this.element.width = width;
		const counts = new Array<number>(Math.ceil(width / BAR)).fill(0);
		for (const time of times) {
			const at = Math.min(
				counts.length - 1,
				Math.floor(((time - this.#from) / (this.#to - this.#from)) * counts.length),
			);
			counts[at]!++; // OK: at is inside.
		}
		const most = Math.max(1, ...counts);
		const context = this.element.getContext('2d');
		if (!context) return;
		context.fillStyle = getComputedStyle(this.element).color;
		for (const [i, count] of counts.entries()) {
			const height = count === 0 ? 0 : Math.max(2, Math.round((Math.log1p(count) / Math.log1p(most)) * (HEIGHT - 4)));
			context.fillRect(i * BAR, HEIGHT - height, BAR - 1, height);
		}
	}

	#rows() {
		return this.state.items.flatMap(item => (item.kind === 'row' ? [item.row] : []));
	}

	#onClick(event: MouseEvent): void {
		const time = this.#from + (event.offsetX / this.element.clientWidth) * (this.#to - this.#from);
		let nearest: { id: string; distance: number } | undefined;
		for (const row of this.#rows()) {
			const distance = Math.abs(Date.parse(row.time) - time);
			if (nearest === undefined || distance < nearest.distance) nearest = { id: row.id, distance };
		}
		if (nearest) this.goTo(nearest.id);
	}
}
