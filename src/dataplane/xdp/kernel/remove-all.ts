// Takes everything away again: programs off their interfaces, and the pins of programs and maps.
import { rmdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isCode } from './bpf-file-system.ts';
import { detach } from './detach.ts';
import type { PinDirectory } from './pin-directory.ts';
import { names, pinnedLinks } from './pinned-links.ts';
import { unpinProgram } from './pinned-programs.ts';

type Paths = Omit<PinDirectory, 'close'>;

/**
 * Removes what is pinned and the directory itself, which has to be opened anew to be used again. From then on no packet
 * meets a program of ours; memory is freed when the last process has closed its programs. Throws `KernelError`.
 */
export function removeAll(directory: PinDirectory): void {
  removePins(directory);
  directory.close();
}

/** The same for a directory that nobody has open. */
export function removePins(paths: Paths): void {
  for (const { ifindex } of pinnedLinks(paths)) detach(paths, ifindex);
  for (const number of names(paths.programs)) unpinProgram(paths, Number(number));
  for (const part of [paths.programs, paths.links, paths.reasons]) removeDirectory(part);
  removeDirectory(paths.path);
  try {
    rmdirSync(dirname(paths.path));
  } catch (error) {
    // Other network namespaces have theirs; or somebody has removed all of it.
    if (!isCode(error, 'ENOTEMPTY') && !isCode(error, 'ENOENT')) throw error;
  }
}

function removeDirectory(path: string): void {
  for (const name of names(path)) rmSync(join(path, name), { force: true });
  try {
    rmdirSync(path);
  } catch (error) {
    if (!isCode(error, 'ENOENT')) throw error;
  }
}
