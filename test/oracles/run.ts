/** Runs the programs that tests hold Strata against. A missing program fails the test. */
import { spawnSync } from 'node:child_process';

/** Output of a program that must succeed, as bytes. */
export function run(program: string, args: readonly string[], input?: string): Buffer {
	const { error, status, stdout, stderr } = spawnSync(program, args, {
		input,
		maxBuffer: 1024 * 1024 * 1024,
		env: { ...process.env, LC_ALL: 'C', TZ: 'UTC' },
	});
	if (error) throw error;
	if (status !== 0) throw new Error(`${program} ${args.join(' ')} exited with ${status}: ${stderr.toString()}`);
	return stdout;
}
