/** The read-only *Disk Image* editor: what a double click on a `.qcow2` in the Explorer shows. */
import { basename } from 'node:path';
import * as vscode from 'vscode';
import { COMMANDS, IMAGE_EDITOR, VIEWS } from '../contributions.js';
import { errorText } from '../documents/explain.js';
import { StrataError, messageOf } from '../engine-error.js';
import type { FromDiskImagePage, ToDiskImagePage } from '../../shared/disk-image-protocol.js';
import type { Services } from '../services.js';
import { webviewHtml } from '../webview-html.js';
import { imageModel } from './image-model.js';

export function registerImageEditor(services: Services): void {
	services.context.subscriptions.push(
		vscode.window.registerCustomEditorProvider(IMAGE_EDITOR, new ImageEditor(services), {
			supportsMultipleEditorsPerDocument: true,
		}),
	);
}

class ImageEditor implements vscode.CustomReadonlyEditorProvider {
	constructor(private readonly services: Services) {}

	openCustomDocument(uri: vscode.Uri): vscode.CustomDocument {
		return { uri, dispose: () => undefined };
	}

	resolveCustomEditor(document: vscode.CustomDocument, panel: vscode.WebviewPanel): void {
		const { context, sources, log } = this.services;
		const { webview } = panel;
		webview.options = {
			enableScripts: true,
			localResourceRoots: [vscode.Uri.joinPath(context.extensionUri, 'dist', 'webview')],
		};
		const send = (message: ToDiskImagePage) => void webview.postMessage(message);
		const fill = async () => {
			try {
				send({ type: 'model', model: await this.#model(document.uri) });
			} catch (error) {
				log.warn(`${document.uri.toString(true)}: ${messageOf(error)}`);
				const code = StrataError.is(error) ? error.code : '';
				send({ type: 'failed', title: basename(document.uri.path), message: errorText(code, messageOf(error)) });
			}
		};
		const subscriptions: { dispose(): unknown }[] = [
			webview.onDidReceiveMessage((message: FromDiskImagePage) => {
				switch (message.type) {
					case 'ready':
						void fill();
						break;
					case 'add':
						void vscode.commands.executeCommand(COMMANDS.addMachine, document.uri).then(fill);
						break;
					case 'show':
						void vscode.commands.executeCommand(`${VIEWS.sources}.focus`);
						break;
				}
			}),
			sources.onDidChange(id => {
				if (id === undefined) void fill();
			}),
		];
		panel.onDidDispose(() => {
			for (const subscription of subscriptions) subscription.dispose();
		});
		webview.html = webviewHtml(webview, context.extensionUri, 'disk-image');
	}

	async #model(uri: vscode.Uri) {
		const { engine, sources } = this.services;
		if (uri.scheme !== 'file') {
			throw new StrataError('ERR_UNSUPPORTED', vscode.l10n.t('images are read where Strata runs, as files'));
		}
		const path = uri.fsPath;
		await sources.load();
		const registered = sources.machines.find(({ record }) => record.disks.some(disk => disk.path === path));
		const source = registered?.record.id ?? path;
		const [info, timeline] = await Promise.all([
			engine.info({ source, state: 'current' }),
			engine.timeline(source).catch((error: unknown): unknown => error), // OK: told among the notes.
		]);
		return imageModel(path, info, timeline, registered?.record.name ?? null);
	}
}
