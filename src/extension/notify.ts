/**
 * Everything that VS Code shows in notifications, progress, quick picks and input boxes goes through here, because
 * there text has a meaning: `[x](command:y)` becomes a link that runs y, `$(trash)` an icon. A label in an image is
 * chosen by whoever made the image. A test holds that no other file makes these calls.
 */
import * as vscode from 'vscode';
import type { CallOptions, ProgressRecord } from '../shared/engine-api.js';
import { isCancelled } from './engine-error.js';
import { plain } from './plain.js';
import { sizeText } from './words.js';

/** @returns the button that was pressed. */
export async function info(message: string, ...buttons: readonly string[]): Promise<string | undefined> {
	return await vscode.window.showInformationMessage(plain(message), ...buttons.map(plain));
}

export async function warn(message: string, ...buttons: readonly string[]): Promise<string | undefined> {
	return await vscode.window.showWarningMessage(plain(message), ...buttons.map(plain));
}

export async function fail(message: string, ...buttons: readonly string[]): Promise<string | undefined> {
	return await vscode.window.showErrorMessage(plain(message), ...buttons.map(plain));
}

/**
 * A question before something is destroyed. VS Code focuses the first button, so Enter presses `harmless`: it must
 * change nothing.
 */
export async function confirm(question: {
	readonly message: string;
	readonly detail: string;
	readonly harmless: string;
	readonly destructive: string;
}): Promise<'harmless' | 'destructive' | undefined> {
	const { message, detail, harmless, destructive } = question;
	const answer = await vscode.window.showWarningMessage(
		plain(message),
		{ modal: true, detail: plain(detail) },
		plain(harmless),
		plain(destructive),
	);
	if (answer === undefined) return undefined;
	return answer === plain(harmless) ? 'harmless' : 'destructive';
}

/** A message that goes by itself, where nobody needs to act. */
export function quiet(message: string): void {
	said?.dispose();
	said = vscode.window.setStatusBarMessage(plain(message), 6000);
}

/** What `quiet` says now. */
let said: vscode.Disposable | undefined;

const ACTION_MS = 20_000;
let offered: vscode.StatusBarItem | undefined;

/** The same, and a click on it does something. It stays a little longer, and the next one takes its place. */
export function quietWith(message: string, command: vscode.Command): void {
	// One message at a time, however narrow the window is.
	said?.dispose();
	offered?.dispose();
	const item = vscode.window.createStatusBarItem('strata.offer', vscode.StatusBarAlignment.Left, 9);
	item.name = vscode.l10n.t('Strata: Last Action');
	item.text = `$(check) ${plain(message)}`;
	item.tooltip = plain(command.title);
	item.accessibilityInformation = { label: `${plain(message)}, ${plain(command.title)}`, role: 'button' };
	item.command = command;
	item.show();
	offered = item;
	setTimeout(() => item.dispose(), ACTION_MS).unref();
}

/** Long work with figures and a Cancel button. @returns `undefined` when it was cancelled. */
export async function progress<T>(title: string, work: (call: CallOptions) => Promise<T>): Promise<T | undefined> {
	// What the last action offered may be wrong after this one.
	offered?.dispose();
	return await vscode.window.withProgress(
		{ location: vscode.ProgressLocation.Notification, title: plain(title), cancellable: true },
		async (reporter, token) => {
			const started = Date.now();
			let percent = 0;
			const onProgress = (record: ProgressRecord) => {
				const now = record.total ? Math.floor((record.done / record.total) * 100) : percent;
				const increment = Math.max(0, now - percent);
				percent = Math.max(percent, now);
				reporter.report({ message: plain(figures(record, Date.now() - started)), increment });
			};
			return await cancellable(token, signal => work({ signal, onProgress }));
		},
	);
}

/** Short work beside a view: a bar below its title. */
export async function viewProgress<T>(view: string, work: (call: CallOptions) => Promise<T>): Promise<T | undefined> {
	return await vscode.window.withProgress({ location: { viewId: view } }, (_reporter, token) =>
		cancellable(token, signal => work({ signal })),
	);
}

async function cancellable<T>(
	token: vscode.CancellationToken,
	work: (signal: AbortSignal) => Promise<T>,
): Promise<T | undefined> {
	try {
		return await work(signalOf(token));
	} catch (error) {
		if (isCancelled(error)) return undefined;
		throw error;
	}
}

/** An AbortSignal that follows a VS Code token. */
export function signalOf(token: vscode.CancellationToken): AbortSignal {
	const controller = new AbortController();
	if (token.isCancellationRequested) controller.abort();
	else token.onCancellationRequested(() => controller.abort());
	return controller.signal;
}

