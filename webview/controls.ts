/** The one place that knows which component library the page uses. */
import {
	provideVSCodeDesignSystem,
	vsCodeButton,
	vsCodeCheckbox,
	vsCodeDropdown,
	vsCodeOption,
	vsCodeTextField,
} from '@vscode/webview-ui-toolkit';

/** Registers the elements. Once a page. */
export function registerControls(): void {
	provideVSCodeDesignSystem().register(
		vsCodeButton(),
		vsCodeCheckbox(),
		vsCodeDropdown(),
		vsCodeOption(),
		vsCodeTextField(),
	);
}

export interface ButtonElement extends HTMLElement {
	disabled: boolean;
}

export function button(
	text: string,
	options: { readonly primary?: boolean; readonly onClick: () => void },
): ButtonElement {
	const element = document.createElement('vscode-button') as ButtonElement;
	element.setAttribute('appearance', options.primary ? 'primary' : 'secondary');
	element.textContent = text;
	element.addEventListener('click', () => {
		if (!element.disabled) options.onClick();
	});
	return element;
}

export interface ValueElement extends HTMLElement {
	value: string;
}

export function textField(placeholder: string, onInput: (value: string) => void): ValueElement {
	const element = document.createElement('vscode-text-field') as ValueElement;
	element.setAttribute('placeholder', placeholder);
	element.setAttribute('aria-label', placeholder);
	element.addEventListener('input', () => onInput(element.value));
	return element;
}

export function dropdown(label: string, onChange: (value: string) => void): ValueElement {
	const element = document.createElement('vscode-dropdown') as ValueElement;
	element.setAttribute('aria-label', label);
	element.addEventListener('change', () => onChange(element.value));
	return element;
}

export function setOptions(
	element: ValueElement,
	options: readonly (readonly [value: string, text: string])[],
	value: string,
): void {
	element.replaceChildren(
		...options.map(([each, text]) => {
			const option = document.createElement('vscode-option');
			option.setAttribute('value', each);
			option.textContent = text;
			return option;
		}),
	);
	// The element looks for the option of its value once the options are there.
	queueMicrotask(() => (element.value = value));
}

export interface CheckElement extends HTMLElement {
	checked: boolean;
}

export function checkbox(text: string, onChange: (checked: boolean) => void): CheckElement {
	const element = document.createElement('vscode-checkbox') as CheckElement;
	element.textContent = text;
	element.addEventListener('change', () => onChange(element.checked));
	return element;
}
