// Where large transactions wait for nft as files: private, and in memory where the host has shared memory.
import { access, constants, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const prefix = 'penstock-';

/**
 * The directory in which each transaction makes one of its own. A given directory belongs to this process alone: it is
 * made with mode 0700 if need be, and what an agent left there that was killed in the midst of a transaction goes.
 */
export async function prepareScratch(given: string | undefined): Promise<string> {
  if (given === undefined) {
    const memory = '/dev/shm';
    return access(memory, constants.W_OK).then(
      () => memory,
      () => tmpdir(),
    );
  }
  await mkdir(given, { recursive: true, mode: 0o700 });
  for (const name of await readdir(given)) {
    if (name.startsWith(prefix)) await rm(join(given, name), { recursive: true, force: true });
  }
  return given;
}

/** Makes a directory with mode 0700 for one transaction. */
export function transactionDirectory(scratch: string): Promise<string> {
  return mkdtemp(join(scratch, prefix));
}
