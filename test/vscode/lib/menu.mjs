// The menu that is open.
import { escapeRegExp } from './wait.mjs';

const ITEM = '.monaco-menu .action-item:not(.disabled) .action-label:not(.separator)';

/** Waits until a context menu is open, and until it listens. */
export async function contextMenuOf(page) {
	const items = page.locator(ITEM);
	await items.first().waitFor();
	// A menu ignores clicks right after it opened.
	await page.waitForTimeout(350);
	return {
		/** Titles, from the top. */
		async items() {
			return items.evaluateAll(all => all.map(one => one.getAttribute('aria-label') || one.textContent.trim()));
		},
		async choose(title) {
			const item = items.filter({ hasText: new RegExp(`^${escapeRegExp(title)}$`) }).first();
			await item.waitFor({ timeout: 5000 }).catch(async () => {
				throw new Error(`the menu has no "${title}", but: ${(await this.items()).join(' | ')}`);
			});
			await item.click();
		},
		async close() {
			await page.keyboard.press('Escape');
		},
	};
}
