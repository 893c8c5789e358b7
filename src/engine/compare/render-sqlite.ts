/** SQLite databases as text: the schema, then every table's rows in key order, one row a line. */
import { EngineError } from '../util/errors.js';
import { printable } from './render.js';

const MAX_ROWS = 20_000;
const MAX_CELL = 500;
/** Characters of rows: more is no text that anybody reads, and many times that in memory. */
const MAX_TEXT = 16 * 1024 * 1024;

/**
 * @param bytes the whole database file. Pages still in a write-ahead log beside it are not seen, and the text says so.
 * @throws EngineError `ERR_CORRUPT` when SQLite cannot open it.
 */
export async function renderSqlite(bytes: Uint8Array): Promise<string> {
	// Loaded when it is needed: it carries a megabyte of WebAssembly.
	const { default: initSqlJs } = await import('sql.js/dist/sql-wasm-inline.js');
	const sql = await initSqlJs();
	// A copy: sql.js keeps and changes the buffer it is given. Bytes 18 and 19 switch off write-ahead logging, which
	// a database in memory cannot have.
	const copy = new Uint8Array(bytes);
	const usesLog = copy[18] === 2;
	copy[18] = 1;
	copy[19] = 1;
	const database = new sql.Database(copy);
	let left = MAX_TEXT;
	try {
		const schema = rowsOf('SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type DESC, name');
		const lines = ['SQLite database', ''];
		if (usesLog)
			lines.push('It uses a write-ahead log: rows that are only in the -wal file beside it are not shown.', '');
		for (const [, , statement] of schema) lines.push(`${printable(String(statement))};`);
		for (const [type, name] of schema) {
			if (type === 'table') lines.push(...table(String(name)));
		}
		return `${lines.join('\n')}\n`;
	} catch (cause) {
		throw new EngineError(
			'ERR_CORRUPT',
			cause instanceof Error ? cause.message : String(cause),
			{ format: 'sqlite' },
			{ cause },
		);
	} finally {
		database.close();
	}

	function table(name: string): string[] {
		const quoted = `"${name.replaceAll('"', '""')}"`;
		const lines = ['', `${printable(name)}`];
		let count = 0;
		try {
			const columns = storedColumns(name);
			if (columns.length === 0) return [...lines, '  a virtual table: its own tables hold what it shows'];
			const statement = database.prepare(`SELECT ${columns.join(', ')} FROM ${quoted} LIMIT ${MAX_ROWS + 1}`);
			try {
				lines.push(`  ${statement.getColumnNames().map(printable).join(' | ')}`);
				while (statement.step()) {
					if (++count > MAX_ROWS) {
						lines.push(`  … only the first ${MAX_ROWS} rows are shown`);
						break;
					}
					const line = `  ${statement.get().map(cell).join(' | ')}`;
					left -= line.length;
					if (left < 0) {
						lines.push('  … the rest is not shown: it is too much text');
						break;
					}
					lines.push(line);
				}
			} finally {
				statement.free();
			}
		} catch (error) {
			// One damaged or virtual table does not hide the others.
			lines.push(`  cannot be read: ${printable(error instanceof Error ? error.message : String(error))}`);
		}
		return lines;
	}

	/**
	 * Quoted names of the columns whose values are in the file. A generated one is an expression that runs for each row,
	 * and a virtual table is code that trusts what the file says: both can be made to take hours or gigabytes.
	 */
	function storedColumns(name: string): string[] {
		const literal = `'${name.replaceAll("'", "''")}'`;
		const isVirtual = rowsOf(`SELECT 1 FROM pragma_table_list(${literal}) WHERE type = 'virtual'`).length > 0;
		if (isVirtual) return [];
		const names = rowsOf(`SELECT name FROM pragma_table_xinfo(${literal}) WHERE hidden = 0 ORDER BY cid`);
		return names.map(([column]) => `"${String(column).replaceAll('"', '""')}"`);
	}

	function rowsOf(query: string) {
		return database.exec(query)[0]?.values ?? [];
	}
}

function cell(value: number | string | Uint8Array | null): string {
	if (value === null) return 'NULL';
	if (value instanceof Uint8Array) {
		const hex = Buffer.from(value.subarray(0, MAX_CELL / 2)).toString('hex');
		return `x'${hex}'${value.length > MAX_CELL / 2 ? ` … ${value.length} bytes` : ''}`;
	}
	const text = printable(String(value));
	return text.length > MAX_CELL ? `${text.slice(0, MAX_CELL)}… ${text.length} characters` : text;
}
