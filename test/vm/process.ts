// QEMU as a process that cannot outlive this one.
import { execa } from 'execa';

/** Killed when the signal comes, and by the kernel when this process dies, however that happens. */
export function qemu(args: readonly string[], signal: AbortSignal) {
  return execa('setpriv', ['--pdeathsig', 'KILL', '--', 'qemu-system-x86_64', ...args], {
    cancelSignal: signal,
    forceKillAfterDelay: false,
    killSignal: 'SIGKILL',
    reject: false,
    stdin: 'ignore',
    stdout: 'ignore',
  });
}
