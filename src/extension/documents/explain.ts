/** Why a file is not shown, what is known of it, and what can still be done: the text of `strata-text:…?explain`. */
import { l10n } from 'vscode';
import type { FileFacts } from '../../shared/engine-api.js';
import { StrataError } from '../engine-error.js';
import { nameOf } from '../sources/rows.js';
import type { NamedState } from '../state-name.js';
import { sizeText } from '../words.js';
import { MAX_FILE_BYTES, MAX_LINE_CHARACTERS, MAX_RENDERED_BYTES, obstacle } from './resolver.js';

/** One paragraph. The buttons above it are code lenses. */
export function explanationText(state: NamedState, path: string, facts: FileFacts): string {
	const name = nameOf(path);
	const { size } = facts.entry;
	const reason = obstacle(facts);
	switch (reason) {
		case 'large':
			return paragraph(
				l10n.t('{0} is too large to open.', name),
				l10n.t(
					'It has {0}; Strata opens text up to {1}, and sums up other files up to {2}.',
					sizeText(size),
					sizeText(MAX_FILE_BYTES),
					sizeText(MAX_RENDERED_BYTES),
				),
				l10n.t(
					'Restore it to this computer to read it with another program; Restore to Host copies it piece by piece.',
				),
			);
		case 'long':
			return paragraph(
				l10n.t('{0} has very long lines.', name),
				l10n.t(
					'Its longest line has {0} characters; above {1} the editor becomes slow or stops answering.',
					facts.longestLine.toLocaleString(),
					MAX_LINE_CHARACTERS.toLocaleString(),
				),
				l10n.t('Open it anyway, or restore it to this computer.'),
			);
		case 'encrypted':
			return paragraph(
				l10n.t('{0} is encrypted.', name),
				l10n.t('Its content was encrypted by the machine, and the key is not in the image.'),
				facts.error?.message ?? '',
			);
		case 'unreadable':
			return paragraph(
				l10n.t('{0} cannot be read in "{1}".', name, state.label),
				facts.error ? errorText(facts.error.code, facts.error.message) : '',
				l10n.t('Its properties may still be readable, and other snapshots may hold it undamaged: see File Versions.'),
			);
		case undefined:
			return paragraph(
				l10n.t('{0} is readable.', name),
				l10n.t('It has {0}, and is shown here beside a version that cannot be shown.', sizeText(size)),
			);
	}
}

/** The same for a file of which not even the facts could be had. */
export function failureText(state: NamedState, path: string, error: unknown): string {
	const strata = StrataError.is(error) ? error : undefined;
	const heading =
		strata?.code === 'ERR_NOT_FOUND'
			? l10n.t('{0} does not exist in "{1}".', nameOf(path), state.label)
			: l10n.t('{0} cannot be opened in "{1}".', nameOf(path), state.label);
	const message = error instanceof Error ? error.message : String(error);
	const advice =
		strata?.code === 'ERR_BUSY'
			? l10n.t('While a hypervisor holds the image, its snapshots can be read, its current state cannot.')
			: l10n.t('The log of Strata may have more.');
	return paragraph(heading, errorText(strata?.code ?? '', message), advice);
}

/** The groups that a reader must be able to tell apart, each in its own words. */
export function errorText(code: string, message: string): string {
	switch (code) {
		case 'ERR_CORRUPT':
			return l10n.t('It is damaged: {0}', message);
		case 'ERR_UNSUPPORTED':
			return l10n.t('Strata does not support this yet: {0}', message);
		case 'ERR_ENCRYPTED':
			return l10n.t('It is encrypted: {0}', message);
		case 'ERR_IO':
			return l10n.t('It could not be read: {0}', message);
		case 'ERR_LIMIT':
			return l10n.t('It is too large: {0}', message);
		default:
			return message;
	}
}

function paragraph(...sentences: readonly string[]): string {
	return `${sentences.filter(sentence => sentence !== '').join('\n\n')}\n`;
}
