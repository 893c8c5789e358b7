// The files of a machine, as a plain map, and what people do to them. The story tells what is done; ext4.mjs writes it down.

/**
 * @typedef {object} Entry
 * @property {'file' | 'directory' | 'symlink' | 'fifo'} type
 * @property {number} mode
 * @property {number} uid
 * @property {number} gid
 * @property {number} time seconds since 1970
 * @property {Buffer} [content]
 * @property {string} [target]
 * @property {Record<string, Buffer>} [xattrs]
 * @property {number} identity the same as long as it is the same file: renaming keeps it
 */

const bytesOf = content => (typeof content === 'string' ? Buffer.from(content) : content);

export class Machine {
	/** @type {Map<string, Entry>} by absolute path, `/` left out */
	files = new Map();
	#identities = 0;
	/** The clock of the machine, in seconds. */
	now;

	constructor(now) {
		this.now = now;
	}

	/** A copy that lives on by itself: the beginning of a branch. */
	fork(now) {
		const copy = new Machine(now);
		copy.files = new Map([...this.files].map(([path, entry]) => [path, { ...entry }]));
		copy.#identities = this.#identities;
		return copy;
	}

	/** Writes a file as package managers and editors do: a new one in the old one's place. Folders above are made. */
	write(path, content, { mode = 0o644, uid = 0, gid = 0, time = this.now, xattrs } = {}) {
		this.#add(path, { type: 'file', mode, uid, gid, time, content: bytesOf(content), ...(xattrs ? { xattrs } : {}) });
	}

	folder(path, { mode = 0o755, uid = 0, gid = 0, time = this.now } = {}) {
		this.#add(path, { type: 'directory', mode, uid, gid, time });
	}

	link(path, target, { uid = 0, gid = 0, time = this.now } = {}) {
		this.#add(path, { type: 'symlink', mode: 0o777, uid, gid, time, target });
	}

	/** Changes text in place of a file; owner and mode stay. */
	edit(path, change) {
		const entry = this.#entry(path);
		const before = entry.content.toString();
		const after = change(before);
		if (after === before) throw new Error(`nothing changed in ${path}`);
		this.files.set(path, { ...entry, content: bytesOf(after), time: this.now, identity: this.#identities++ });
	}

	append(path, text) {
		this.edit(path, before => before + text);
	}

	chmod(path, mode) {
		this.#entry(path).mode = mode;
	}

	chown(path, uid, gid) {
		Object.assign(this.#entry(path), { uid, gid });
	}

	rename(from, to) {
		const entry = this.#entry(from);
		if (entry.type === 'directory') throw new Error('renaming folders is not told here');
		this.files.delete(from);
		this.files.set(to, entry);
		this.#touchFolder(from);
		this.#touchFolder(to);
	}

	/** Removes a file, or a folder with all that is in it. */
	remove(path) {
		this.#entry(path);
		for (const other of [...this.files.keys()])
			if (other === path || other.startsWith(`${path}/`)) this.files.delete(other);
		this.#touchFolder(path);
	}

	has(path) {
		return this.files.has(path);
	}

	text(path) {
		return this.#entry(path).content.toString();
	}

	#add(path, entry) {
		const parent = path.slice(0, path.lastIndexOf('/'));
		if (parent !== '' && !this.files.has(parent)) this.folder(parent);
		if (!this.files.has(path)) this.#touchFolder(path);
		this.files.set(path, { ...entry, identity: this.#identities++ });
	}

	#touchFolder(path) {
		const parent = this.files.get(path.slice(0, path.lastIndexOf('/')));
		if (parent) parent.time = this.now;
	}

	#entry(path) {
		const entry = this.files.get(path);
		if (!entry) throw new Error(`there is no ${path}`);
		return entry;
	}
}
