/** Addresses of files in a line of a terminal: `dev@before-install:/p1/etc/hosts`, `dev@3 /p1/etc/hosts`. */
export interface TerminalAddress {
	readonly source: string;
	/** '' for the current state. */
	readonly snapshot: string;
	readonly path: string;
	readonly startIndex: number;
	readonly length: number;
}

const MAX_LINE = 2000;

// The snapshot may be left out; the path begins with a volume.
const ADDRESS =
	/(?<![\w/@.-])([\w.-]+)(?:@([\w.:+-]+?))?(?::| +)(\/(?:disk\d+\/)?(?:p\d+|disk|vg[\w-]*\/[\w-]+)(?:\/[^\s'"`:]*)?)/g;

export function parseAddresses(line: string): TerminalAddress[] {
	return [...line.slice(0, MAX_LINE).matchAll(ADDRESS)].map(match => ({
		source: match[1]!, // OK: the pattern has these groups.
		snapshot: match[2] ?? '',
		path: match[3]!,
		startIndex: match.index,
		length: match[0].length,
	}));
}
