// The file system whose entries keep programs, maps and links alive without a process (bpffs).
import { mkdirSync, statfsSync } from 'node:fs';
import { DataPlaneUnavailable } from '../../dataplane.ts';
import { errnoText } from './kernel-error.ts';
import { errno, libc } from './libc.ts';

export const bpfFileSystem = '/sys/fs/bpf';
/** BPF_FS_MAGIC (linux/magic.h). */
const magic = 0xcafe4a11;
const noSuidNoDevNoExec = 2 | 4 | 8;

/** Mounts it where nobody has: systemd does, containers and small systems may not. Throws BPFFS_MISSING. */
export function mountBpfFileSystem(): void {
  if (isMounted()) return;
  if (libc().mount('bpf', bpfFileSystem, 'bpf', noSuidNoDevNoExec, 'mode=0700') === 0) return;
  throw new DataPlaneUnavailable([
    {
      code: 'BPFFS_MISSING',
      message: `there is no BPF file system at ${bpfFileSystem}, and none can be mounted: ${errnoText(errno())}`,
      remedy: `mount -t bpf bpf ${bpfFileSystem}`,
    },
  ]);
}

export function isMounted(): boolean {
  try {
    return statfsSync(bpfFileSystem).type === magic;
  } catch {
    return false;
  }
}

/** One level at a time: `recursive` never ends where a parent is missing and may not be made, as in /sys (Node 20). */
export function makeDirectory(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if (!isCode(error, 'EEXIST')) throw error;
  }
}

export function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
