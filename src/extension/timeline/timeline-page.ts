/** One page of the Snapshot Timeline, in a view or in an editor: sends rows, carries out requests. */
import * as vscode from 'vscode';
import type { TimelineRecord } from '../../shared/engine-api.js';
import type { TimelineRow, TimelineRequest, ToExtension, ToPage } from '../../shared/timeline-protocol.js';
import { COMMANDS, INTERNAL_COMMANDS } from '../contributions.js';
import { messageOf } from '../engine-error.js';
import { plain } from '../plain.js';
import type { Services } from '../services.js';
import { sameState, type NamedState } from '../state-name.js';
import { webviewHtml } from '../webview-html.js';
import { stateOfRow } from './row-context.js';
import { timelineMachine, timelineRows, timelineStrings } from './timeline-rows.js';

/** Rows of a message: made within a few milliseconds, since the extension host does nothing else meanwhile. */
const ROWS_PER_MESSAGE = 250;
const SETTLE_MS = 150;

export class TimelinePage implements vscode.Disposable {
	readonly #disposables: vscode.Disposable[] = [];
	#revision = 0;
	#timer: ReturnType<typeof setTimeout> | undefined;
	#watch: { dispose(): void } | undefined;
	#isReady = false;
	/** What the page has. */
	#sent: readonly TimelineRecord[] = [];

	constructor(
		private readonly services: Services,
		private readonly webview: vscode.Webview,
		/** Shows a state's files in *Sources*. */
		private readonly reveal: (state: NamedState) => Promise<void>,
	) {
		webview.options = {
			enableScripts: true,
			localResourceRoots: [vscode.Uri.joinPath(services.context.extensionUri, 'dist', 'webview')],
		};
		this.#disposables.push(
			webview.onDidReceiveMessage((message: ToExtension) => this.#receive(message)),
			services.sources.onDidChange(() => this.#sendSoon()),
			services.sizes.onDidChange(() => this.#sendSoon()),
			services.comparison.onDidChange(() => this.#sendCompared()),
		);
		webview.html = webviewHtml(webview, services.context.extensionUri, 'timeline');
	}

	/** While the page is in sight, changes made elsewhere show within a second. */
	set visible(visible: boolean) {
		this.#watch?.dispose();
		this.#watch = visible ? this.services.sources.watch() : undefined;
	}

	dispose(): void {
		clearTimeout(this.#timer);
		this.#watch?.dispose();
		this.#revision++; // Ends what is being sent.
		for (const disposable of this.#disposables) disposable.dispose();
	}

	#post(message: ToPage): Thenable<boolean> {
		return this.webview.postMessage(message);
	}

	#receive(message: ToExtension): void {
		if (message.type === 'ready') {
			this.#isReady = true;
			// A page that was hidden and shown again is a new page, and knows nothing.
			this.#sent = [];
			void this.#post({ type: 'words', strings: timelineStrings() });
			void this.#send();
		} else if (message.type === 'painted') {
			this.services.log.debug(`timeline: ${message.rows} rows drawn in ${message.milliseconds} ms`);
		} else {
			void this.#carryOut(message).then(
				() => this.#post({ type: 'reply', id: message.id }),
				(error: unknown) => this.#post({ type: 'reply', id: message.id, error: plain(messageOf(error)) }),
			);
		}
	}

	#sendSoon(): void {
		clearTimeout(this.#timer);
		this.#timer = setTimeout(() => void this.#send(), SETTLE_MS);
	}

	async #send(): Promise<void> {
		if (!this.#isReady) return;
		const revision = ++this.#revision;
		const machines = await this.services.sources.load();
		// A machine that cannot be read has no rows; Sources says why.
		const known = await Promise.all(
			machines.map(({ record }) => this.services.sources.timeline(record.id).catch(() => undefined)),
		);
		if (revision !== this.#revision) return;
		const timelines = known
			.filter(timeline => timeline !== undefined)
			.map(timeline => this.services.sizes.in(timeline));
		const { length } = timelines;
		if (0 < length && length === this.#sent.length && timelines.every((each, i) => each === this.#sent[i])) return;
		await this.#post({ type: 'begin', revision, machines: timelines.map(timelineMachine) });
		for (const timeline of timelines) {
			for await (const rows of inPieces(timelineRows(timeline))) {
				if (revision !== this.#revision) return;
				await this.#post({ type: 'rows', revision, rows });
			}
		}
		this.#sent = timelines;
		await this.#post({ type: 'end', revision });
		this.#sendCompared();
	}

	#sendCompared(): void {
		const pairs = this.services.comparison.remembered;
		const idOf = ({ source, state }: NamedState) => `${source}/${state}`;
		const [first] = pairs;
		void this.#post({ type: 'compared', base: first ? idOf(first.a) : null, targets: pairs.map(({ b }) => idOf(b)) });
	}

	async #carryOut(request: TimelineRequest): Promise<void> {
		const stateOf = async (row: string): Promise<NamedState> => {
			const found = await stateOfRow(this.services, row);
			if (!found) throw new Error(vscode.l10n.t('This snapshot is gone.'));
			return found.state;
		};
		switch (request.action) {
			case 'compare': {
				const base = await stateOf(request.base);
				const targets = (await Promise.all(request.targets.map(stateOf))).filter(target => !sameState(target, base));
				await vscode.commands.executeCommand(INTERNAL_COMMANDS.compareStates, { base, targets });
				return;
			}
			case 'selectBase':
				this.services.base.select(request.row === null ? undefined : await stateOf(request.row));
				return;
			case 'openFiles':
				await this.reveal(await stateOf(request.row));
				return;
			case 'rollBack':
				await vscode.commands.executeCommand(COMMANDS.rollBack, { strataRow: request.row });
				return;
			case 'rename':
				await vscode.commands.executeCommand(COMMANDS.renameSnapshot, { strataRow: request.row });
				return;
			case 'delete':
				await vscode.commands.executeCommand(COMMANDS.deleteSnapshot, { strataRow: request.row });
				return;
		}
	}
}

async function* inPieces(rows: Iterable<TimelineRow>): AsyncGenerator<readonly TimelineRow[]> {
	let piece: TimelineRow[] = [];
	for (const row of rows) {
		piece.push(row);
		if (piece.length < ROWS_PER_MESSAGE) continue;
		yield piece;
		piece = [];
		// Whoever else waits for the extension host has its turn.
		await new Promise(resolve => setImmediate(resolve));
	}
	if (piece.length > 0) yield piece;
}
