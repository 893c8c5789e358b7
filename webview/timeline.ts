/** The Snapshot Timeline's page: toolbar, map, grid; what the person does goes to the extension as requests. */
import type {
	TimelineMachine,
	TimelineRequest,
	TimelineRow,
	TimelineStrings,
	ToExtension,
	ToPage,
} from '../src/shared/timeline-protocol.js';
import './timeline.css';
import { button, checkbox, dropdown, registerControls, setOptions, textField } from './controls.js';
import { Grid } from './grid.js';
import { Minimap } from './minimap.js';
import { TimelineState, type SavedState } from './timeline-state.js';

interface Host {
	postMessage(message: ToExtension): void;
	getState(): SavedState | undefined;
	setState(state: SavedState): void;
}
declare function acquireVsCodeApi(): Host;

registerControls();
const host = acquireVsCodeApi();
const state = new TimelineState();
const saved = host.getState();
let strings: TimelineStrings | undefined;
let pending: { revision: number; machines: readonly TimelineMachine[]; rows: TimelineRow[] } | undefined;
let requests = 0;
let isFirst = true;

const machineField = dropdown('', value => {
	state.machine = value;
	redraw();
});
const filterField = textField('', value => {
	state.filter = value;
	redraw();
});
const hideOthers = checkbox('', checked => {
	state.hideOthers = checked;
	redraw();
});
const baseText = span('base');
const targetText = span('target');
const compareButton = button('', { primary: true, onClick: compare });
const status = span('status');
status.setAttribute('role', 'status');
const grid = new Grid(state, {
	select(id, how) {
		state.select(id, how);
		refresh();
	},
	open: row => request({ action: 'openFiles', row }),
	rollBack: row => request({ action: 'rollBack', row }),
	key: onKey,
	scrolled(newest, oldest) {
		minimap.mark(newest, oldest);
		saveSoon();
	},
});
const minimap = new Minimap(state, id => {
	state.select(id, 'single');
	refresh();
	grid.reveal(id);
});
const empty = document.createElement('p');
empty.className = 'empty';
(document.getElementById('root') ?? document.body).append(toolbar(), minimap.element, grid.element, empty);

window.addEventListener('message', (event: MessageEvent<ToPage>) => receive(event.data));
document.addEventListener('keydown', event => {
	// Letters belong to the grid alone: while a person types in a field they are text.
	if (!filterField.contains(document.activeElement)) return;
	if (event.key === 'Escape') {
		filterField.value = state.filter = '';
		redraw();
		grid.element.focus();
	} else if (event.key === 'ArrowDown' || event.key === 'Enter') {
		event.preventDefault();
		grid.element.focus();
	}
});
host.postMessage({ type: 'ready' });

function toolbar(): HTMLElement {
	const element = document.createElement('div');
	element.className = 'toolbar';
	element.setAttribute('role', 'toolbar');
	element.append(machineField, filterField, hideOthers, status, baseText, targetText, compareButton);
	return element;
}

function receive(message: ToPage): void {
	switch (message.type) {
		case 'words':
			setStrings(message.strings);
			empty.textContent = message.strings.loading;
			return;
		case 'begin':
			pending = { revision: message.revision, machines: message.machines, rows: [] };
			return;
		case 'rows':
			if (pending?.revision === message.revision) pending.rows.push(...message.rows);
			return;
		case 'end':
			if (pending?.revision === message.revision) show(pending.machines, pending.rows, message.revision);
			return;
		case 'compared':
			state.base = message.base ?? state.base;
			state.targets = message.targets;
			refresh();
			return;
		case 'reveal':
			state.select(message.row, 'single');
			refresh();
			grid.reveal(message.row);
			return;
		case 'reply':
			status.textContent = message.error ?? '';
			return;
	}
}

function show(machines: readonly TimelineMachine[], rows: readonly TimelineRow[], revision: number): void {
	const started = performance.now();
	pending = undefined;
	if (isFirst && saved) {
		state.filter = saved.filter;
		state.machine = saved.machine;
		state.hideOthers = saved.hideOthers;
		state.base = saved.base;
		state.active = saved.active;
		for (const id of saved.selected) state.selected.add(id);
		filterField.value = saved.filter;
		hideOthers.checked = saved.hideOthers;
	}
	state.setRows(machines, rows);
	const all = strings?.allMachines ?? '';
	setOptions(
		machineField,
		[['', all], ...machines.map(({ id, name, status: words }) => [id, words ? `${name} (${words})` : name] as const)],
		state.machine,
	);
	machineField.hidden = machines.length < 2;
	document.body.classList.toggle('one-machine', machines.length < 2);
	refresh();
	minimap.refresh();
	if (isFirst && saved) grid.element.scrollTop = saved.scrollTop;
	isFirst = false;
	requestAnimationFrame(() =>
		requestAnimationFrame(() =>
			host.postMessage({
				type: 'painted',
				revision,
				rows: rows.length,
				milliseconds: Math.round(performance.now() - started),
			}),
		),
	);
}

