import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
	COLORS,
	COMMANDS,
	CONTAINERS,
	CONTEXT,
	IMAGE_EDITOR,
	INTERNAL_COMMANDS,
	SETTINGS,
	VIEWS,
	WALKTHROUGH,
} from '../../src/extension/contributions.js';

interface Item {
	readonly command?: string;
	readonly id?: string;
	readonly title?: string;
	readonly category?: string;
	readonly icon?: string;
	readonly enablement?: string;
	readonly when?: string;
	readonly group?: string;
	readonly viewType?: string;
	readonly media?: { readonly svg?: string; readonly image?: string; readonly altText?: string };
	readonly steps?: readonly Item[];
}

interface Manifest {
	readonly contributes: {
		readonly commands: readonly Item[];
		readonly menus: Readonly<Record<string, readonly Item[]>>;
		readonly views: Readonly<Record<string, readonly Item[]>>;
		readonly viewsContainers: Readonly<Record<string, readonly Item[]>>;
		readonly viewsWelcome: readonly (Item & { readonly contents: string })[];
		readonly keybindings: readonly Item[];
		readonly configuration: {
			readonly properties: Readonly<Record<string, { readonly markdownDescription?: string; readonly scope?: string }>>;
		};
		readonly colors: readonly Item[];
		readonly customEditors: readonly Item[];
		readonly walkthroughs: readonly Item[];
	};
	readonly capabilities: { readonly untrustedWorkspaces: { readonly restrictedConfigurations: readonly string[] } };
}

const text = readFileSync('package.json', 'utf8');
const manifest = JSON.parse(text) as Manifest;
const nls = JSON.parse(readFileSync('package.nls.json', 'utf8')) as Record<string, string>;
const { contributes } = manifest;
const sorted = (names: Iterable<string | undefined>) => [...names].map(String).sort();

test('commands are the same in package.json and in the code', () => {
	assert.deepEqual(sorted(contributes.commands.map(({ command }) => command)), sorted(Object.values(COMMANDS)));
});

test('views, containers, settings, colours, editors and walkthrough are the same', () => {
	const views = Object.values(contributes.views).flat();
	assert.deepEqual(sorted(views.map(({ id }) => id)), sorted(Object.values(VIEWS)));
	const containers = Object.values(contributes.viewsContainers).flat();
	assert.deepEqual(sorted(containers.map(({ id }) => id)), sorted(Object.values(CONTAINERS)));
	assert.deepEqual(sorted(Object.keys(contributes.configuration.properties)), sorted(Object.values(SETTINGS)));
	assert.deepEqual(sorted(contributes.colors.map(({ id }) => id)), sorted(Object.values(COLORS)));
	assert.deepEqual(sorted(contributes.customEditors.map(({ viewType }) => viewType)), [IMAGE_EDITOR]);
	assert.deepEqual(sorted(contributes.walkthroughs.map(({ id }) => id)), [WALKTHROUGH]);
});

test('every command has a title, the category, and an icon where it is shown as one', () => {
	for (const { command, title, category } of contributes.commands) {
		assert.equal(category, 'Strata', command);
		const name = nls[title!.slice(1, -1)];
		assert.ok(name, `${command} has no title`);
		assert.doesNotMatch(name, /!|please/i);
	}
	const icons = new Map(contributes.commands.map(item => [item.command, item.icon]));
	for (const item of Object.values(contributes.menus).flat()) {
		if (item.group?.startsWith('navigation') || item.group?.startsWith('inline')) {
			assert.ok(icons.get(item.command), `${item.command} is shown as an icon and has none`);
		}
	}
});

test('every inline action is also in the context menu', () => {
	const items = contributes.menus['view/item/context']!;
	const inMenu = new Set(items.filter(({ group }) => !group?.startsWith('inline')).map(({ command }) => command));
	for (const { command, group } of items) if (group?.startsWith('inline')) assert.ok(inMenu.has(command), command);
});

test('menus, keys and welcome texts name only commands that exist', () => {
	const known = new Set<string>(Object.values(COMMANDS));
	for (const view of Object.values(VIEWS)) known.add(`${view}.focus`);
	for (const item of [...Object.values(contributes.menus).flat(), ...contributes.keybindings]) {
		assert.ok(known.has(item.command!), item.command);
	}
	for (const sentence of Object.values(nls)) {
		for (const [, command] of sentence.matchAll(/\(command:([\w.]+)/g)) assert.ok(known.has(command!), command);
	}
});

test('conditions use only context keys that the code sets', () => {
	const known = new Set<string>(Object.values(CONTEXT));
	const views = new Set<string>(Object.values(VIEWS));
	for (const [, key] of text.matchAll(/(strata\.[\w.]+)/g)) {
		if (views.has(key!)) continue;
		const asCondition = new RegExp(`"(?:when|enablement)": "[^"]*\\b${key!.replaceAll('.', '\\.')}\\b`).test(text);
		if (asCondition) assert.ok(known.has(key!), key);
	}
	const code = sources();
	for (const [name] of Object.entries(CONTEXT)) assert.ok(code.includes(`CONTEXT.${name}`), name);
});

test('every command is registered', () => {
	const code = sources();
	for (const name of Object.keys(COMMANDS))
		assert.ok(code.includes(` COMMANDS.${name}`) || code.includes(`(COMMANDS.${name}`), name);
	for (const name of Object.keys(INTERNAL_COMMANDS)) assert.ok(code.includes(`INTERNAL_COMMANDS.${name}`), name);
});

test('every %key% is in package.nls.json, and nothing else is', () => {
	const used = new Set([...text.matchAll(/"%([\w.]+)%"/g)].map(([, key]) => key));
	assert.deepEqual(sorted(used), sorted(Object.keys(nls)));
});

test('settings are described, and those that name programs or folders are restricted', () => {
	for (const [name, setting] of Object.entries(contributes.configuration.properties)) {
		assert.ok(setting.markdownDescription, name);
	}
	const restricted = [...manifest.capabilities.untrustedWorkspaces.restrictedConfigurations];
	assert.deepEqual(sorted(restricted), sorted([SETTINGS.home, SETTINGS.qemuImgPath]));
	for (const name of restricted) assert.equal(contributes.configuration.properties[name]?.scope, 'machine');
});

test('the walkthrough has five steps with pictures', () => {
	const steps = contributes.walkthroughs[0]?.steps ?? [];
	assert.equal(steps.length, 5);
	for (const { media } of steps) {
		assert.ok(existsSync(media?.svg ?? media?.image ?? ''), JSON.stringify(media));
		assert.ok(media?.altText);
	}
});

test('the sentences for translators are those of the code', () => {
	const { status, stderr } = spawnSync(process.execPath, ['scripts/l10n.mjs', '--check'], { encoding: 'utf8' });
	assert.equal(status, 0, stderr);
});

function sources(): string {
	return readdirSync('src/extension', { recursive: true, encoding: 'utf8' })
		.filter(name => name.endsWith('.ts') && !name.endsWith('contributions.ts'))
		.map(name => readFileSync(join('src/extension', name), 'utf8'))
		.join('\n');
}
