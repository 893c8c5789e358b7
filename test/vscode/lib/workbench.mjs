// A VS Code window, driven by what a person sees: palette, trees, tabs, notifications, dialogs, quick inputs, webviews.
// Selectors were found by trying on VS Code 1.139; README.md beside says which traps they avoid.
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { THEMES } from './settings.mjs';
import { contextMenuOf } from './menu.mjs';
import { TreeView } from './tree.mjs';
import { escapeRegExp, linesOf, until } from './wait.mjs';

const QUICK_INPUT = '.quick-input-widget:not([style*="display: none"])';

export class Workbench {
	/** Errors of the page's console. VS Code's own are among them: more of them on a busy machine. */
	console = [];

	/**
	 * @param {import('playwright-core').Page} page
	 * @param {{ address: string, folder: string, userData: string, results: string }} where
	 */
	constructor(page, where) {
		this.page = page;
		this.where = where;
		page.on('console', message => {
			if (message.type() === 'error') this.console.push(`${message.text()} ${message.location().url}`);
		});
		page.on('pageerror', error => this.console.push(String(error.stack ?? error)));
	}

	/** Errors of the page's console that name Strata. */
	get errors() {
		return this.console.filter(text => /strata/i.test(text));
	}

	/** Opens the address and waits for the workbench. */
	async open() {
		await this.page.goto(this.where.address);
		await this.ready();
	}

	/** Reloads the window: what VS Code stored stays. */
	async reload() {
		await this.page.reload();
		await this.ready();
	}

	async ready() {
		await this.page.locator('.monaco-workbench .part.statusbar').waitFor({ timeout: 60_000 });
		// Of VS Code in the browser only: pictures should look like the desktop's.
		await this.page.addStyleTag({
			content:
				'#status\\.workbench\\.keyboardLayout, #status\\.host, #status\\.forwardedPorts { display: none !important }',
		});
	}

	// Commands and menus

	/** Runs a command by the palette: "Strata: Take Snapshot…". The title must be whole. */
	async runCommand(title) {
		const { input, rows } = await this.#openPalette(title);
		// Never click a row: the list sorts anew while late results arrive. Enter takes the focused one.
		const focused = rows.and(this.page.locator('.focused')).filter({ hasText: title });
		await focused.waitFor().catch(async () => {
			throw new Error(`the palette has no "${title}", but: ${(await rows.allInnerTexts()).slice(0, 5).join(' | ')}`);
		});
		await input.press('Enter');
	}

	/** Titles that the palette offers for `text`, in its order: the first dozen, which are on the screen. */
	async paletteTitles(text) {
		const { input, rows } = await this.#openPalette(text);
		await this.page.waitForTimeout(500);
		const titles = await rows.locator('.label-name').allInnerTexts();
		await input.press('Escape');
		return titles;
	}

