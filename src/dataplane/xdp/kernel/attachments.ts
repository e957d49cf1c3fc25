// Where our programs run, and how: read back from the kernel, whoever attached them.
import { readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { isCode } from './bpf-file-system.ts';
import { driverOf, interfaceName, xdpState } from './interface.ts';
import type { PinDirectory } from './pin-directory.ts';
import { pinnedLinks } from './pinned-links.ts';

export interface Attachment {
  readonly ifindex: number;
  readonly name: string;
  /** As ethtool names it; undefined for devices without a driver. */
  readonly driver?: string;
  /** Native: in the driver's receive path. Generic: behind it, on any device, several times slower. */
  readonly mode: 'native' | 'generic';
  /** Id of the program; see `LoadedProgram.programs`. */
  readonly program: number;
  /** The driver's words when it refused native mode. Only in generic mode. */
  readonly reason?: string;
}

/** In the order of interface indices. About 0.2 ms for each. Throws `KernelError`. */
export function attachments(directory: PinDirectory): readonly Attachment[] {
  return pinnedLinks(directory)
    .toSorted((a, b) => a.ifindex - b.ifindex)
    .flatMap(({ ifindex, program }) => {
      const name = interfaceName(ifindex);
      if (name === undefined) return [];
      const mode = xdpState(ifindex).generic === program ? 'generic' : 'native';
      const driver = driverOf(name);
      const reason = mode === 'generic' ? reasonOf(directory, ifindex) : undefined;
      return [
        {
          ifindex,
          name,
          mode,
          program,
          ...(driver === undefined ? {} : { driver }),
          ...(reason === undefined ? {} : { reason }),
        } as const,
      ];
    });
}

function reasonOf({ reasons }: PinDirectory, ifindex: number): string | undefined {
  try {
    return readlinkSync(join(reasons, String(ifindex)));
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}
