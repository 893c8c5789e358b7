/** Shell completion: scripts for bash, zsh and fish, and the candidates that they ask for. */
import type { Command } from 'commander';
import { EngineError } from '../engine/util/errors.js';
import { rawFromText, textFromRaw } from '../engine/util/names.js';
import type { Context } from './context.js';

/** Commands whose first argument is a source, and those that also take `@SNAPSHOT`. */
const TAKES_STATE = ['info', 'rollback', 'delete', 'rename', 'note', 'ls', 'cat', 'diff', 'restore'];
const TAKES_SOURCE = ['remove', 'snapshots', 'snapshot', 'undo', 'settle', 'history'];
const TAKES_PATH = ['ls', 'cat', 'restore'];

/** @throws EngineError `ERR_USAGE` for a shell that there is no script for. */
export function completionScript(shell: string, program: Command): string {
	const commands = program.commands.map(command => command.name()).filter(name => !name.startsWith('__'));
	if (shell === 'bash') return bash(commands, program);
	if (shell === 'zsh') return zsh(program, commands);
	if (shell === 'fish') return fish(program, commands);
	throw new EngineError('ERR_USAGE', `no completion for "${shell}": bash, zsh or fish`);
}

/** Lines for `__complete KIND WORD`: `states`, `sources`, or `paths` (WORD is `ADDRESS PATH`). Never an error: a shell is waiting. */
export async function candidates(context: Context, kind: string, word: string): Promise<void> {
	try {
		if (kind === 'paths') {
			const [address, path = '/'] = splitOnce(word, ' ');
			const folder = path.slice(0, path.lastIndexOf('/') + 1) || '/';
			const state = await context.state(address);
			await context.engine.withTree(state, tree => {
				for (const entry of tree.list(rawFromText(folder))) {
					const text = folder + textFromRaw(entry.name) + (entry.kind === 'directory' ? '/' : '');
					if (text.startsWith(path)) context.line(text);
				}
			});
			return;
		}
		const sources = await context.engine.listSources();
		const [name, snapshot] = word.includes('@')
			? [word.slice(0, word.lastIndexOf('@')), word.slice(word.lastIndexOf('@') + 1)]
			: [word, undefined];
		if (kind === 'states' && snapshot !== undefined) {
			const timeline = await context.engine.timeline(await context.source(name));
			for (const candidate of ['current', ...timeline.snapshots.map(each => each.name)]) {
				if (candidate.startsWith(snapshot)) context.line(`${name}@${candidate}`);
			}
			return;
		}
		for (const source of sources) if (source.name.startsWith(name)) context.line(source.name);
	} catch (error) {
		if (!EngineError.is(error)) throw error;
	}
}

function splitOnce(text: string, separator: string): [string, string?] {
	const at = text.indexOf(separator);
	return at < 0 ? [text] : [text.slice(0, at), text.slice(at + separator.length)];
}

function optionsOf(program: Command, name: string): string[] {
	const command = program.commands.find(each => each.name() === name);
	return (command?.options ?? []).map(option => option.long ?? option.short ?? '').filter(text => text !== '');
}

