/** Kills QEMU's programs (or their parent) at a chosen write to an image: see test/oracles/kill-qemu. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface KillPlan {
	readonly file: string;
	/** From 1; 0 counts and kills nobody. */
	readonly at: number;
	/** Name of the programs, or how it begins. */
	readonly program?: string;
	readonly half?: boolean;
	/** Every later write kills as well. */
	readonly after?: boolean;
	/** Whoever started the program is killed, and the program goes on. */
	readonly parent?: boolean;
}

const VARIABLES = [
	'KILL_FILE',
	'KILL_PROGRAM',
	'KILL_AT',
	'KILL_COUNTER',
	'KILL_HALF',
	'KILL_AFTER',
	'KILL_PARENT',
	'LD_PRELOAD',
];

export class Killer {
	readonly #library: string;
	readonly #counter: string;

	/** Compiles the library into `folder`. */
	constructor(folder: string) {
		this.#library = join(folder, 'kill-at-write.so');
		this.#counter = join(folder, 'writes');
		const source = join('test', 'oracles', 'kill-qemu', 'kill-at-write.c');
		execFileSync('cc', ['-shared', '-fPIC', '-O1', '-Wall', '-Werror', '-o', this.#library, source, '-ldl']);
	}

	/** What a process needs in its environment to be part of the plan. */
	environment(plan: KillPlan): Record<string, string> {
		writeFileSync(this.#counter, '0');
		const flag = (on: boolean | undefined) => (on === true ? '1' : '0');
		return {
			KILL_FILE: plan.file,
			KILL_PROGRAM: plan.program ?? 'qemu',
			KILL_AT: String(plan.at),
			KILL_COUNTER: this.#counter,
			KILL_HALF: flag(plan.half),
			KILL_AFTER: flag(plan.after),
			KILL_PARENT: flag(plan.parent),
			LD_PRELOAD: this.#library,
		};
	}

	/** Run `body`, whose child processes are part of the plan; this process is not. */
	async during<T>(plan: KillPlan, body: () => Promise<T>): Promise<T> {
		Object.assign(process.env, this.environment(plan));
		try {
			return await body();
		} finally {
			for (const name of VARIABLES) delete process.env[name];
		}
	}

	/** Writes seen since `environment()`. */
	get writes(): number {
		return Number(readFileSync(this.#counter, 'utf8'));
	}
}
