// Where an agent's programs, maps and links are pinned: one directory for each network namespace.
import { closeSync, fstatSync, openSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { bpfFileSystem, isCode, makeDirectory, mountBpfFileSystem } from './bpf-file-system.ts';
import { memory } from './foreign.ts';
import { KernelError } from './kernel-error.ts';
import { errno, libc } from './libc.ts';
import { names, pinnedLinks } from './pinned-links.ts';
import { removePins } from './remove-all.ts';

/**
 *     /sys/fs/bpf/penstock/<cookie of the network namespace>/
 *         programs/<number>/program-<name>, map-<name>    one loaded object; a later one has a higher number
 *         links/<interface index>                         what runs there; names are not used, since they change
 *         reasons/<interface index>                       a symbolic link whose text says why it is not in native mode
 */
export interface PinDirectory {
  readonly path: string;
  readonly programs: string;
  readonly links: string;
  readonly reasons: string;
  /** Lets go of the directory. What is pinned in it stays. */
  close(): void;
}

const root = join(bpfFileSystem, 'penstock');
const lockShared = 1;
const lockExclusiveNow = 2 | 4;

/**
 * Opens the directory of the calling thread's network namespace, and makes it if need be. Removes those of namespaces
 * that are gone. Throws `DataPlaneUnavailable` (BPFFS_MISSING).
 */
export function openPinDirectory(): PinDirectory {
  mountBpfFileSystem();
  const path = join(root, namespaceCookie());
  const file = holdDirectory(path);
  const directory = { ...pathsOf(path), close: () => closeSync(file) };
  for (const part of [directory.programs, directory.links, directory.reasons]) makeDirectory(part);
  removeDeserted(path);
  return directory;
}

function pathsOf(path: string): Omit<PinDirectory, 'close'> {
  return {
    path,
    programs: join(path, 'programs'),
    links: join(path, 'links'),
    reasons: join(path, 'reasons'),
  };
}

/**
 * The kernel's number of the network namespace, never used twice (SO_NETNS_COOKIE, since 5.14); the inode number of a
 * deleted one may be.
 */
function namespaceCookie(): string {
  const [unix, stream] = [1, 1];
  const [solSocket, soNetnsCookie] = [1, 71];
  const socket = libc().socket(unix, stream, 0);
  if (socket < 0) throw new KernelError('cannot open a socket', errno());
  const [value, size] = [memory(8), memory(4)];
  size.writeUInt32LE(8);
  const result = libc().socketOption(socket, solSocket, soNetnsCookie, value, size);
  const reason = errno();
  closeSync(socket);
  if (result < 0) throw new KernelError('cannot tell the network namespace', reason);
  return value.readBigUInt64LE().toString();
}

/** A shared lock says that a process is at home here. Whoever clears up takes an exclusive one. */
function holdDirectory(path: string): number {
  for (;;) {
    const file = makeAndOpen(path);
    // Another agent may remove directories that seem deserted, between our making and our locking them.
    if (file === undefined) continue;
    if (libc().lock(file, lockShared) < 0) {
      const reason = errno();
      closeSync(file);
      throw new KernelError(`cannot lock ${path}`, reason);
    }
    if (isAt(path, file)) return file;
    closeSync(file);
  }
}

function makeAndOpen(path: string): number | undefined {
  try {
    makeDirectory(root);
    makeDirectory(path);
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined;
    throw error;
  }
  return openIfThere(path);
}

function isAt(path: string, file: number): boolean {
  try {
    return statSync(path).ino === fstatSync(file).ino;
  } catch {
    return false;
  }
}

/**
 * Directories that no process holds and by which no packet goes: the maps of a deleted namespace (a container, a lab)
 * would stay in memory until the next boot.
 */
function removeDeserted(own: string): void {
  for (const name of names(root)) {
    const path = join(root, name);
    const file = path === own ? undefined : openIfThere(path);
    if (file === undefined) continue;
    try {
      const paths = pathsOf(path);
      if (libc().lock(file, lockExclusiveNow) === 0 && pinnedLinks(paths).length === 0) removePins(paths);
    } finally {
      closeSync(file);
    }
  }
}

function openIfThere(path: string): number | undefined {
  try {
    return openSync(path, 'r');
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}