function bash(commands: readonly string[], program: Command): string {
	const options = commands.map(name => `\t\t${name}) options="${optionsOf(program, name).join(' ')}" ;;`).join('\n');
	return `# strata completion for bash: eval "$(strata completion bash)"
_strata() {
	local word="\${COMP_WORDS[COMP_CWORD]}" line="\${COMP_LINE:0:COMP_POINT}" options="" kind=""
	# Words are cut again at blanks alone: readline also cuts them at "@" and ":".
	local -a words; read -ra words <<< "$line"; [[ "$line" == *" " ]] && words+=("")
	local n=$(( \${#words[@]} - 1 ))
	local command="\${words[1]}" current="\${words[n]}"
	COMPREPLY=()
	if (( n <= 1 )); then COMPREPLY=($(compgen -W "${commands.join(' ')}" -- "$current")); return; fi
	case "$command" in
${options}
	esac
	if [[ "$current" == -* ]]; then COMPREPLY=($(compgen -W "$options" -- "$current")); return; fi
	case "$command" in
		${TAKES_STATE.join('|')}) kind=states ;;
		${TAKES_SOURCE.join('|')}) kind=sources ;;
	esac
	if (( n >= 3 )); then
		case "$command" in ${TAKES_PATH.join('|')}) kind=paths; current="\${words[2]} $current" ;; diff) (( n >= 4 )) && kind="" ;; *) kind="" ;; esac
	fi
	if [[ -n "$kind" ]]; then
		# An "@" in front of the word belongs to what readline will replace.
		[[ "$word" != [@\\'\\"]* && "\${COMP_WORDS[COMP_CWORD-1]}" == *@ && "$current" == *"@$word" ]] && word="@$word"
		local found cut="\${words[n]%"$word"}"
		# Line by line: a name may hold blanks, and "*" is a name here.
		while IFS= read -r found; do COMPREPLY+=("$found"); done < <(strata __complete "$kind" "$current" 2>/dev/null)
		# What readline believes to be before the word is taken off again.
		COMPREPLY=("\${COMPREPLY[@]#"$cut"}")
		# Labels may hold blanks.
		local i; for i in "\${!COMPREPLY[@]}"; do COMPREPLY[i]=$(printf %q "\${COMPREPLY[i]}"); done
		[[ "\${COMPREPLY[0]}" == */ ]] && compopt -o nospace
	fi
	[[ \${#COMPREPLY[@]} -eq 0 ]] && compopt -o default
}
complete -F _strata strata
`;
}

function zsh(program: Command, commands: readonly string[]): string {
	const described = commands
		.map(name => `'${name}:${descriptionOf(program, name).replaceAll("'", '’').replaceAll(':', '\\:')}'`)
		.join(' ');
	return `#compdef strata
# strata completion for zsh: eval "$(strata completion zsh)"
_strata() {
	local -a commands found; local kind="" current="\${words[CURRENT]}"
	commands=(${described})
	if (( CURRENT == 2 )); then _describe command commands; return; fi
	case "\${words[2]}" in
		${TAKES_STATE.join('|')}) kind=states ;;
		${TAKES_SOURCE.join('|')}) kind=sources ;;
	esac
	if (( CURRENT >= 4 )); then
		case "\${words[2]}" in ${TAKES_PATH.join('|')}) kind=paths; current="\${words[3]} $current" ;; diff) (( CURRENT >= 5 )) && kind="" ;; *) kind="" ;; esac
	fi
	if [[ -n "$kind" ]]; then found=("\${(@f)$(strata __complete "$kind" "$current" 2>/dev/null)}"); compadd -S '' -- "\${found[@]}"; else _files; fi
}
compdef _strata strata
`;
}

function fish(program: Command, commands: readonly string[]): string {
	const lines = [
		'# strata completion for fish: strata completion fish | source',
		'complete -c strata -f',
		...commands.map(
			name =>
				`complete -c strata -n __fish_use_subcommand -a ${name} -d '${descriptionOf(program, name).replaceAll("'", '’')}'`,
		),
		`complete -c strata -n '__fish_seen_subcommand_from ${TAKES_STATE.join(' ')}' -a '(strata __complete states (commandline -ct) 2>/dev/null)'`,
		`complete -c strata -n '__fish_seen_subcommand_from ${TAKES_SOURCE.join(' ')}' -a '(strata __complete sources (commandline -ct) 2>/dev/null)'`,
		`complete -c strata -n '__fish_seen_subcommand_from add discover restore' -F`,
		...commands.flatMap(name =>
			optionsOf(program, name)
				.filter(option => option.startsWith('--'))
				.map(option => `complete -c strata -n '__fish_seen_subcommand_from ${name}' -l ${option.slice(2)}`),
		),
	];
	return `${lines.join('\n')}\n`;
}

function descriptionOf(program: Command, name: string): string {
	return program.commands.find(command => command.name() === name)?.description() ?? '';
}
