import { l10n } from 'vscode';

/** The beginning of a file as bytes and characters, sixteen a line. */
export function hexDump(bytes: Uint8Array, size: number): string {
	const lines: string[] = [];
	for (let at = 0; at < bytes.length; at += 16) {
		const row = [...bytes.subarray(at, at + 16)];
		const hex = row.map(byte => byte.toString(16).padStart(2, '0')).join(' ');
		const text = row.map(byte => (0x20 <= byte && byte < 0x7f ? String.fromCharCode(byte) : '.')).join('');
		lines.push(`${at.toString(16).padStart(8, '0')}  ${hex.padEnd(47)}  ${text}`);
	}
	if (bytes.length < size) lines.push(l10n.t('… {0} more bytes', (size - bytes.length).toLocaleString()));
	return `${lines.join('\n')}\n`;
}
