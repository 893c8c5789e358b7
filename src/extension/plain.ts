/**
 * Text from an image, made harmless for the places where VS Code gives text a meaning: notifications and progress
 * (links, also of commands), the status bar and quick picks (`$(icon)`), and Markdown.
 *
 * What would act is broken by a zero-width space, which shows nothing: `]​(` opens no link, `$​(` draws no icon.
 * Control and bidirectional characters become `\xHH` or `\u{…}`, so that a name can neither break a line nor reorder it.
 */

const ZERO_WIDTH_SPACE = '\u200b';

/** What most text has nothing of: asked first, because thousands of rows are. */
const SUSPICIOUS = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff(]/u;
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/gu;

/** `text` with nothing in it that a notification, a status bar item, a quick pick, a tab's title or a row would act on. */
export function plain(text: string): string {
	if (!SUSPICIOUS.test(text)) return text;
	return text
		.replace(HIDDEN, escaped)
		.replaceAll('](', `]${ZERO_WIDTH_SPACE}(`)
		.replaceAll('$(', `$${ZERO_WIDTH_SPACE}(`);
}

/** The same, and short enough for one line of a notification or a title. */
export function plainShort(text: string, maximum = 80): string {
	const characters = [...text];
	return plain(characters.length <= maximum ? text : `${characters.slice(0, maximum - 1).join('')}…`);
}

function escaped(character: string): string {
	const code = character.codePointAt(0)!; // OK: the pattern matched one character.
	return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;
}
