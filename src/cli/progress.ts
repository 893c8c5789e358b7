/** A progress line on a terminal: what, how much, of how much. Nothing where there is no terminal. */
import type { ProgressRecord } from '../shared/engine-api.js';
import { formatSize, safe } from './style.js';
import type { Streams } from './context.js';

const INTERVAL_MS = 100;
const BAR = 24;

export class ProgressLine {
	#last = 0;
	#shown = false;
	readonly #started = Date.now();

	constructor(
		private readonly stream: Streams['stderr'],
		private readonly title: string,
	) {}

	update(progress: ProgressRecord): void {
		const now = Date.now();
		// Work that ends within a moment shows nothing: a flash is worse than none.
		if (this.stream.isTTY !== true || now - this.#started < 300 || now - this.#last < INTERVAL_MS) return;
		this.#last = now;
		this.#shown = true;
		const width = (this.stream.columns ?? 80) - 1;
		this.stream.write(`\r\u001b[K${describe(this.title, progress).slice(0, width)}`);
	}

	done(): void {
		if (this.#shown) this.stream.write('\r\u001b[K');
		this.#shown = false;
	}
}

function describe(title: string, { step, done, total, unit }: ProgressRecord): string {
	const amount = (value: number) => (unit === 'bytes' ? formatSize(value) : `${value.toLocaleString('en')}`);
	const figure = total === undefined ? amount(done) : `${amount(done)} of ${amount(total)}`;
	const filled = total ? Math.min(BAR, Math.round((done / total) * BAR)) : 0;
	const bar = total ? `[${'█'.repeat(filled)}${'·'.repeat(BAR - filled)}] ` : '';
	return `${bar}${safe(step || title)} ${figure}${unit === 'bytes' ? '' : ` ${unit}`}`;
}
