// The database of the shop on the example machine: a real SQLite file, made by sql.js, the same on every run.
import initSqlJs from 'sql.js';

const CUSTOMERS = ['Ada', 'Grace', 'Edsger', 'Barbara', 'Donald', 'Radia', 'Ken', 'Frances', 'Niklaus', 'Shafi'];
const GOODS = ['lamp', 'desk', 'chair', 'shelf', 'clock', 'vase'];

/** Continues a database, or begins one. @returns {Promise<Buffer>} */
export async function database(before, statements) {
	const SQL = await initSqlJs();
	const db = before ? new SQL.Database(Uint8Array.from(before)) : new SQL.Database();
	try {
		for (const statement of statements) db.run(statement);
		return Buffer.from(db.export());
	} finally {
		db.close();
	}
}

export const SCHEMA = [
	'CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT NOT NULL, city TEXT)',
	'CREATE TABLE purchase (id INTEGER PRIMARY KEY, customer INTEGER REFERENCES customer, goods TEXT, cents INTEGER)',
	...CUSTOMERS.map((name, index) => `INSERT INTO customer VALUES (${index + 1}, '${name}', 'city ${(index * 7) % 4}')`),
	...purchases(1, 60),
];

/** Rows `from` to `to`, both included. */
export function purchases(from, to) {
	const rows = [];
	for (let id = from; id <= to; id++)
		rows.push(
			`INSERT INTO purchase VALUES (${id}, ${1 + ((id * 3) % CUSTOMERS.length)}, '${GOODS[(id * 5) % GOODS.length]}', ${990 + ((id * 137) % 9000)})`,
		);
	return rows;
}