/** "Copying 120 MB of 1.1 GB · 60 MB/s". */
export function figures(record: ProgressRecord, milliseconds: number): string {
	const { step, done, total, unit } = record;
	if (unit === 'steps') return total === undefined ? step : vscode.l10n.t('{0} ({1} of {2})', step, done, total);
	const amount = (value: number) => (unit === 'bytes' ? sizeText(value) : value.toLocaleString());
	const words = total === undefined ? amount(done) : vscode.l10n.t('{0} of {1}', amount(done), amount(total));
	const rate =
		unit === 'bytes' && 1000 < milliseconds ? ` · ${sizeText(Math.round((done / milliseconds) * 1000))}/s` : '';
	return `${step} ${words}${unit === 'bytes' ? '' : ` ${unit}`}${rate}`;
}

export interface Choice<T> {
	readonly label: string;
	readonly description?: string;
	readonly detail?: string;
	/** A codicon of ours. */
	readonly icon?: string;
	readonly value: T;
	/** A line with a heading before this choice. */
	readonly heading?: string;
}

export async function pick<T>(title: string, choices: readonly Choice<T>[], placeholder = ''): Promise<T | undefined> {
	const answer = await vscode.window.showQuickPick(choices.flatMap(toItems), {
		title: plain(title),
		placeHolder: plain(placeholder),
		matchOnDescription: true,
	});
	return answer?.choice?.value;
}

/** A quick pick that asks `search` while the person types. */
export async function pickBySearch<T>(
	title: string,
	placeholder: string,
	search: (text: string, signal: AbortSignal) => Promise<readonly Choice<T>[]>,
): Promise<T | undefined> {
	const box = vscode.window.createQuickPick<Item<T>>();
	box.title = plain(title);
	box.placeholder = plain(placeholder);
	box.matchOnDescription = true;
	let abort = new AbortController();
	let timer: ReturnType<typeof setTimeout> | undefined;
	const ask = (text: string) => {
		abort.abort();
		clearTimeout(timer);
		abort = new AbortController();
		const { signal } = abort;
		box.busy = true;
		timer = setTimeout(() => {
			search(text, signal).then(
				found => {
					if (signal.aborted) return;
					// Found by words anywhere in the path: the box's own filter would drop most of them.
					box.items = found.flatMap(toItems).map(item => ({ ...item, alwaysShow: true }));
					box.busy = false;
				},
				() => {
					if (!signal.aborted) box.busy = false;
				},
			);
		}, 120);
	};
	box.onDidChangeValue(ask);
	try {
		return await new Promise<T | undefined>(resolve => {
			box.onDidAccept(() => resolve(box.selectedItems[0]?.choice?.value));
			box.onDidHide(() => resolve(undefined));
			box.show();
			ask('');
		});
	} finally {
		clearTimeout(timer);
		abort.abort();
		box.dispose();
	}
}

/** One line of text. `validate` gives what is wrong with it, or nothing. */
export async function input(question: {
	readonly title: string;
	readonly prompt: string;
	readonly value: string;
	readonly validate?: (text: string) => string | undefined;
}): Promise<string | undefined> {
	const { title, prompt, value, validate } = question;
	return await vscode.window.showInputBox({
		title: plain(title),
		prompt: plain(prompt),
		value,
		ignoreFocusOut: true,
		validateInput: text => {
			const problem = validate?.(text);
			return problem === undefined ? undefined : plain(problem);
		},
	});
}

/** An input that acts while the person types; Escape brings back what was there before. */
export async function liveInput(title: string, value: string, onChange: (text: string) => void): Promise<void> {
	const box = vscode.window.createInputBox();
	box.title = plain(title);
	box.value = value;
	let accepted = false;
	box.onDidChangeValue(onChange);
	await new Promise<void>(resolve => {
		box.onDidAccept(() => {
			accepted = true;
			box.hide();
		});
		box.onDidHide(() => resolve());
		box.show();
	});
	box.dispose();
	if (!accepted) onChange(value);
}

interface Item<T> extends vscode.QuickPickItem {
	readonly choice?: Choice<T>;
}

function toItems<T>(choice: Choice<T>): Item<T>[] {
	const item: Item<T> = {
		label: plain(choice.label),
		...(choice.description === undefined ? {} : { description: plain(choice.description) }),
		...(choice.detail === undefined ? {} : { detail: plain(choice.detail) }),
		...(choice.icon === undefined ? {} : { iconPath: new vscode.ThemeIcon(choice.icon) }),
		choice,
	};
	if (choice.heading === undefined) return [item];
	return [{ label: plain(choice.heading), kind: vscode.QuickPickItemKind.Separator }, item];
}
