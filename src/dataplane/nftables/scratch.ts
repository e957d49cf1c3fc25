// Where transactions wait for nft as files: private, and in memory where the host has shared memory.
import { chmod, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Scratch {
  readonly directory: string;
  /** Removes what was made here. */
  remove(): Promise<void>;
}

/** Left behind where an agent was killed while it wrote. */
const bulkFile = /^\d+-\d+\.(json|nft)$/;

/** Takes the directory that is given, without the leftovers of earlier runs, or makes one. Mode 0700 either way. */
export async function prepareScratch(given: string | undefined): Promise<Scratch> {
  if (given === undefined) {
    const directory = await mkdtemp('/dev/shm/penstock-').catch(() => mkdtemp(join(tmpdir(), 'penstock-')));
    return { directory, remove: () => rm(directory, { recursive: true, force: true }) };
  }
  await mkdir(given, { recursive: true, mode: 0o700 });
  await chmod(given, 0o700);
  for (const name of await readdir(given)) {
    if (bulkFile.test(name)) await rm(join(given, name), { force: true });
  }
  return { directory: given, remove: async () => {} };
}
