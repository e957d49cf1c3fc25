// Which of the host's files a guest cannot see: it has file systems of its own there.
import { realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Trouble } from './trouble.ts';

/** Mounted by guest/init.sh. */
const own = ['/proc', '/sys', '/dev', '/run', '/vm-output'];

/** The path without symbolic links, some of which lead elsewhere in a guest; fails when a guest cannot see it. */
export async function visible(what: string, path: string, remedy: string): Promise<string> {
  const real = await resolved(path);
  const hidden = own.find((place) => `${real}/`.startsWith(`${place}/`));
  if (hidden === undefined) return real;
  const through = real === path ? '' : ` (${real})`;
  throw new Trouble(
    `${what} ${path}${through} lies in ${hidden}, where a guest has files of its own; ${remedy}.`,
  );
}

/** Also of what is not there yet. */
async function resolved(path: string): Promise<string> {
  return await realpath(path).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    return join(await resolved(dirname(path)), basename(path));
  });
}
