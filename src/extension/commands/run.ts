import * as vscode from 'vscode';
import { errorText } from '../documents/explain.js';
import { StrataError, isCancelled, messageOf } from '../engine-error.js';
import { fail } from '../notify.js';
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

export async function tell({ log }: Services, error: unknown): Promise<void> {
	const code = StrataError.is(error) ? error.code : '';
	log.error(error instanceof Error ? (error.stack ?? error.message) : String(error));
	const showLog = vscode.l10n.t('Show Log');
	if ((await fail(errorText(code, messageOf(error)), showLog)) === showLog) log.show();
}
