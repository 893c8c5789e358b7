// Waiting for what the page shows. Playwright waits for elements; this waits for anything else.

/**
 * Asks again until `test()` is true.
 * @param {() => Promise<unknown> | unknown} test
 * @param {string | (() => string)} what said when it never is
 */
export async function until(test, what, timeout = 15_000) {
	const deadline = Date.now() + timeout;
	for (;;) {
		let failure;
		try {
			if (await test()) return;
		} catch (cause) {
			// What fails now may hold in a moment: the page is being drawn.
			failure = cause;
		}
		if (Date.now() > deadline) {
			const words = typeof what === 'string' ? what : what();
			throw new Error(`waited ${timeout / 1000} s in vain: ${words}${failure ? `; ${failure.message}` : ''}`);
		}
		await new Promise(done => setTimeout(done, 50));
	}
}

export function escapeRegExp(text) {
	return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

/** Visible text of an editor's lines, in order. Monaco's elements are in any order, with hard spaces. Runs in the page. */
export function linesOf(element) {
	return [...element.querySelectorAll('.view-line')]
		.map(line => ({ top: Number.parseFloat(line.style.top), text: line.textContent.replaceAll('\u00a0', ' ') }))
		.sort((a, b) => a.top - b.top)
		.map(line => line.text);
}
