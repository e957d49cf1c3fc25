// Takes our program off an interface.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { checked } from './kernel-error.ts';
import { libbpf } from './library.ts';
import type { PinDirectory } from './pin-directory.ts';
import { names, withPin } from './pinned-links.ts';

/**
 * From the return on no packet enters the program there. Nothing happens if there is none of ours. Runs on the calling
 * thread; a driver may take its time over it, up to a second. Throws `KernelError`.
 */
export function detach({ links, reasons }: Pick<PinDirectory, 'links' | 'reasons'>, ifindex: number): void {
  const name = String(ifindex);
  if (!names(links).includes(name)) return;
  const path = join(links, name);
  // Removing the last reference would detach it as well, but some time later.
  withPin(path, (link) => checked(libbpf().linkDetach(link), `cannot detach from interface ${ifindex}`));
  rmSync(path, { force: true });
  rmSync(join(reasons, name), { force: true });
}
