// One tree view, found by its title: rows as a person sees them, by path from the top.
import { contextMenuOf } from './menu.mjs';
import { escapeRegExp, until } from './wait.mjs';

/**
 * A path of visible names, each a child of the one before: `['dev-debian', 'clean-base', 'p1', 'etc']`.
 * The last may be a regular expression.
 * @typedef {(string | RegExp)[]} RowPath
 */

/** What is seen of a row, and what a screen reader hears. Runs in the page. */
function describe(rows) {
	return rows
		.map(row => {
			const badged = row.querySelector('.monaco-icon-label');
			const after = badged ? getComputedStyle(badged, '::after').content : 'none';
			return {
				index: Number(row.dataset.index),
				label: row.querySelector('.label-name')?.textContent ?? '',
				description: row.querySelector('.label-description')?.textContent ?? '',
				badge: /^"(.*)"$/.exec(after)?.[1] ?? '', // none, normal, or a string
				spoken: row.getAttribute('aria-label') ?? '',
				level: Number(row.getAttribute('aria-level')),
				expanded: row.getAttribute('aria-expanded'),
				selected: row.getAttribute('aria-selected') === 'true',
			};
		})
		.sort((a, b) => a.index - b.index);
}

const DOWN = 100;
const UP = -100;

export class TreeView {
	constructor(page, title) {
		this.page = page;
		this.title = title;
		this.pane = page.locator('.pane', {
			has: page.locator('.pane-header h3.title', { hasText: new RegExp(`^${escapeRegExp(title)}$`, 'i') }),
		});
		this.header = this.pane.locator('.pane-header').first();
	}

	/** Opens the view when it is folded. */
	async show() {
		await this.header.waitFor();
		if ((await this.header.getAttribute('aria-expanded')) === 'false') await this.header.click();
		await until(() => this.header.getAttribute('aria-expanded').then(value => value === 'true'), `${this.title} opens`);
	}

	/** The rows on the screen, from the top; a long tree has more. */
	async rows() {
		return this.pane.locator('.monaco-list-row[role="treeitem"]').evaluateAll(describe);
	}

	/** Waits until `test(rows)` holds. @returns the rows */
	async rowsWhen(test, what = 'the rows are as expected', timeout = 15_000) {
		let rows = [];
		await until(
			async () => test((rows = await this.rows())),
			() => `${this.title}: ${what}; rows: ${format(rows)}`,
			timeout,
		);
		return rows;
	}

	/** The line above the rows ("nginx: 3 of 256"). */
	async message() {
		const message = this.pane.locator('.message');
		return (await message.count()) > 0 ? (await message.first().innerText()).trim() : '';
	}

	/** Text, and buttons' titles, of the welcome content of an empty view. */
	async welcome() {
		return (await this.pane.locator('.welcome-view-content').innerText()).trim();
	}

	/**
	 * Finds a row, expanding what lies above it and scrolling to it.
	 * @param {RowPath} path
	 */
	async find(...path) {
		for (let depth = 1; depth < path.length; depth++) await this.#open(path.slice(0, depth));
		return this.#seek(path);
	}

	/** Finds a row and expands it. @param {RowPath} path */
	async expand(...path) {
		for (let depth = 1; depth < path.length; depth++) await this.#open(path.slice(0, depth));
		return this.#open(path);
	}

