/**
 * Text that stands for a file that is not text, so that the editor's own diff shows what changed in it.
 * The first line says what the text is a rendering of. A file that cannot be understood is rendered as bytes.
 */
import { createHash } from 'node:crypto';
import type { ByteSource } from '../io/source.js';
import { EngineError } from '../util/errors.js';
import { UNWATCHED, type Work } from '../util/work.js';
import { contentKind } from './file-kind.js';
import { renderArchive } from './render-archive.js';
import { renderElf } from './render-elf.js';
import { renderSqlite } from './render-sqlite.js';

const MAX_RENDERED = 256 * 1024 * 1024;
const HEAD_BYTES = 4096;

export const RENDERERS = ['auto', 'sqlite', 'elf', 'archive', 'binary'] as const;
export type Renderer = (typeof RENDERERS)[number];

/** @throws EngineError `ERR_CANCELLED`; what reading the file throws. A damaged database or archive does not throw. */
export async function render(file: ByteSource, renderer: Renderer, work: Work = UNWATCHED): Promise<string> {
	const kind = renderer === 'auto' ? contentKind(file) : renderer;
	const readWhole = () => {
		if (MAX_RENDERED < file.size) throw new EngineError('ERR_LIMIT', `${file.size} bytes are too many to render`);
		const bytes = Buffer.alloc(file.size);
		file.read(0, bytes);
		return bytes;
	};
	try {
		if (kind === 'sqlite') return await renderSqlite(readWhole());
		if (kind === 'elf') return renderElf(file);
		if (kind === 'archive') return renderArchive(readWhole());
	} catch (error) {
		if (EngineError.is(error, 'ERR_IO') || EngineError.is(error, 'ERR_CANCELLED')) throw error;
		const reason = error instanceof Error ? error.message : String(error);
		return `Not readable as ${kind}: ${printable(reason)}\n\n${renderBinary(file, work)}`;
	}
	return renderBinary(file, work);
}

/** Size, hash and first bytes: enough to see that two files differ, and where they begin to. */
export function renderBinary(file: ByteSource, work: Work = UNWATCHED): string {
	const hash = createHash('sha256');
	const part = Buffer.alloc(Math.min(1024 * 1024, file.size));
	for (let at = 0; at < file.size; at += part.length) {
		work.throwIfCancelled();
		const piece = part.subarray(0, Math.min(part.length, file.size - at));
		file.read(at, piece);
		hash.update(piece);
		work.report({ step: 'Reading', done: at + piece.length, total: file.size, unit: 'bytes' });
	}
	const head = Buffer.alloc(Math.min(HEAD_BYTES, file.size));
	file.read(0, head);
	const lines = [`Binary file`, `size    ${file.size} bytes`, `sha256  ${hash.digest('hex')}`, ''];
	for (let at = 0; at < head.length; at += 16) lines.push(hexLine(head.subarray(at, at + 16), at));
	if (head.length < file.size) lines.push(`… ${file.size - head.length} more bytes`);
	return `${lines.join('\n')}\n`;
}

/** Control characters and line ends of foreign text, made visible, so that one value stays on one line. */
export function printable(text: string): string {
	return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, character =>
		character === '\n'
			? '\\n'
			: character === '\t'
				? '\\t'
				: `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
	);
}

function hexLine(bytes: Uint8Array, at: number): string {
	const hex = [...bytes].map(byte => byte.toString(16).padStart(2, '0')).join(' ');
	const text = [...bytes].map(byte => (0x20 <= byte && byte < 0x7f ? String.fromCharCode(byte) : '.')).join('');
	return `${at.toString(16).padStart(8, '0')}  ${hex.padEnd(47)}  ${text}`;
}
