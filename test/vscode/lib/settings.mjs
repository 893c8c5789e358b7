// Settings of a VS Code in which nothing moves, blinks, pops up or asks, so that tests and screenshots repeat.

export const CALM_SETTINGS = {
	'workbench.startupEditor': 'none',
	'workbench.colorTheme': 'Default Dark Modern',
	'workbench.secondarySideBar.defaultVisibility': 'hidden',
	'chat.disableAIFeatures': true,
	'chat.commandCenter.enabled': false,
	'window.commandCenter': false,
	'window.menuBarVisibility': 'hidden',
	'window.restoreWindows': 'none',
	'window.title': '${activeEditorShort}${separator}${rootName}',
	'workbench.layoutControl.enabled': false,
	'workbench.tips.enabled': false,
	'workbench.editor.empty.hint': 'hidden',
	'workbench.welcomePage.walkthroughs.openOnInstall': false,
	'workbench.enableExperiments': false,
	'workbench.settings.enableNaturalLanguageSearch': false,
	'workbench.list.smoothScrolling': false,
	// Sticky rows are copies: a name would be found twice.
	'workbench.tree.enableStickyScroll': false,
	'editor.stickyScroll.enabled': false,
	'workbench.reduceMotion': 'on',
	'telemetry.telemetryLevel': 'off',
	'update.mode': 'none',
	'update.showReleaseNotes': false,
	'extensions.autoUpdate': false,
	'extensions.autoCheckUpdates': false,
	'extensions.ignoreRecommendations': true,
	'security.workspace.trust.enabled': false,
	'git.enabled': false,
	'git.openRepositoryInParentFolders': 'never',
	'npm.autoDetect': 'off',
	'remote.autoForwardPorts': false,
	'editor.cursorBlinking': 'solid',
	'editor.minimap.enabled': false,
	'editor.fontFamily': "'DejaVu Sans Mono', monospace",
	'terminal.integrated.fontFamily': "'DejaVu Sans Mono', monospace",
	'terminal.integrated.cursorBlinking': false,
	// Else the text of a terminal is pixels, and no test can read it.
	'terminal.integrated.gpuAcceleration': 'off',
	'terminal.integrated.initialHint': false,
	'files.autoSave': 'off',
	// Open and save dialogs as quick inputs: the browser's own could not be driven.
	'files.simpleDialog.enable': true,
};

export const THEMES = {
	dark: 'Default Dark Modern',
	light: 'Default Light Modern',
	contrast: 'Default High Contrast',
	contrastLight: 'Default High Contrast Light',
};
