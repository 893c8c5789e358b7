import * as vscode from 'vscode';
import { COMMANDS, SETTINGS } from './contributions.js';
import { createEngineClient, type EngineClient } from './engine-client.js';
import { fail } from './notify.js';

const DEFAULT_KEEP = 10;

/** The engine with the settings of this window. Restarted when one of them changes, or when trust is granted. */
export function startEngineClient(context: vscode.ExtensionContext, log: vscode.LogOutputChannel): EngineClient {
	const client = createEngineClient({
		program: context.asAbsolutePath('dist/engine.cjs'),
		setup: () => {
			const settings = vscode.workspace.getConfiguration();
			const home = settings.get<string>(SETTINGS.home, '');
			const qemuImg = settings.get<string>(SETTINGS.qemuImgPath, '');
			return {
				...(home === '' ? {} : { home }),
				...(qemuImg === '' ? {} : { qemuImg }),
				trusted: vscode.workspace.isTrusted,
				keepSafetySnapshots: settings.get<number>(SETTINGS.keepSafetySnapshots, DEFAULT_KEEP),
			};
		},
		log: (level, message) => log[level](message),
		onDied: (reason, again) => void died(log, reason, again),
	});
	context.subscriptions.push(
		vscode.workspace.onDidChangeConfiguration(event => {
			const matters = [SETTINGS.home, SETTINGS.qemuImgPath, SETTINGS.keepSafetySnapshots];
			if (matters.some(name => event.affectsConfiguration(name)) && client.running) {
				void vscode.commands.executeCommand(COMMANDS.restartEngine);
			}
		}),
		vscode.workspace.onDidGrantWorkspaceTrust(() => {
			if (client.running) void vscode.commands.executeCommand(COMMANDS.restartEngine);
		}),
	);
	return client;
}

async function died(log: vscode.LogOutputChannel, reason: string, again: boolean): Promise<void> {
	log.error(`the engine stopped: ${reason}`);
	const restart = vscode.l10n.t('Restart Engine');
	const showLog = vscode.l10n.t('Show Log');
	const answer = again
		? await fail(
				vscode.l10n.t("Strata's engine stopped, and was started again. What it was doing did not finish."),
				showLog,
			)
		: await fail(vscode.l10n.t("Strata's engine stopped twice."), restart, showLog);
	if (answer === restart) await vscode.commands.executeCommand(COMMANDS.restartEngine);
	if (answer === showLog) log.show();
}
