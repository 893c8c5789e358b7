/**
 * Whether KVM works: /dev/kvm may be there, be opened, and still start no machine. So a machine is started that does
 * nothing but end itself, from a boot sector of ten bytes.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EngineError } from '../../util/errors.js';
import { runTool } from '../tools.js';

const TIMEOUT_MS = 8_000;

/** mov dx, 0x501; mov al, 0x10; out dx, al; jmp $ */
const ENDS_ITSELF = [0xba, 0x01, 0x05, 0xb0, 0x10, 0xee, 0xeb, 0xfe];
/** isa-debug-exit ends QEMU with (value << 1) | 1. */
const ENDED_BY_GUEST = (0x10 << 1) | 1;

/**
 * @param qemu absolute path of qemu-system-x86_64.
 * @param accelerator what is tried; another one than KVM only to try the trial.
 */
export async function probeAccelerator(qemu: string, accelerator: 'kvm' | 'tcg' = 'kvm'): Promise<boolean> {
	const folder = mkdtempSync(join(tmpdir(), 'strata-kvm-'));
	try {
		const sector = Buffer.alloc(512);
		sector.set(ENDS_ITSELF);
		sector.writeUInt16LE(0xaa55, 510);
		const disk = join(folder, 'boot');
		writeFileSync(disk, sector);
		const args = [
			...['-accel', accelerator, '-machine', 'pc', '-m', '16', '-nodefaults', '-no-user-config', '-display', 'none'],
			...['-device', 'isa-debug-exit,iobase=0x501,iosize=1'],
			...['-blockdev', JSON.stringify({ driver: 'file', filename: disk, 'node-name': 'boot' })],
			...['-device', 'ide-hd,drive=boot'],
		];
		const { code } = await runTool(qemu, args, { timeoutMs: TIMEOUT_MS });
		return code === ENDED_BY_GUEST;
	} catch (error) {
		if (!EngineError.is(error, 'ERR_TOOL')) throw error;
		return false; // It hung, or there is no QEMU: no KVM either way.
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
}
