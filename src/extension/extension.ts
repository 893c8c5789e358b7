import * as vscode from 'vscode';
import { registerChangesView } from './changes/changes-view.js';
import { BaseSelection } from './changes/base-selection.js';
import { ComparisonModel } from './changes/comparison.js';
import { registerCommands } from './commands/register-commands.js';
import { CONTEXT, SETTINGS } from './contributions.js';
import { registerDocuments } from './documents/register.js';
import { startEngineClient } from './engine-host.js';
import { registerImageEditor } from './image-editor/image-editor.js';
import { QemuStatus } from './qemu-status.js';
import { RecentInstall } from './recent-install.js';
import type { Services } from './services.js';
import { ExclusiveSizes } from './sources/exclusive-sizes.js';
import { SourceStore } from './sources/source-store.js';
import { registerSourcesView } from './sources/sources-view.js';
import { registerStatusBar } from './status-bar.js';
import { registerTerminal } from './terminal.js';
import { registerTimeline } from './timeline/register.js';
import { FileVersions } from './versions/versions-view.js';

/** A list: nothing is read here but what VS Code kept for this workspace, and no thread is started. */
export function activate(context: vscode.ExtensionContext): void {
	const settings = vscode.workspace.getConfiguration();
	const log = vscode.window.createOutputChannel('Strata', { log: true });
	const engine = startEngineClient(context, log);
	const sources = new SourceStore(engine);
	const base = new BaseSelection(context.workspaceState);
	const qemu = new QemuStatus(() => vscode.workspace.getConfiguration().get<string>(SETTINGS.qemuImgPath, ''));
	const comparison = new ComparisonModel(engine, {
		rules: () => vscode.workspace.getConfiguration().get<string[]>(SETTINGS.noiseRules, []),
		hideNoise: () => settings.get<boolean>(SETTINGS.noiseHide, false),
		memory: context.workspaceState,
	});
	const sizes = new ExclusiveSizes(engine);
	const installs = new RecentInstall();
	const services: Services = { context, log, engine, sources, sizes, comparison, base, qemu, installs };
	context.subscriptions.push(log, engine, sources, comparison);

	registerDocuments(services);
	const sourcesView = registerSourcesView(services);
	const changes = registerChangesView(services);
	const versions = new FileVersions(services);
	registerImageEditor(services);
	registerTimeline(services, sourcesView);
	registerStatusBar(services);
	registerTerminal(services);
	registerCommands(services, sourcesView.view, changes, versions);
	const setBase = () => void vscode.commands.executeCommand('setContext', CONTEXT.hasBase, base.base !== undefined);
	context.subscriptions.push(base.onDidChange(setBase));
	setBase();
}
