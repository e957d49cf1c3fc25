// Keeps the kernel logs of guests that failed.
import { copyFile, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheDirectory } from './cache.ts';
import { makeDirectory } from './directory.ts';

const logDirectory = join(cacheDirectory, 'logs');
/** The oldest are deleted. */
const kept = 50;

/** Where the log is from now on, or why it could not be kept: no reason to lose what the guest's end was. */
export type Kept = { readonly file: string } | { readonly reason: string };

export async function keepLog(log: string, kernel: string, directory = logDirectory): Promise<Kept> {
  const time = new Date().toISOString().replaceAll(':', '-');
  const file = join(directory, `${time}-${kernel}-${process.pid}.log`);
  try {
    await makeDirectory(directory);
    const names = (await readdir(directory)).sort();
    for (const old of names.slice(0, Math.max(0, names.length - kept + 1)))
      await rm(join(directory, old), { force: true });
    await copyFile(log, file);
    return { file };
  } catch (error) {
    await rm(file, { force: true }).catch(() => {});
    return { reason: error instanceof Error ? error.message : String(error) };
  }
}
