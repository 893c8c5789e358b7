import { randomBytes } from 'node:crypto';
import * as vscode from 'vscode';

/**
 * The page around a script of dist/webview: nothing but that script, its style sheet and the icon font may load.
 * The component library finds the nonce for its one inline style in the page.
 *
 * @param name of the bundle: `disk-image` for dist/webview/disk-image.js and .css.
 */
export function webviewHtml(webview: vscode.Webview, extensionUri: vscode.Uri, name: string): string {
	const nonce = randomBytes(16).toString('base64');
	const resource = (file: string) =>
		webview.asWebviewUri(vscode.Uri.joinPath(extensionUri, 'dist', 'webview', file)).toString();
	const policy = [
		"default-src 'none'",
		`style-src ${webview.cspSource} 'nonce-${nonce}'`,
		`font-src ${webview.cspSource}`,
		`script-src 'nonce-${nonce}'`,
	].join('; ');
	return `<!DOCTYPE html>
<html lang="${vscode.env.language}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta property="csp-nonce" content="${nonce}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="${resource('codicon.css')}">
<link rel="stylesheet" href="${resource(`${name}.css`)}">
</head>
<body>
<main id="root"></main>
<script type="module" nonce="${nonce}" src="${resource(`${name}.js`)}"></script>
</body>
</html>`;
}
