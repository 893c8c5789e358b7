import type * as vscode from 'vscode';
import type { BaseSelection } from './changes/base-selection.js';
import type { ComparisonModel } from './changes/comparison.js';
import type { EngineClient } from './engine-client.js';
import type { QemuStatus } from './qemu-status.js';
import type { RecentInstall } from './recent-install.js';
import type { ExclusiveSizes } from './sources/exclusive-sizes.js';
import type { SourceStore } from './sources/source-store.js';

/** What the parts of the extension share. Made once, in `activate`. */
export interface Services {
	readonly context: vscode.ExtensionContext;
	readonly log: vscode.LogOutputChannel;
	readonly engine: EngineClient;
	readonly sources: SourceStore;
	readonly sizes: ExclusiveSizes;
	readonly comparison: ComparisonModel;
	readonly base: BaseSelection;
	readonly qemu: QemuStatus;
	readonly installs: RecentInstall;
}
