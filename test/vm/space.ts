// Whether a file system has room, before it is filled.
import { statfs } from 'node:fs/promises';
import { Trouble } from './trouble.ts';

const mebibyte = 1024 * 1024;

/** Fails unless so many bytes are free for this user; the remedy says how to take another directory. */
export async function needSpace(directory: string, bytes: number, remedy: string): Promise<void> {
  const { bavail, bsize } = await statfs(directory);
  const free = bavail * bsize;
  if (free >= bytes) return;
  const [needed, left] = [Math.ceil(bytes / mebibyte), Math.floor(free / mebibyte)];
  throw new Trouble(
    `${directory} has ${left} MiB free, and ${needed} MiB are needed. Free some space, or ${remedy}.`,
  );
}
