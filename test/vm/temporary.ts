// Directories for the time of one piece of work, and the end of those whose owner was killed.
import { once } from 'node:events';
import { lstat, mkdtemp, readdir, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';

/** In each of them: a socket at which its owner listens for as long as it lives. */
const sign = 'owner';

/** Works in a fresh directory `PREFIX-XXXXXX` below this one, and removes it whatever comes of the work. */
export async function inTemporary<Result>(
  parent: string,
  prefix: string,
  work: (directory: string) => Promise<Result>,
): Promise<Result> {
  await sweep(parent, prefix);
  const directory = await mkdtemp(join(parent, `${prefix}-`));
  const owner = createServer((visitor) => visitor.destroy());
  try {
    await once(owner.listen(join(directory, sign)), 'listening');
    return await work(directory);
  } finally {
    owner.close();
    await rm(directory, { recursive: true, force: true });
  }
}

/** What cannot be removed stays; no work fails of it. */
async function sweep(parent: string, prefix: string): Promise<void> {
  for (const name of await readdir(parent).catch(() => [])) {
    if (!name.startsWith(`${prefix}-`)) continue;
    const directory = join(parent, name);
    const found = await lstat(directory).catch(() => undefined);
    if (found?.isDirectory() !== true || found.uid !== process.getuid?.()) continue;
    if (await isAbandoned(join(directory, sign))) {
      await rm(directory, { recursive: true, force: true }).catch(() => {});
    }
  }
}

/** Says so only of a socket that nobody has open: not of one that is not there yet. */
async function isAbandoned(path: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const visit = connect(path, () => resolve(false));
  visit.once('error', (error) => resolve('code' in error && error.code === 'ECONNREFUSED'));
  try {
    return await promise;
  } finally {
    visit.destroy();
  }
}
