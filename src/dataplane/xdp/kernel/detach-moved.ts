// Takes our program off interfaces that were moved to another network namespace, where the kernel leaves it running.
import { detach } from './detach.ts';
import { xdpState } from './interface.ts';
import { errnos, KernelError } from './kernel-error.ts';
import type { PinDirectory } from './pin-directory.ts';
import { type PinnedLink, pinnedLinks } from './pinned-links.ts';

/**
 * For when an interface is gone from this namespace: a container may have got it, and our mappings are not its own. Gives
 * the indices. About 0.1 ms per interface if there is nothing to do. Throws `KernelError`.
 */
export function detachMoved(directory: PinDirectory): readonly number[] {
  const moved = pinnedLinks(directory).filter((link) => !isHere(link));
  for (const { ifindex } of moved) detach(directory, ifindex);
  return moved.map(({ ifindex }) => ifindex);
}

/** Whether the interface with that index in the calling thread's namespace runs the link's program. */
export function isHere({ ifindex, program }: PinnedLink): boolean {
  try {
    return Object.values(xdpState(ifindex)).includes(program);
  } catch (error) {
    if (error instanceof KernelError && error.errno === errnos.noDevice) return false;
    throw error;
  }
}
