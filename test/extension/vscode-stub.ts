/** Stands in for the module `vscode` in tests that run on Node alone: the words, and nothing that could hide a mistake. */
export const l10n = {
	t(message: string, ...args: (string | number | boolean)[]): string {
		return message.replace(/\{(\d+)\}/g, (_, index: string) => String(args[Number(index)]));
	},
};
