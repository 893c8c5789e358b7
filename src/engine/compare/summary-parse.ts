/** Readers of the text databases that systems keep about themselves. All tolerate damage: a line that makes no sense is skipped. */

export interface PackageSet {
	/** Name to version, of what is installed. */
	readonly versions: ReadonlyMap<string, string>;
	/** Path to name, where the database holds the files. */
	readonly files: ReadonlyMap<string, string>;
}

/** dpkg's status file: paragraphs of `Field: value`. Source: deb-control(5), dpkg(1) "Package states". */
export function dpkgPackages(text: string): PackageSet {
	const versions = new Map<string, string>();
	for (const paragraph of text.split(/\n\s*\n/)) {
		const name = /^Package: (\S+)$/m.exec(paragraph)?.[1];
		const version = /^Version: (\S+)$/m.exec(paragraph)?.[1];
		const status = /^Status: (.+)$/m.exec(paragraph)?.[1];
		if (!name || !version || !status?.endsWith(' installed')) continue;
		// The same package may be installed for two architectures.
		const architecture = /^Architecture: (\S+)$/m.exec(paragraph)?.[1] ?? '';
		versions.set(versions.has(name) ? `${name}:${architecture}` : name, version);
	}
	return { versions, files: new Map() };
}

/** apk's installed database: paragraphs of one-letter fields. Source: apk-package(5). */
export function apkPackages(text: string): PackageSet {
	const versions = new Map<string, string>();
	const files = new Map<string, string>();
	for (const paragraph of text.split('\n\n')) {
		let name = '';
		let folder = '';
		for (const line of paragraph.split('\n')) {
			const value = line.slice(2);
			if (line.startsWith('P:')) name = value;
			else if (line.startsWith('V:') && name) versions.set(name, value);
			else if (line.startsWith('F:')) folder = value;
			else if (line.startsWith('R:') && name) files.set(`/${folder}${folder ? '/' : ''}${value}`, name);
		}
	}
	return { versions, files };
}

/** passwd and group: name to the rest of the line. Source: passwd(5), group(5). */
export function readAccounts(text: string): ReadonlyMap<string, string> {
	const accounts = new Map<string, string>();
	for (const line of text.split('\n')) {
		const colon = line.indexOf(':');
		if (colon > 0 && !line.startsWith('#')) accounts.set(line.slice(0, colon), line.slice(colon));
	}
	return accounts;
}
