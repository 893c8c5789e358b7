/** How the command line writes: colour by meaning, aligned columns, sizes, times. */

export interface Style {
	readonly colour: boolean;
	readonly added: (text: string) => string;
	readonly removed: (text: string) => string;
	readonly changed: (text: string) => string;
	readonly muted: (text: string) => string;
	readonly strong: (text: string) => string;
	readonly warning: (text: string) => string;
}

/** Colour when the stream is a terminal and `NO_COLOR` is unset or empty (no-color.org). */
export function styleFor(stream: { readonly isTTY?: boolean }, environment: NodeJS.ProcessEnv): Style {
	const colour = stream.isTTY === true && !environment['NO_COLOR'] && environment['TERM'] !== 'dumb';
	const paint = (code: number) => (text: string) => (colour ? `\u001b[${code}m${text}\u001b[0m` : text);
	return {
		colour,
		added: paint(32),
		removed: paint(31),
		changed: paint(33),
		muted: paint(2),
		strong: paint(1),
		warning: paint(33),
	};
}

/** Binary units with one decimal: `12.0 MB`. */
export function formatSize(bytes: number): string {
	const units = ['B', 'KB', 'MB', 'GB', 'TB', 'PB'];
	let value = bytes;
	let unit = 0;
	while (value >= 1024 && unit < units.length - 1) {
		value /= 1024;
		unit++;
	}
	return unit === 0 ? `${bytes} B` : `${value.toFixed(1)} ${units[unit]}`;
}

/** `4 min ago`, `2 days ago`, as seen from `now` (milliseconds). */
export function formatAge(iso: string, now: number): string {
	const seconds = Math.round((now - Date.parse(iso)) / 1000);
	if (Number.isNaN(seconds)) return '';
	if (seconds < 0) return 'in the future';
	for (const [unit, size] of [
		['year', 31_557_600],
		['month', 2_629_800],
		['day', 86_400],
		['h', 3600],
		['min', 60],
	] as const) {
		const count = Math.floor(seconds / size);
		if (count >= 1) return `${count} ${unit}${unit.length > 3 && count > 1 ? 's' : ''} ago`;
	}
	return 'just now';
}

/** Columns padded to the widest cell. Cells that start with a digit or a minus in every row stand to the right. */
export function table(rows: readonly (readonly string[])[], style: Style, header?: readonly string[]): string[] {
	const all = header ? [header, ...rows] : rows;
	const columns = Math.max(0, ...all.map(row => row.length));
	const widths = Array.from({ length: columns }, (_, i) => Math.max(...all.map(row => displayWidth(row[i] ?? ''))));
	const right = widths.map((_, i) => rows.length > 0 && rows.every(row => /^(?:[-\d]|$)/.test(row[i] ?? '')));
	const format = (row: readonly string[]) =>
		widths
			.map((width, i) => {
				const cell = row[i] ?? '';
				const pad = ' '.repeat(width - displayWidth(cell));
				return right[i] ? pad + cell : i === columns - 1 ? cell : cell + pad;
			})
			.join('  ')
			.trimEnd();
	return all.map((row, i) => (header && i === 0 ? style.muted(format(row)) : format(row)));
}

/** Cells that a terminal uses: two for East Asian wide characters and most emoji, none for combining marks. */
function displayWidth(text: string): number {
	let width = 0;
	for (const character of text) {
		if (/\p{Mn}/u.test(character)) continue;
		width +=
			/[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Extended_Pictographic}/u.test(
				character,
			)
				? 2
				: 1;
	}
	return width;
}

/** JSON on one line, in which what a terminal would act on is escaped as well: the value is the same. */
export function safeJson(value: unknown): string {
	return JSON.stringify(value).replace(
		/[\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g,
		character => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
	);
}

/** Foreign text with everything that could move the cursor, colour or reorder the line made visible. */
export function safe(text: string): string {
	return text.replace(/[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g, character =>
		[...Buffer.from(character, 'utf8')].map(byte => `\\x${byte.toString(16).padStart(2, '0')}`).join(''),
	);
}
