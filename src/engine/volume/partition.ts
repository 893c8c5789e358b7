/** A partition as its table describes it, before anyone looked at what is in it. Bytes, never sectors. */
export interface Partition {
	/** As Linux numbers it: the `1` of `sda1`. */
	readonly number: number;
	/** Bytes, from the start of the disk. */
	readonly offset: number;
	/** Bytes. */
	readonly size: number;
	/** In words. */
	readonly type: string;
	/** GPT's name for it, as raw UTF-8; empty in an MBR. */
	readonly name: string;
	/** It holds logical partitions, and nothing itself. */
	readonly extended: boolean;
}

/** Why a copy of a table is not used: enough to find the byte. */
export interface Damage {
	readonly format: 'gpt' | 'mbr';
	readonly field: string;
	/** Bytes, from the start of the disk. */
	readonly offset: number;
	readonly message: string;
}
