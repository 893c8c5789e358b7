/**
 * The last command of a terminal that installed something: what the next snapshot is probably taken after. Only a
 * proposal: nobody knows whether it ran on the machine that is snapshotted. Knows no VS Code.
 */

/** Later, something else is the reason for a snapshot. */
export const RECENT_MS = 10 * 60_000;

const MAX_LABEL = 60;

/** What changes the software of a machine, by program. Each word is a verb; of npm and its kind only with `-g`. */
const VERBS: Readonly<Record<string, RegExp>> = {
	apt: /^(?:install|remove|purge|upgrade|full-upgrade|dist-upgrade|autoremove)$/,
	dnf: /^(?:install|remove|upgrade|update)$/,
	zypper: /^(?:install|in|remove|rm|update|up|dup)$/,
	apk: /^(?:add|del|upgrade)$/,
	pacman: /^-[SRU]\w*$/,
	snap: /^(?:install|remove|refresh)$/,
	pip: /^(?:install|uninstall)$/,
	npm: /^(?:install|i|add|uninstall|remove|update)$/,
};

const SAME: Readonly<Record<string, string>> = {
	'apt-get': 'apt',
	aptitude: 'apt',
	yum: 'dnf',
	microdnf: 'dnf',
	flatpak: 'snap',
	pip3: 'pip',
	pipx: 'pip',
	gem: 'pip',
	pnpm: 'npm',
};

const GLOBAL = /^(?:-g|--global)$/;

/**
 * The install of a command line, as a person would say it: "apt-get install nginx" of
 * `ssh dev 'sudo apt-get install -y nginx' && …`.
 */
export function installOf(commandLine: string): string | undefined {
	// The last of several commands is what happened last.
	for (const part of commandLine.split(/&&|\|\||[;\n|]/).reverse()) {
		const words = part
			.replaceAll(/["']/g, ' ')
			.split(/\s+/)
			.filter(word => word !== '');
		const at = words.findIndex(word => verbsOf(word) !== undefined);
		const program = words[at];
		if (program === undefined) continue;
		const [first, ...rest] = words.slice(at + 1).filter(word => !isOption(word) || verbsOf(program)!.test(word)); // OK: it was found by its verbs.
		if (first === undefined || !verbsOf(program)!.test(first)) continue; // OK: as above.
		if (SAME[program] === 'npm' || program === 'npm') if (!words.some(word => GLOBAL.test(word))) continue;
		const text = [program, first, ...rest].join(' ');
		return text.length <= MAX_LABEL ? text : `${text.slice(0, MAX_LABEL - 1).trimEnd()}…`;
	}
	return undefined;
}

export class RecentInstall {
	#last: { readonly text: string; readonly at: number } | undefined;

	/** @param exitCode `undefined` when the shell did not tell. */
	note(commandLine: string, exitCode: number | undefined, at: number): void {
		if (exitCode !== undefined && exitCode !== 0) return;
		const text = installOf(commandLine);
		if (text !== undefined) this.#last = { text, at };
	}

	/** What was installed in the last ten minutes. */
	at(now: number): string | undefined {
		return this.#last && now - this.#last.at <= RECENT_MS ? this.#last.text : undefined;
	}
}

function verbsOf(program: string): RegExp | undefined {
	const name = Object.hasOwn(SAME, program) ? SAME[program]! : program; // OK: it has the key.
	return Object.hasOwn(VERBS, name) ? VERBS[name] : undefined;
}

function isOption(word: string): boolean {
	return word.startsWith('-');
}
