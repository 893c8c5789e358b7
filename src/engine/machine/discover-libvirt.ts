/**
 * The machines that libvirt knows, by the XML files in which it keeps them.
 *
 * Supported: the name of a domain, its disks that are local files. Everything else is passed over; nothing is checked
 * against libvirt's schema, since the files are its own. A reader that asks for more than this would need a library.
 *
 * Source: libvirt.org, "Domain XML format".
 */

export interface LibvirtDomain {
	readonly name: string;
	/** Absolute paths, in the order of the file. */
	readonly disks: readonly string[];
}

/** A domain's XML has some 10 KiB. */
export const MAX_DOMAIN_XML = 4 * 1024 * 1024;
const MAX_DISKS = 256;

/** What a file says; `undefined` when it describes no domain. */
export function readDomainXml(xml: string): LibvirtDomain | undefined {
	const text = withoutComments(xml);
	const domain = text.search(/<domain[\s>]/);
	if (domain < 0) return undefined;
	const name = decode(/<name>\s*([^<]{1,1024}?)\s*<\/name>/.exec(text.slice(domain))?.[1] ?? '');
	if (name === '') return undefined;
	const disks: string[] = [];
	for (const disk of elements(text, 'disk')) {
		const device = attribute(disk, 'disk', 'device');
		if (device !== undefined && device !== 'disk') continue;
		const file = attribute(disk, 'source', 'file');
		if (file?.startsWith('/') && disks.length < MAX_DISKS) disks.push(file);
	}
	return { name, disks };
}

/** Whole elements of one name, outermost text first. Looks at each character once: the file may be anything. */
function* elements(text: string, name: string): Generator<string> {
	const opening = new RegExp(`<${name}[\\s>]`, 'g');
	for (let at = 0; ;) {
		opening.lastIndex = at;
		const start = opening.exec(text)?.index;
		if (start === undefined) return;
		const end = text.indexOf(`</${name}>`, start);
		if (end < 0) return;
		yield text.slice(start, end);
		at = end;
	}
}

/** An attribute of the first element of a name in `text`. */
function attribute(text: string, element: string, name: string): string | undefined {
	const start = text.search(new RegExp(`<${element}[\\s/>]`));
	if (start < 0) return undefined;
	const end = text.indexOf('>', start);
	const found = new RegExp(`\\s${name}\\s*=\\s*(?:'([^']*)'|"([^"]*)")`).exec(
		text.slice(start, end < 0 ? undefined : end),
	);
	const value = found?.[1] ?? found?.[2];
	return value === undefined ? undefined : decode(value);
}

function withoutComments(xml: string): string {
	let text = '';
	for (let at = 0; ;) {
		const start = xml.indexOf('<!--', at);
		if (start < 0) return text + xml.slice(at);
		text += xml.slice(at, start);
		const end = xml.indexOf('-->', start);
		if (end < 0) return text;
		at = end + 3;
	}
}

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

function decode(text: string): string {
	return text.replace(
		/&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|([a-z]{2,4}));/gi,
		(whole, decimal?: string, hex?: string, name?: string) => {
			if (name !== undefined) return ENTITIES[name] ?? whole;
			const code = decimal === undefined ? parseInt(hex ?? '', 16) : Number(decimal);
			return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
		},
	);
}