	async #open(path) {
		let row;
		await until(
			async () => {
				row = await this.#seek(path);
				if ((await row.getAttribute('aria-expanded')) === 'true') return true;
				await row.locator('.monaco-tl-twistie').click({ timeout: 2000 });
				return until(async () => (await row.getAttribute('aria-expanded')) === 'true', 'it expands', 3000).then(
					() => true,
				);
			},
			`${path.join(' › ')} is expanded`,
		);
		return row;
	}

	/** @param {RowPath} path */
	async collapse(...path) {
		const row = await this.find(...path);
		if ((await row.getAttribute('aria-expanded')) === 'true') await row.locator('.monaco-tl-twistie').click();
		await until(async () => (await row.getAttribute('aria-expanded')) === 'false', `${path.join(' › ')} is collapsed`);
	}

	/** The rows below a row; all of them, as far down as they go. @param {RowPath} path */
	async children(...path) {
		const row = await this.expand(...path);
		const index = Number(await row.getAttribute('data-index'));
		let seen = [];
		await until(
			async () => {
				const before = seen.length;
				seen = merge(seen, await this.rows());
				const level = seen.find(one => one.index === index)?.level;
				const isWhole = seen.some(one => one.index > index && one.level <= level) || seen.length === before;
				if (!isWhole) await this.#scroll(DOWN);
				return isWhole && below(seen, index).length > 0;
			},
			`${path.join(' › ')} has children`,
		);
		return below(seen, index);
	}

	/** @param {RowPath} path */
	async click(...path) {
		const row = await this.find(...path);
		await row.locator('.monaco-tl-contents').click();
		return row;
	}

	/** @param {RowPath} path */
	async doubleClick(...path) {
		await (await this.find(...path)).locator('.monaco-tl-contents').dblclick();
	}

	/** Chooses from the context menu of a row. @param {RowPath} path */
	async choose(item, ...path) {
		const menu = await this.menu(...path);
		await menu.choose(item);
	}

	/** Opens the context menu of a row: `items()`, `choose(item)`, `close()`. @param {RowPath} path */
	async menu(...path) {
		const row = await this.find(...path);
		await row.locator('.monaco-tl-contents').click({ button: 'right' });
		return contextMenuOf(this.page);
	}

	/** Clicks a button that shows when the mouse is on the row. @param {RowPath} path */
	async inlineAction(action, ...path) {
		const row = await this.find(...path);
		await row.hover();
		await row.locator(`.action-label[aria-label^="${action}"]`).first().click();
	}

	/** Clicks a button of the view's title. */
	async titleAction(action) {
		await this.header.hover();
		await this.header.locator(`.action-label[aria-label^="${action}"]`).first().click();
	}

	async titleActions() {
		await this.header.hover();
		return this.header.locator('.action-label').evaluateAll(all => all.map(one => one.getAttribute('aria-label')));
	}

	/** Keyboard focus into the tree, without a click on a row. */
	async focus() {
		await this.pane.locator('.monaco-list').first().focus();
	}

	/**
	 * Looks through the whole list, page by page, until the row is found; again and again, since it may be still to come.
	 * @returns its locator; the row is on the screen
	 */
	async #seek(path, timeout = 15_000) {
		const list = this.pane.locator('.monaco-list').first();
		const deadline = Date.now() + timeout;
		let seen = await this.rows();
		let index = position(seen, path);
		while (index === undefined) {
			if (Date.now() > deadline)
				throw new Error(`${this.title} has no row ${path.join(' › ')}; rows:\n${format(seen)}`);
			await this.page.waitForTimeout(100);
			seen = [];
			if (!(await list.isVisible())) continue;
			for (let isEnd = false; index === undefined && !isEnd;) {
				const before = seen.length;
				seen = merge(seen, await this.rows());
				index = position(seen, path);
				isEnd = seen.length === before;
				if (index === undefined) await this.#scroll(DOWN);
			}
			while (index === undefined && (await this.rows())[0]?.index > 0) await this.#scroll(UP);
		}
		const row = this.pane.locator(`.monaco-list-row[role="treeitem"][data-index="${index}"]`).first();
		await this.#reveal(row);
		// The tree may have changed meanwhile: then the row of that number is another.
		const wanted = path.at(-1);
		const label =
			(await row
				.locator('.label-name')
				.textContent()
				.catch(() => '')) ?? '';
		const isIt = wanted instanceof RegExp ? wanted.test(label) : label === wanted;
		return isIt ? row : this.#seek(path, deadline - Date.now());
	}

	/** A row at the edge is in the page, and behind the view's title. */
	async #reveal(row) {
		for (let turns = 0; turns < 10; turns++) {
			const [list, box] = [await this.pane.locator('.monaco-list').first().boundingBox(), await row.boundingBox()];
			if (!list || !box) return;
			if (box.y < list.y - 1) await this.#scroll(-30);
			else if (list.y + list.height + 1 < box.y + box.height) await this.#scroll(30);
			else return;
		}
	}

	/** VS Code takes a turn of the wheel for two or three rows, however large. */
	async #scroll(pixels) {
		await this.pane.locator('.monaco-list').first().hover();
		await this.page.mouse.wheel(0, pixels);
		await this.page.waitForTimeout(40);
	}
}

function merge(rows, more) {
	const known = new Set(rows.map(row => row.index));
	return [...rows, ...more.filter(row => !known.has(row.index))].sort((a, b) => a.index - b.index);
}

/** @returns index of the row with that path, or undefined */
function position(rows, path) {
	let range = rows.filter(row => row.level === 1);
	let found;
	for (const name of path) {
		found = range.find(row => (name instanceof RegExp ? name.test(row.label) : row.label === name));
		if (!found) return undefined;
		range = below(rows, found.index);
	}
	return found.index;
}

function below(rows, index) {
	const parent = rows.find(row => row.index === index);
	if (!parent) return [];
	const rest = rows.filter(row => row.index > index);
	const end = rest.findIndex(row => row.level <= parent.level);
	return (end < 0 ? rest : rest.slice(0, end)).filter(row => row.level === parent.level + 1);
}

function format(rows) {
	return rows
		.map(row => `${'  '.repeat(row.level - 1)}${row.label} | ${row.description} ${row.badge}`.trimEnd())
		.join('\n');
}
