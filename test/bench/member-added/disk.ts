// What the disk asks for one durable write: the part of a change that no program can save.
import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** Milliseconds to append 4 KiB to a file in `directory` and have it on the disk. */
export function timeSync(directory: string): number {
  const descriptor = openSync(join(directory, 'sync'), 'a');
  try {
    const begin = performance.now();
    writeSync(descriptor, Buffer.alloc(4096, 1));
    fdatasyncSync(descriptor);
    return performance.now() - begin;
  } finally {
    closeSync(descriptor);
  }
}
