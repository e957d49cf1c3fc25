// QEMU as a process that cannot outlive this one.
import { execa } from 'execa';

const wires = new URL('wires.sh', import.meta.url).pathname;

/**
 * Killed when the signal comes, and by the kernel when this process dies, however that happens. With `taps`, in a network
 * of its own that has so many of them, named nic1, nic2, ...; that needs root.
 */
export function qemu(args: readonly string[], signal: AbortSignal, taps = 0) {
  const network = taps === 0 ? [] : ['unshare', '--net', '--', wires, `${taps}`];
  return execa('setpriv', ['--pdeathsig', 'KILL', '--', ...network, 'qemu-system-x86_64', ...args], {
    cancelSignal: signal,
    // Ctrl-C in a terminal is for us alone: we end it when we have understood.
    detached: true,
    forceKillAfterDelay: false,
    killSignal: 'SIGKILL',
    reject: false,
    stdin: 'ignore',
    stdout: 'ignore',
  });
}