	async #openPalette(text) {
		const input = this.page.locator(`${QUICK_INPUT} input.input`);
		// A terminal or a page that takes the focus just then closes the palette again.
		for (let attempt = 1; ; attempt++) {
			await this.page.keyboard.press('F1');
			try {
				await input.fill(`>${text}`, { timeout: attempt < 4 ? 4000 : 15_000 });
				break;
			} catch (error) {
				if (attempt === 4) throw error;
			}
		}
		return { input, rows: this.page.locator(`${QUICK_INPUT} .quick-input-list .monaco-list-row`) };
	}

	/** The menu that is open now, wherever it came from. */
	async menu() {
		return contextMenuOf(this.page);
	}

	// Views

	/** Opens a view container by its title in the Activity Bar. */
	async openContainer(title) {
		const tab = this.page.getByRole('tab', { name: new RegExp(`^${escapeRegExp(title)}`) }).first();
		await tab.waitFor({ timeout: 30_000 });
		const shown = this.page.locator('.sidebar .composite.title', { hasText: new RegExp(title, 'i') });
		await until(
			async () => {
				// A click would close what just opened by itself, as it does after a reload.
				if (
					await shown.waitFor({ timeout: 1500 }).then(
						() => true,
						() => false,
					)
				)
					return true;
				await tab.click();
				return shown.waitFor({ timeout: 5000 }).then(
					() => true,
					() => false,
				);
			},
			`the container ${title} opens`,
			30_000,
		);
	}

	/** A tree view of the container that is open. @returns {TreeView} */
	tree(title) {
		return new TreeView(this.page, title);
	}

	statusBarItem(text) {
		return this.page.locator('.statusbar-item', { hasText: text }).first();
	}

	// Editors

	async activeTab() {
		const tab = this.page.locator('.editor-group-container.active .tab.active');
		return (await tab.count()) > 0 ? await tab.first().getAttribute('aria-label') : null;
	}

	async tabs() {
		return this.page.locator('.tabs-container .tab').evaluateAll(all => all.map(one => one.getAttribute('aria-label')));
	}

	async waitForTab(text, timeout = 20_000) {
		const matches = title => title !== null && (text instanceof RegExp ? text.test(title) : title.includes(text));
		let title = null;
		await until(
			async () => matches((title = await this.activeTab())),
			() => `tab ${text}; active is ${title}`,
			timeout,
		);
		return title;
	}

	/** Lines of the active text editor, as far as they are on the screen. */
	async editorLines() {
		const lines = this.page
			.locator('.editor-group-container.active .editor-instance .monaco-editor .view-lines')
			.last();
		await lines.waitFor();
		return lines.evaluate(linesOf);
	}

	/** Both sides of the active diff editor, as far as they are on the screen, once the difference is drawn. */
	async diffLines() {
		const diff = this.page.locator('.editor-group-container.active .monaco-diff-editor').last();
		await diff.locator('.line-insert, .line-delete, .char-insert, .char-delete').first().waitFor();
		return {
			original: await diff.locator('.editor.original .view-lines').last().evaluate(linesOf),
			modified: await diff.locator('.editor.modified .view-lines').last().evaluate(linesOf),
		};
	}

	async closeAllEditors() {
		await this.runCommand('View: Close All Editors');
		await until(async () => (await this.tabs()).length === 0, 'all editors are closed');
	}

	// Notifications and dialogs

	/**
	 * Waits for a toast that contains the text.
	 * @returns {Promise<import('playwright-core').Locator>}
	 */
	async notification(text, timeout = 20_000) {
		const toasts = this.page.locator('.notification-toast');
		const toast = toasts.filter({ hasText: text }).first();
		await until(
			async () => {
				if (await toast.isVisible()) return true;
				// VS Code shows three at a time; the next waits until one has gone.
				if ((await toasts.count()) >= 3) {
					await toasts.last().hover();
					await toasts.last().locator('.codicon-notifications-clear').click({ timeout: 2000 });
				}
				return false;
			},
			`notification "${text}"`,
			timeout,
		).catch(async error => {
			throw new Error(`${error.message}; shown: ${(await this.notifications()).join(' | ') || 'none'}`);
		});
		return toast;
	}

	/** Presses a button of a toast. */
	async answerNotification(text, button) {
		await (await this.notification(text)).getByRole('button', { name: button, exact: true }).click();
	}

	async notifications() {
		return this.page.locator('.notification-toast .notification-list-item-message').allInnerTexts();
	}

	async clearNotifications() {
		await this.runCommand('Notifications: Clear All Notifications');
	}

	/** Waits for a modal question. `focused` is what Enter would press. */
	async dialog(text) {
		const box = this.page.locator('.monaco-dialog-box', { hasText: text });
		await box.waitFor();
		const textOf = async selector => {
			const found = box.locator(selector);
			return (await found.count()) > 0 ? (await found.first().innerText()).trim() : '';
		};
		const buttons = box.locator('.dialog-buttons .monaco-button');
		const focused = box.locator('.dialog-buttons .monaco-button:focus');
		return {
			message: await textOf('.dialog-message-text'),
			detail: await textOf('.dialog-message-detail'),
			buttons: (await buttons.allInnerTexts()).map(one => one.trim()),
			focused: (await focused.count()) > 0 ? (await focused.innerText()).trim() : null,
			/** Presses a button and waits until the box is gone. */
			press: async name => {
				await box.getByRole('button', { name, exact: true }).click();
				await box.waitFor({ state: 'detached' });
			},
			escape: async () => {
				await this.page.keyboard.press('Escape');
				await box.waitFor({ state: 'detached' });
			},
		};
	}

	// Quick inputs

	/** Waits for an input box, a quick pick, or (with files.simpleDialog.enable) a file dialog. */
	async quickInput(title) {
		const widget = this.page.locator(
			title === undefined ? QUICK_INPUT : `${QUICK_INPUT}`,
			title ? { hasText: title } : {},
		);
		const input = widget.locator('input.input');
		await input.waitFor();
		const rows = widget.locator('.quick-input-list .monaco-list-row');
		return {
			input,
			rows,
			/** Title, prompt and validation together. */
			text: () => widget.innerText(),
			value: () => input.inputValue(),
			placeholder: () => input.getAttribute('placeholder'),
			labels: () => rows.locator('.label-name').allInnerTexts(),
			/** Types and presses Enter. Without a text, Enter takes what is there. */
			accept: async text => {
				if (text !== undefined) await input.fill(text);
				await input.press('Enter');
			},
			/** Filters by the label until its row has the focus, then Enter. */
			pick: async label => {
				await input.fill(label);
				await rows.and(this.page.locator('.focused')).filter({ hasText: label }).waitFor();
				await input.press('Enter');
			},
			/** Presses a button of the title or of the input box. */
			press: name => widget.locator(`[aria-label^="${name}"]`).first().click(),
			cancel: () => input.press('Escape'),
		};
	}

	/** Fills a file dialog with an absolute path, as a person types it: the folder's list must be there before the name. */
	async choosePath(path) {
		const { input, rows } = await this.quickInput();
		const parts = path.replace(/\/+$/, '').split('/');
		const name = parts.pop();
		await rows.first().waitFor();
		await this.page.waitForTimeout(500);
		await input.fill(`${parts.join('/')}/`);
		await this.page.waitForTimeout(500);
		await input.pressSequentially(name, { delay: 5 });
		const focused = rows.and(this.page.locator('.focused')).locator('.label-name');
		await until(
			async () => (await focused.count()) > 0 && (await focused.first().innerText()) === name,
			`the dialog finds ${path}`,
		);
		await input.press('Enter');
	}

	// Terminals

	/** Opens a terminal: `type(line)`, `text()`. */
	async terminal() {
		await this.runCommand('Terminal: Create New Terminal');
		const rows = this.page.locator('.terminal-wrapper.active .xterm-rows, .xterm .xterm-rows').last();
		await rows.waitFor({ timeout: 30_000 });
		await until(async () => (await rows.innerText()).trim() !== '', 'the shell shows its prompt');
		return {
			text: async () =>
				(await rows.locator('> div').allInnerTexts())
					.map(line => line.replaceAll('\u00a0', ' ').trimEnd())
					.join('\n')
					.trim(),
			type: async line => {
				await this.page.locator('.xterm-helper-textarea').last().focus();
				await this.page.keyboard.type(line);
				await this.page.keyboard.press('Enter');
			},
		};
	}

	// Webviews

	/**
	 * The document inside a webview; take locators from it. Two frames lie around it, both reachable.
	 * @param {'editor' | 'view'} where a panel or custom editor that is showing, or a view
	 */
	async webview(where = 'editor') {
		const selector =
			where === 'view'
				? 'iframe.webview.ready[src*="purpose=webviewView"]'
				: 'iframe.webview.ready:not([src*="purpose="])';
		const outer = this.page.locator(`${selector} >> visible=true`).last();
		await outer.waitFor({ timeout: 30_000 });
		const active = outer.contentFrame().locator('iframe#active-frame');
		await active.waitFor({ state: 'attached' });
		const frame = active.contentFrame();
		await frame.locator('body').waitFor();
		return frame;
	}

	// Files, looks, pictures

	/** Changes workspace settings of the folder while the page is open (the user's file is not watched). */
	async changeSettings(settings) {
		const file = join(this.where.folder, '.vscode', 'settings.json');
		mkdirSync(join(this.where.folder, '.vscode'), { recursive: true });
		const before = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
		writeFileSync(file, JSON.stringify({ ...before, ...settings }, null, '\t'));
	}

	/** @param {keyof typeof THEMES} name */
	async setTheme(name) {
		await this.changeSettings({ 'workbench.colorTheme': THEMES[name] });
		const wanted = { dark: 'vs-dark', light: 'vs', contrast: 'hc-black', contrastLight: 'hc-light' }[name];
		await until(() => this.page.locator(`.monaco-workbench.${wanted}`).count(), `theme ${name}`);
		await this.page.waitForTimeout(300);
	}

	/** A picture in test-results/<file>/<name>.png. @returns its path */
	async screenshot(name) {
		const path = join(this.where.results, `${name.replaceAll(/[^\w.-]+/g, '-')}.png`);
		await this.page.screenshot({ path });
		return path;
	}

	/** What the extension wrote to its log channels so far. */
	extensionLog(id = 'strata.strata') {
		const logs = join(this.where.userData, 'logs');
		if (!existsSync(logs)) return '';
		return readdirSync(logs, { recursive: true })
			.filter(path => path.includes(`/${id}/`) && path.endsWith('.log'))
			.map(path => readFileSync(join(logs, path), 'utf8'))
			.join('');
	}
}
