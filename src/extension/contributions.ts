/** Every name that package.json and the code share. A test compares the two, both ways. */

export const COMMANDS = {
	addMachine: 'strata.addMachine',
	findImages: 'strata.findImages',
	openExample: 'strata.openExample',
	removeSource: 'strata.removeSource',
	locateSource: 'strata.locateSource',
	settleSource: 'strata.settleSource',
	connect: 'strata.connect',
	refresh: 'strata.refresh',
	takeSnapshot: 'strata.takeSnapshot',
	rollBack: 'strata.rollBack',
	undoRollback: 'strata.undoRollback',
	renameSnapshot: 'strata.renameSnapshot',
	editNote: 'strata.editNote',
	deleteSnapshot: 'strata.deleteSnapshot',
	selectAsBase: 'strata.selectAsBase',
	compareWithBase: 'strata.compareWithBase',
	compareWithParent: 'strata.compareWithParent',
	compareWithCurrent: 'strata.compareWithCurrent',
	compareWith: 'strata.compareWith',
	swapSides: 'strata.swapSides',
	openAllChanges: 'strata.openAllChanges',
	openChange: 'strata.openChange',
	viewAsTree: 'strata.changes.viewAsTree',
	viewAsList: 'strata.changes.viewAsList',
	viewByPackage: 'strata.changes.viewByPackage',
	filterChanges: 'strata.changes.filter',
	clearFilter: 'strata.changes.clearFilter',
	showNoise: 'strata.changes.showNoise',
	hideNoise: 'strata.changes.hideNoise',
	openBytes: 'strata.openBytes',
	openProperties: 'strata.openProperties',
	goToFile: 'strata.goToFile',
	showFileVersions: 'strata.showFileVersions',
	pinFileVersions: 'strata.fileVersions.pin',
	unpinFileVersions: 'strata.fileVersions.unpin',
	restoreToHost: 'strata.restoreToHost',
	copyPath: 'strata.copyPath',
	copyAddress: 'strata.copyAddress',
	openTimeline: 'strata.openTimeline',
	showLog: 'strata.showLog',
	restartEngine: 'strata.restartEngine',
	statusMenu: 'strata.statusMenu',
} as const;

/** Commands of rows, lenses and messages: they are given what they work on, and stand in no menu. */
export const INTERNAL_COMMANDS = {
	showMore: 'strata.internal.showMore',
	openFile: 'strata.internal.openFile',
	openAnyway: 'strata.internal.openAnyway',
	compareStates: 'strata.internal.compareStates',
} as const;

export const CONTAINERS = { activityBar: 'strata', panel: 'strataPanel' } as const;

export const VIEWS = {
	sources: 'strata.sources',
	changes: 'strata.changes',
	fileVersions: 'strata.fileVersions',
	timeline: 'strata.timeline',
} as const;

export const CONTEXT = {
	/** loading, empty, ready */
	sourcesState: 'strata.sources.state',
	hasComparison: 'strata.hasComparison',
	hasBase: 'strata.hasBase',
	canUndo: 'strata.canUndo',
	/** found, missing */
	qemuImg: 'strata.qemuImg',
	/** tree, list, packages */
	changesLayout: 'strata.changes.layout',
	changesFiltered: 'strata.changes.filtered',
	/** none, hidden, shown */
	changesNoise: 'strata.changes.noise',
	fileVersionsPinned: 'strata.fileVersions.pinned',
} as const;

export const SETTINGS = {
	home: 'strata.home',
	qemuImgPath: 'strata.qemuImgPath',
	noiseRules: 'strata.noise.rules',
	noiseHide: 'strata.noise.hide',
	keepSafetySnapshots: 'strata.safetySnapshots.keep',
} as const;

export const COLORS = {
	added: 'strata.added',
	modified: 'strata.modified',
	deleted: 'strata.deleted',
	moved: 'strata.moved',
	metadata: 'strata.metadata',
	unreadable: 'strata.unreadable',
} as const;

export const IMAGE_EDITOR = 'strata.image';
export const TIMELINE_EDITOR = 'strata.timelineEditor';
export const WALKTHROUGH = 'strata.start';
