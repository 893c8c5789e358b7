/**
 * Which names from an image may become names on this host: one component at a time, and never a path.
 *
 * Sources: POSIX on what a name may hold; Microsoft, "Naming Files, Paths, and Namespaces".
 */
import { bytesFromRaw, type RawName } from '../util/names.js';

/** What Linux, macOS and Windows take as one component. */
const MAX_NAME_BYTES = 255;
/** Devices, with and without an extension. The superscript digits are devices too. */
const WINDOWS_DEVICE =
	/^(?:con|prn|aux|nul|conin\$|conout\$|com[0-9\u00b9\u00b2\u00b3]|lpt[0-9\u00b9\u00b2\u00b3])[ ]*(?:\.|:|$)/i;
/** The colon would name a stream of another file. */
const WINDOWS_RESERVED = /[\x00-\x1f<>:"/\\|?*]/;

/** Why a name is not used on a host of `platform` (`process.platform`); `undefined` when it may be. */
export function whyNameRefused(name: RawName, platform: string): string | undefined {
	if (name === '') return 'its name is empty';
	if (name === '.' || name === '..') return 'its name leads out of its folder';
	if (name.includes('/')) return 'its name holds a path separator';
	if (name.includes('\0')) return 'its name holds a NUL byte';
	if (MAX_NAME_BYTES < name.length) return 'its name is too long';
	if (platform === 'linux') return undefined;
	const text = Buffer.from(bytesFromRaw(name)).toString('utf8');
	if (Buffer.from(text, 'utf8').toString('latin1') !== name) return 'its name is not UTF-8, which this system needs';
	if (platform !== 'win32') return undefined;
	if (WINDOWS_RESERVED.test(text)) return 'its name holds a character that Windows reserves';
	if (WINDOWS_DEVICE.test(text)) return 'its name is that of a device on Windows';
	if (/[. ]$/.test(text)) return 'its name ends in a dot or a blank, which Windows drops';
	return undefined;
}

/** The form of a name under which a file system without case keeps it: equal forms are one file there. */
export function foldName(name: RawName): string {
	const text = Buffer.from(bytesFromRaw(name)).toString('utf8').normalize('NFC');
	// Up and down again: some letters have one capital and two small forms.
	return text.toUpperCase().toLowerCase().normalize('NFC');
}
