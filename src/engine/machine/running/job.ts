/**
 * Jobs of QEMU: commands that go on after their reply. Whether one succeeded stands in `query-jobs` alone, until the job is
 * dismissed. Asked for, not heard as events, which not every monitor has. Source: QAPI job.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { EngineError } from '../../util/errors.js';
import type { Monitor } from '../qmp.js';

const FIRST_POLL_MS = 10;
const LONGEST_POLL_MS = 250;

/** A job that failed, as QEMU put it. The connection is there, and the machine's state is to be looked at. */
export class JobError extends EngineError {
	constructor(
		command: string,
		readonly reason: string,
	) {
		super('ERR_TOOL', `QEMU: ${command} failed: ${reason}`, { actual: command });
	}
}

/** Run a job to its end. @throws JobError when it failed; EngineError `ERR_TOOL` when the connection did. */
export async function runJob(
	monitor: Monitor,
	command: string,
	args: Readonly<Record<string, unknown>>,
): Promise<void> {
	const id = `strata-${randomBytes(6).toString('hex')}`;
	await monitor.execute(command, { 'job-id': id, ...args });
	for (let pause = FIRST_POLL_MS; ; pause = Math.min(pause * 1.5, LONGEST_POLL_MS)) {
		const jobs = (await monitor.execute('query-jobs')) as {
			readonly id: string;
			readonly status: string;
			readonly error?: string;
		}[];
		const job = jobs.find(each => each.id === id);
		if (job === undefined) throw new EngineError('ERR_TOOL', `QEMU: ${command}: another program dismissed its job`);
		if (job.status === 'concluded') {
			await monitor.execute('job-dismiss', { id });
			if (job.error !== undefined) throw new JobError(command, job.error);
			return;
		}
		await sleep(pause);
	}
}
