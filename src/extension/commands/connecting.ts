/** Saying how a machine is reached while it runs. */
import { isAbsolute } from 'node:path';
import * as vscode from 'vscode';
import type { MachineConnection } from '../../shared/engine-api.js';
import { input, quiet } from '../notify.js';
import type { Services } from '../services.js';
import { machineFor } from './targets.js';

export async function connect(services: Services, argument: unknown): Promise<void> {
	const machine = await machineFor(services, argument, vscode.l10n.t('Connect to Running Machine'));
	if (!machine) return;
	const { id, name, connection } = machine.record;
	const title = vscode.l10n.t('Connect to {0}', name);
	const qmp = await input({
		title: vscode.l10n.t('{0} (1 of 2)', title),
		prompt: vscode.l10n.t(
			'QMP socket of the running machine: its absolute path, as in -qmp unix:PATH,server=on,wait=off; or tcp:HOST:PORT. Empty to forget it.',
		),
		value: connection?.qmp ?? '',
		validate: addressProblem,
	});
	if (qmp === undefined) return;
	let agent: string | undefined = '';
	if (qmp.trim() !== '') {
		agent = await input({
			title: vscode.l10n.t('{0} (2 of 2)', title),
			prompt: vscode.l10n.t(
				'Socket of the guest agent, with which validated snapshots are taken. Empty when there is none.',
			),
			value: connection?.agent ?? '',
			validate: addressProblem,
		});
	}
	if (agent === undefined) return;
	const wanted = connectionWith(connection, qmp, agent);
	await services.engine.setConnection(id, wanted ?? null);
	await services.sources.refresh();
	await services.sources.reload(id);
	quiet(
		wanted?.qmp === undefined
			? vscode.l10n.t('How {0} is reached while it runs is forgotten', name)
			: vscode.l10n.t('{0} is reached through {1} while it runs', name, wanted.qmp),
	);
}

/** What else is known of the machine stays. */
function connectionWith(
	before: MachineConnection | undefined,
	qmp: string,
	agent: string,
): MachineConnection | undefined {
	const { qmp: _qmp, agent: _agent, ...others } = before ?? {};
	const addresses = Object.entries({ qmp, agent }).flatMap(([key, text]) =>
		text.trim() === '' ? [] : [[key, addressOf(text)] as const],
	);
	const wanted: MachineConnection = { ...others, ...Object.fromEntries(addresses) };
	return Object.keys(wanted).length === 0 ? undefined : wanted;
}

/** As QEMU's own option may be written: `unix:PATH`, or the path alone. */
function addressOf(text: string): string {
	return text.trim().replace(/^unix:/, '');
}

function addressProblem(text: string): string | undefined {
	const address = addressOf(text);
	if (address === '' || isAbsolute(address) || /^tcp:.+:\d{1,5}$/.test(address)) return undefined;
	return vscode.l10n.t('An absolute path, or tcp:HOST:PORT');
}
