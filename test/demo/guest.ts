// The demo in a virtual machine with another kernel: the same lab in namespaces, inside of it.
import { join } from 'node:path';
import { execa } from 'execa';
import type { DataPlane } from '../lab/record.ts';

const root = join(import.meta.dirname, '../..');
/** Seconds; an emulated guest that was given a whole processor needs a tenth of it. */
const timeLimit = 1_800;

export async function demoInGuest(
  dataplane: DataPlane,
  machines: number,
  signal: AbortSignal,
): Promise<boolean> {
  const guest = ['run', '--memory', '3072', '--timeout', String(timeLimit), '--'];
  const inside = [join(root, 'scripts/demo'), '--dataplane', dataplane, '--machines', String(machines)];
  const { failed } = await execa(join(root, 'scripts/vm'), [...guest, ...inside], {
    cwd: root,
    stdio: 'inherit',
    reject: false,
    cancelSignal: signal,
    // It ends the guest, and then itself.
    forceKillAfterDelay: false,
  });
  return !failed;
}
