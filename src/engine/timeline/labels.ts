/** Which names a new snapshot may have, and those that Strata gives by itself. */
import type { SnapshotRecord } from '../../shared/records.js';
import { EngineError } from '../util/errors.js';
import { rawFromBytes, textFromRaw } from '../util/names.js';
import { BASE, CURRENT } from './address.js';

/** In UTF-8. qcow2 allows 65,535; QEMU's tools cut at 255. */
const MAX_LABEL_BYTES = 200;

type Named = Pick<SnapshotRecord, 'id' | 'key' | 'name' | 'tag'>;

/**
 * @param others The snapshots that there are, without the one that is renamed.
 * @throws EngineError `ERR_USAGE` for a label that could be taken for something else; `ERR_EXISTS`.
 */
export function checkLabel(label: string, others: readonly Named[]): void {
	const bytes = Buffer.byteLength(label, 'utf8');
	const text = labelText(label);
	const refuse = (why: string) => {
		throw new EngineError('ERR_USAGE', `"${text.slice(0, 80)}" cannot be a label: ${why}`);
	};
	if (bytes === 0) refuse('it is empty');
	if (MAX_LABEL_BYTES < bytes) refuse(`it has ${bytes} bytes, and ${MAX_LABEL_BYTES} are allowed`);
	if (/[\p{Cc}\p{Cs}]/u.test(label)) refuse('it has control characters');
	if (label.trim() !== label) refuse('it begins or ends with a space');
	if (/^\d+$/.test(label)) refuse('a number is taken for an id');
	if (label === CURRENT || label === BASE) refuse(`"${label}" names a state of its own`);
	for (const other of others) {
		if (other.name === text || other.tag === text) {
			throw new EngineError(
				'ERR_EXISTS',
				`a snapshot is called "${text}" already (id ${other.id}); choose another label`,
			);
		}
		if (other.id === text || other.key === text)
			refuse(`it is the ${other.id === text ? 'id' : 'key'} of the snapshot "${other.name}"`);
	}
}

/** As records show it. */
export function labelText(label: string): string {
	return textFromRaw(rawFromBytes(Buffer.from(label, 'utf8')));
}

/** "before rollback 17:52", with a number when that is taken. */
export function safetyName(what: 'rollback' | 'undo', now: Date, others: readonly Named[]): string {
	const clock = [now.getHours(), now.getMinutes()].map(part => String(part).padStart(2, '0')).join(':');
	const plain = `before ${what} ${clock}`;
	let name = plain;
	for (let copy = 2; others.some(other => other.name === name || other.tag === name); copy++)
		name = `${plain} (${copy})`;
	return name;
}
