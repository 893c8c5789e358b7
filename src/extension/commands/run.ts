import * as vscode from 'vscode';
import { errorText } from '../documents/explain.js';
import { StrataError, isCancelled, messageOf } from '../engine-error.js';
import { fail, warn } from '../notify.js';
import type { Services } from '../services.js';

export type Command = (services: Services, argument: unknown, selection: readonly unknown[]) => Promise<unknown> | void;

/** Registers a command whose errors become one notification with a way to the log. Cancelling is silent. */
export function register(services: Services, id: string, command: Command): void {
	const run = async (argument: unknown, selected: unknown) => {
		try {
			await command(services, argument, Array.isArray(selected) ? selected : []);
		} catch (error) {
			if (!isCancelled(error)) await tell(services, error);
		}
	};
	services.context.subscriptions.push(vscode.commands.registerCommand(id, run));
}

/** What the engine refuses, and what is simply so, is a warning; what is broken is an error. */
const EXPECTED = [
	'ERR_AMBIGUOUS',
	'ERR_BUSY',
	'ERR_CHANGED',
	'ERR_EXISTS',
	'ERR_NOT_FOUND',
	'ERR_REFUSED',
	'ERR_UNSETTLED',
	'ERR_UNSUPPORTED',
	'ERR_USAGE',
];

export async function tell({ log }: Services, error: unknown): Promise<void> {
	const showLog = vscode.l10n.t('Show Log');
	let answer: string | undefined;
	if (StrataError.is(error)) {
		log.warn(`${error.code}: ${error.message} ${JSON.stringify(error.details)}`);
		const text = errorText(error.code, error.message);
		answer = await (EXPECTED.includes(error.code) ? warn(text) : fail(text, showLog));
	} else {
		log.error(error instanceof Error ? (error.stack ?? error.message) : String(error));
		answer = await fail(messageOf(error), showLog);
	}
	if (answer === showLog) log.show();
}
