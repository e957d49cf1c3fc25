// Keeps the kernel logs of guests that failed.
import { copyFile, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheDirectory } from './cache.ts';

const directory = join(cacheDirectory, 'logs');
/** The oldest are deleted. */
const kept = 50;

/** Copies the log to a place where it stays, and returns that. */
export async function keepLog(log: string, kernel: string): Promise<string> {
  await mkdir(directory, { recursive: true });
  const names = (await readdir(directory)).sort();
  for (const old of names.slice(0, Math.max(0, names.length - kept + 1)))
    await rm(join(directory, old), { force: true });
  const time = new Date().toISOString().replaceAll(':', '-');
  const file = join(directory, `${time}-${kernel}-${process.pid}.log`);
  await copyFile(log, file);
  return file;
}
