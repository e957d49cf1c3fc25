// Makes directories.
import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Not by mkdir's `recursive`: that never returns on a file system which answers ENOENT to every mkdir, such as /proc. */
export async function makeDirectory(directory: string): Promise<void> {
  if (await isThere(directory)) return;
  await makeDirectory(dirname(directory));
  await mkdir(directory).catch(async (error: Error) => {
    // Another runner may have been first.
    if (!(await isThere(directory))) throw error;
  });
}

async function isThere(directory: string): Promise<boolean> {
  return await stat(directory).then(
    () => true,
    () => false,
  );
}
