/** The inlined build carries its WebAssembly in itself, so that no file has to lie beside the bundle. */
declare module 'sql.js/dist/sql-wasm-inline.js' {
	import initSqlJs from 'sql.js';
	export default initSqlJs;
}
