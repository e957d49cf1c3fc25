// The links that are pinned: which program runs on which interface, whether or not the agent does.
import { closeSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { isCode } from './bpf-file-system.ts';
import { describeLink } from './describe.ts';
import { checked } from './kernel-error.ts';
import { libbpf } from './library.ts';
import type { PinDirectory } from './pin-directory.ts';

export interface PinnedLink {
  /** That it was attached to, in this namespace; one that was moved may have another by now. */
  readonly ifindex: number;
  /** Id of the program. */
  readonly program: number;
  readonly path: string;
}

/** Those of interfaces that exist, though perhaps in another namespace by now; pins of others are removed on the way. */
export function pinnedLinks({
  links,
  reasons,
}: Pick<PinDirectory, 'links' | 'reasons'>): readonly PinnedLink[] {
  const alive: PinnedLink[] = [];
  for (const name of names(links)) {
    const path = join(links, name);
    const { program, interfaceIndex } = withPin(path, describeLink);
    // The kernel detaches the link of an interface that is deleted, and zeroes the index.
    if (interfaceIndex === 0) {
      rmSync(path, { force: true });
      rmSync(join(reasons, name), { force: true });
    } else alive.push({ ifindex: Number(name), program, path });
  }
  return alive;
}

/** Opens what is pinned for as long as `use` takes. Throws `KernelError`. */
export function withPin<Result>(path: string, use: (file: number) => Result): Result {
  const file = checked(libbpf().open(path), `cannot open ${path}`);
  try {
    return use(file);
  } finally {
    closeSync(file);
  }
}

/** The entries of a directory; none if it does not exist. */
export function names(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (isCode(error, 'ENOENT')) return [];
    throw error;
  }
}
