/** The page of the *Disk Image* editor. Everything from the image is set as text, never as HTML. */
import type { DiskImageModel, FromDiskImagePage, ToDiskImagePage } from '../src/shared/disk-image-protocol.js';
import './disk-image.css';

declare function acquireVsCodeApi(): { postMessage(message: FromDiskImagePage): void };

const vscode = acquireVsCodeApi();
const root = document.getElementById('root')!; // OK: the page's HTML has it.

window.addEventListener('message', (event: MessageEvent<ToDiskImagePage>) => {
	const message = event.data;
	if (message.type === 'model') show(message.model);
	else root.replaceChildren(element('h1', message.title), element('p', message.message, 'problem'));
});
vscode.postMessage({ type: 'ready' });

function show(model: DiskImageModel): void {
	const { words } = model;
	root.replaceChildren(
		header(model),
		facts(model),
		...(model.notes.length > 0 ? [section(words.notes, list(model.notes))] : []),
		section(
			words.snapshots,
			model.snapshots.length > 0
				? table(model.snapshots.map(({ name, facts, time }) => [name, facts, time]))
				: element('p', words.noSnapshots, 'quiet'),
		),
		section(
			words.volumes,
			model.volumes.length > 0
				? table(model.volumes.map(({ name, type, size, note }) => [name, type, size, note]))
				: element('p', words.noVolumes, 'quiet'),
		),
		section(words.chain, table(model.chain.map(({ path, role, facts }) => [path, role, facts]))),
	);
}

function header(model: DiskImageModel): HTMLElement {
	const registered = model.registeredAs !== null;
	const button = element('button', registered ? model.words.show : model.words.add);
	button.addEventListener('click', () => vscode.postMessage({ type: registered ? 'show' : 'add' }));
	const icon = element('span', '', 'codicon codicon-vm');
	icon.setAttribute('aria-hidden', 'true');
	const box = element('header', '');
	box.append(icon, element('h1', model.title), button);
	return box;
}

function facts(model: DiskImageModel): HTMLElement {
	const box = element('dl', '');
	for (const { name, value } of model.summary) box.append(element('dt', name), element('dd', value));
	return box;
}

function section(title: string, content: HTMLElement): HTMLElement {
	const box = element('section', '');
	box.append(element('h2', title), content);
	return box;
}

function list(items: readonly string[]): HTMLElement {
	const box = element('ul', '');
	box.append(...items.map(item => element('li', item)));
	return box;
}

function table(rows: readonly (readonly string[])[]): HTMLElement {
	const box = element('table', '');
	for (const row of rows) {
		const line = element('tr', '');
		row.forEach((cell, i) => {
			const field = element(i === 0 ? 'th' : 'td', cell);
			if (i === 0) field.setAttribute('scope', 'row');
			line.append(field);
		});
		box.append(line);
	}
	return box;
}

function element(tag: string, text: string, className = ''): HTMLElement {
	const made = document.createElement(tag);
	made.textContent = text;
	if (className !== '') made.className = className;
	return made;
}
