// Two small extensions for measuring: an empty one, and one that profiles the extension host which it shares with Strata.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const repository = resolve(dirname(fileURLToPath(import.meta.url)), '..', '..', '..');
/** Microseconds between two looks at the stack. */
const INTERVAL = 500;
/** A gap that is longer than so many looks counts as no more: another program had the processor. */
const PREEMPTED = 1.5;

const EMPTY = `exports.activate = () => undefined;`;
const PROBE = `
const vscode = require('vscode');
const { writeFileSync } = require('node:fs');
let session;
const post = (method, parameters) =>
	new Promise((done, failed) => session.post(method, parameters, (error, result) => (error ? failed(error) : done(result))));
exports.activate = context => {
	context.subscriptions.push(
		vscode.commands.registerCommand('probe.start', async () => {
			session = new (require('node:inspector').Session)();
			session.connect();
			await post('Profiler.enable');
			await post('Profiler.setSamplingInterval', { interval: ${INTERVAL} });
			await post('Profiler.start');
			vscode.window.setStatusBarMessage('probe: started');
		}),
		vscode.commands.registerCommand('probe.stop', async () => {
			const { profile } = await post('Profiler.stop');
			session.disconnect();
			writeFileSync(process.env.STRATA_PROBE, JSON.stringify(profile));
			vscode.window.setStatusBarMessage('probe: stopped');
		}),
	);
};`;

/** @returns the .vsix files of both */
export function buildProbes(folder) {
	return [
		['empty', EMPTY, {}],
		[
			'probe',
			PROBE,
			{
				commands: [
					{ command: 'probe.start', title: 'Start', category: 'Probe' },
					{ command: 'probe.stop', title: 'Stop', category: 'Probe' },
				],
			},
		],
	].map(([name, code, contributes]) => {
		const source = join(folder, name);
		mkdirSync(source, { recursive: true });
		const manifest = {
			name,
			publisher: 'strata-test',
			version: '0.0.1',
			engines: { vscode: '^1.100.0' },
			main: './main.js',
			activationEvents: ['onStartupFinished'],
			contributes,
		};
		writeFileSync(join(source, 'package.json'), JSON.stringify(manifest));
		writeFileSync(join(source, 'main.js'), code);
		const vsix = join(folder, `${name}.vsix`);
		const vsce = join(repository, 'node_modules', '.bin', 'vsce');
		const packed = spawnSync(
			vsce,
			['package', '--no-dependencies', '--allow-missing-repository', '--skip-license', '--out', vsix],
			{ cwd: source, encoding: 'utf8' },
		);
		if (packed.status !== 0) throw new Error(`${packed.stdout}\n${packed.stderr}`);
		return vsix;
	});
}

/** Profiles the extension host while `action` runs. @returns what `readProfile` tells */
export async function profiled(workbench, file, action) {
	await workbench.runCommand('Probe: Start');
	await workbench.page.locator('.statusbar-item', { hasText: 'probe: started' }).waitFor();
	await action();
	await workbench.runCommand('Probe: Stop');
	await workbench.page.locator('.statusbar-item', { hasText: 'probe: stopped' }).waitFor({ timeout: 60_000 });
	return readProfile(JSON.parse(readFileSync(file, 'utf8')));
}

/**
 * The longest stretch in which nothing but Strata could run: looks one after the other that all have a frame of its
 * bundle, or that collect garbage in between. Time that another program took is left out.
 */
export function readProfile({ nodes, samples, timeDeltas }) {
	const byId = new Map(nodes.map(node => [node.id, node]));
	const parents = new Map(nodes.flatMap(node => (node.children ?? []).map(child => [child, node.id])));
	const isOurs = new Map();
	const ours = id => {
		if (id === undefined) return false;
		if (!isOurs.has(id)) {
			isOurs.set(
				id,
				/strata\.strata-[^/]*\/dist\/extension\.cjs$/.test(byId.get(id).callFrame.url) || ours(parents.get(id)),
			);
		}
		return isOurs.get(id);
	};
	let total = 0;
	let stretch = 0;
	let garbage = 0;
	let inside = new Map();
	const stretches = [];
	const end = () => {
		if (stretch > 0) stretches.push({ milliseconds: stretch / 1000, where: most(inside) });
		[stretch, garbage, inside] = [0, 0, new Map()];
	};
	samples.forEach((id, index) => {
		const took = Math.min(timeDeltas[index + 1] ?? INTERVAL, INTERVAL * PREEMPTED);
		const { functionName } = byId.get(id).callFrame;
		if (ours(id)) {
			total += took;
			// Only between two looks that are ours: what comes behind may be another's.
			stretch += garbage + took;
			garbage = 0;
			const name = nearest(id);
			inside.set(name, (inside.get(name) ?? 0) + took);
		} else if (functionName === '(garbage collector)' && stretch > 0) garbage += took;
		else end();
	});
	end();
	stretches.sort((a, b) => b.milliseconds - a.milliseconds);
	return { longest: stretches[0]?.milliseconds ?? 0, total: total / 1000, stretches: stretches.slice(0, 5) };

	/** The innermost function of ours on the stack. */
	function nearest(id) {
		for (let at = id; at !== undefined; at = parents.get(at)) {
			const { url, functionName, lineNumber, columnNumber } = byId.get(at).callFrame;
			if (url.endsWith('extension.cjs')) return `${functionName || 'anonymous'}:${lineNumber + 1}:${columnNumber + 1}`;
		}
		return '';
	}
}

function most(times) {
	return [...times]
		.sort((a, b) => b[1] - a[1])
		.slice(0, 4)
		.map(([name, took]) => `${name} ${(took / 1000).toFixed(1)}`)
		.join(', ');
}
