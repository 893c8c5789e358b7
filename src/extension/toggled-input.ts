/** An input box with choices beside the text. As in notify.ts, what is shown goes through `plain`. */
import * as vscode from 'vscode';
import { plain } from './plain.js';

export interface Toggle<T> {
	/** A codicon. */
	readonly icon: string;
	readonly label: string;
	readonly isChecked: boolean;
	/** What is chosen when it is pressed; with `refusal`, nothing. */
	readonly next: T;
	/** Why it cannot be chosen. */
	readonly refusal?: string;
}

export interface ToggledQuestion<T> {
	readonly title: string;
	readonly value: string;
	readonly chosen: T;
	/** What is wrong with the text, or nothing. */
	readonly validate: (text: string) => string | undefined;
	/** What stands in the prompt and on the buttons, when that is chosen. */
	readonly look: (chosen: T) => { readonly prompt: string; readonly toggles: readonly Toggle<T>[] };
}

/** @returns the text and what was chosen; `undefined` when the box was closed. */
export async function toggledInput<T>(
	question: ToggledQuestion<T>,
): Promise<{ readonly text: string; readonly chosen: T } | undefined> {
	const box = vscode.window.createInputBox();
	let { chosen } = question;
	let toggles: readonly Toggle<T>[] = [];
	const show = () => {
		const look = question.look(chosen);
		toggles = look.toggles;
		box.prompt = plain(look.prompt);
		// Anew each time: one that is pressed may release another, or itself.
		box.buttons = toggles.map(({ icon, label, isChecked }) => ({
			iconPath: new vscode.ThemeIcon(icon),
			tooltip: plain(label),
			location: vscode.QuickInputButtonLocation.Input,
			toggle: { checked: isChecked },
		}));
	};
	const check = () => {
		const problem = question.validate(box.value);
		box.validationMessage = problem === undefined ? undefined : plain(problem);
		return problem === undefined;
	};
	box.title = plain(question.title);
	box.value = question.value;
	box.ignoreFocusOut = true;
	box.onDidChangeValue(check);
	box.onDidTriggerButton(button => {
		const toggle = toggles[box.buttons.indexOf(button)];
		if (toggle && toggle.refusal === undefined) chosen = toggle.next;
		show();
		if (toggle?.refusal === undefined) check();
		else
			box.validationMessage = {
				message: plain(toggle.refusal),
				severity: vscode.InputBoxValidationSeverity.Info,
			};
	});
	show();
	try {
		return await new Promise(resolve => {
			box.onDidAccept(() => {
				if (check()) resolve({ text: box.value, chosen });
			});
			box.onDidHide(() => resolve(undefined));
			box.show();
			check();
		});
	} finally {
		box.dispose();
	}
}
