/** Every command, and what does it. */
import * as vscode from 'vscode';
import type { ChangesView } from '../changes/changes-view.js';
import { COMMANDS, INTERNAL_COMMANDS } from '../contributions.js';
import type { DocumentAddress } from '../documents/addresses.js';
import { quiet } from '../notify.js';
import type { Services } from '../services.js';
import { findImages } from '../sources/add-machine.js';
import type { SourceNode } from '../sources/nodes.js';
import type { NamedState } from '../state-name.js';
import { statusMenu } from '../status-bar.js';
import type { FileVersions } from '../versions/versions-view.js';
import * as comparing from './comparing.js';
import { connect } from './connecting.js';
import * as files from './files.js';
import { register as registerOne, type Command } from './run.js';
import * as snapshots from './snapshots.js';
import * as sources from './sources.js';

export function registerCommands(
	services: Services,
	sourcesView: Pick<vscode.TreeView<SourceNode>, 'selection'>,
	changes: ChangesView,
	versions: FileVersions,
): void {
	// A key gives a command no row, only the wish for the selected one.
	const register = (id: string, command: Command) =>
		registerOne(services, id, async (all, argument, selection) => {
			if (!isKeyRequest(argument)) return await command(all, argument, selection);
			const rows = await selectedRows(sourcesView);
			return await command(all, rows[0], rows);
		});
	const { comparison, log, engine } = services;

	register(COMMANDS.addMachine, sources.addMachine);
	register(COMMANDS.findImages, findImages);
	register(COMMANDS.openExample, sources.openExample);
	register(COMMANDS.removeSource, sources.removeSource);
	register(COMMANDS.locateSource, sources.locateSource);
	register(COMMANDS.connect, connect);
	register(COMMANDS.refresh, async () => {
		await services.qemu.check();
		await Promise.all([services.sources.refresh(), comparison.refresh()]);
	});

	register(COMMANDS.takeSnapshot, snapshots.takeSnapshot);
	register(COMMANDS.rollBack, snapshots.rollBack);
	register(COMMANDS.undoRollback, snapshots.undoRollback);
	register(COMMANDS.renameSnapshot, snapshots.renameSnapshot);
	register(COMMANDS.editNote, snapshots.editNote);
	register(COMMANDS.deleteSnapshot, snapshots.deleteSnapshot);
	register(COMMANDS.settleSource, snapshots.settleSource);

	register(COMMANDS.selectAsBase, comparing.selectAsBase);
	register(COMMANDS.compareWithBase, comparing.compareWithBase);
	register(COMMANDS.compareWithParent, comparing.compareWithParent);
	register(COMMANDS.compareWithCurrent, comparing.compareWithCurrent);
	register(COMMANDS.compareWith, comparing.compareWith);
	register(COMMANDS.swapSides, () => comparison.swap());
	register(COMMANDS.openAllChanges, (_, argument) => comparing.openAllChanges(services, changes, argument));
	register(COMMANDS.openChange, comparing.openChange);
	register(COMMANDS.filterChanges, comparing.filterChanges);
	register(COMMANDS.clearFilter, () => void (comparison.filter = ''));
	register(COMMANDS.showNoise, () => comparison.setNoise('shown'));
	register(COMMANDS.hideNoise, () => comparison.setNoise('hidden'));
	register(COMMANDS.viewAsTree, () => void (comparison.layout = 'tree'));
	register(COMMANDS.viewAsList, () => void (comparison.layout = 'list'));
	register(COMMANDS.viewByPackage, () => void (comparison.layout = 'packages'));
	register(INTERNAL_COMMANDS.compareStates, (_, argument) => {
		const { base, targets } = argument as { base: NamedState; targets: readonly NamedState[] }; // OK: only our own code calls it.
		return comparing.compareStates(services, base, targets);
	});

	register(COMMANDS.openBytes, files.openBytes);
	register(COMMANDS.openProperties, files.openProperties);
	register(COMMANDS.goToFile, files.goToFile);
	register(COMMANDS.showFileVersions, (_, argument) => files.showFileVersions(services, versions, argument));
	register(COMMANDS.pinFileVersions, () => versions.pin(true));
	register(COMMANDS.unpinFileVersions, () => versions.pin(false));
	register(COMMANDS.restoreToHost, files.restoreToHost);
	register(COMMANDS.copyPath, files.copyPath);
	register(COMMANDS.copyAddress, files.copyAddress);
	register(INTERNAL_COMMANDS.openAnyway, files.openAnyway);
	register(INTERNAL_COMMANDS.openFile, (_, argument) => files.openFile(services, argument as DocumentAddress)); // OK: only our own code calls it.

	register(COMMANDS.showLog, () => log.show());
	register(COMMANDS.restartEngine, async () => {
		await engine.restart();
		await services.sources.refresh();
		quiet(vscode.l10n.t('The engine was restarted'));
	});
	register(COMMANDS.statusMenu, statusMenu);
}

/** How long a refresh of the tree may keep the selection away. */
const SELECTION_WAIT_MS = 600;
const SELECTION_POLL_MS = 20;

/**
 * The selected rows. While the tree is being refreshed VS Code knows none, though one is marked on the screen: a key pressed
 * just then must not ask which machine is meant.
 */
async function selectedRows(view: Pick<vscode.TreeView<SourceNode>, 'selection'>): Promise<readonly SourceNode[]> {
	const end = Date.now() + SELECTION_WAIT_MS;
	while (view.selection.length === 0 && Date.now() < end) {
		await new Promise(resolve => setTimeout(resolve, SELECTION_POLL_MS));
	}
	return view.selection;
}

/** `args` of the key bindings in package.json. */
function isKeyRequest(argument: unknown): boolean {
	return typeof argument === 'object' && argument !== null && 'selectedIn' in argument;
}