function setStrings(words: TimelineStrings): void {
	strings = words;
	grid.setStrings(words);
	minimap.setLabel(words.activity);
	filterField.setAttribute('placeholder', words.filter);
	filterField.setAttribute('aria-label', words.filter);
	machineField.setAttribute('aria-label', words.machine);
	hideOthers.textContent = words.hideOthers;
	compareButton.textContent = words.compare;
}

/** After what is shown changed. */
function redraw(): void {
	state.refresh();
	minimap.refresh();
	refresh();
}

/** After marks or selection changed. */
function refresh(): void {
	const name = (id: string | null | undefined) => state.row(id ?? null)?.label;
	const comparison = state.comparison();
	compareButton.disabled = comparison === undefined;
	const base = name(comparison?.base ?? state.base);
	baseText.textContent = base === undefined ? '' : `◇ ${base}`;
	baseText.title = strings?.base ?? '';
	const [first, ...rest] = comparison?.targets ?? state.targets;
	const target = name(first);
	targetText.textContent = target === undefined ? '' : `◆ ${target}${rest.length > 0 ? ` +${rest.length}` : ''}`;
	targetText.title = strings?.target ?? '';
	const isFiltered = state.filter !== '' || state.machine !== '';
	status.textContent = isFiltered
		? (strings?.matches ?? '').replace('{0}', String(state.matchCount)).replace('{1}', String(state.rows.length))
		: '';
	empty.textContent =
		state.rows.length === 0 ? (strings?.empty ?? '') : state.items.length === 0 ? (strings?.noMatch ?? '') : '';
	empty.hidden = empty.textContent === '';
	grid.element.hidden = state.items.length === 0;
	grid.refresh();
	saveSoon();
}

function onKey(event: KeyboardEvent): void {
	const isModified = event.ctrlKey || event.metaKey || event.altKey;
	const walk = (step: number) => {
		const id = state.neighbour(step);
		if (id === null) return;
		if (event.ctrlKey || event.metaKey) state.active = id;
		else state.select(id, event.shiftKey ? 'range' : 'single');
		grid.reveal(id);
	};
	const { active } = state;
	const keys: Readonly<Record<string, () => void>> = {
		ArrowDown: () => walk(1),
		ArrowUp: () => walk(-1),
		PageDown: () => walk(grid.visibleRows - 1),
		PageUp: () => walk(1 - grid.visibleRows),
		Home: () => walk(-state.items.length),
		End: () => walk(state.items.length),
		Enter: () => (state.comparison() ? compare() : active !== null && request({ action: 'openFiles', row: active })),
		' ': () => active !== null && state.select(active, 'toggle'),
		b: () => {
			state.base = state.base === active ? null : active;
			request({ action: 'selectBase', row: state.base });
		},
		'/': () => filterField.focus(),
		F2: () => active !== null && request({ action: 'rename', row: active }),
		Delete: () => active !== null && request({ action: 'delete', row: active }),
		Escape: () => {
			if (state.filter === '') return state.selected.clear();
			filterField.value = state.filter = '';
			redraw();
		},
	};
	const action = keys[event.key];
	// Ctrl+B and their like are VS Code's; with arrows, Ctrl walks without selecting.
	if (!action || event.altKey || (isModified && !/^(Arrow|Page|Home|End| )/.test(event.key))) return;
	event.preventDefault();
	action();
	refresh();
}

function compare(): void {
	const comparison = state.comparison();
	if (comparison) request({ action: 'compare', ...comparison });
}

function request(wanted: TimelineRequest): void {
	host.postMessage({ type: 'request', id: ++requests, ...wanted });
}

let saving: ReturnType<typeof setTimeout> | undefined;

/** VS Code gets what is to survive a reload once a person rests: a scroll has sixty steps a second. */
function saveSoon(): void {
	clearTimeout(saving);
	saving = setTimeout(save, 200);
}

function save(): void {
	host.setState({
		filter: state.filter,
		machine: state.machine,
		hideOthers: state.hideOthers,
		base: state.base,
		selected: [...state.selected].slice(0, 1000),
		active: state.active,
		scrollTop: grid.element.scrollTop,
	});
}

function span(className: string): HTMLElement {
	const element = document.createElement('span');
	element.className = className;
	return element;
}
