// Kernel settings of the network namespace that the process lives in, under /proc/sys.
import { readFile, writeFile } from 'node:fs/promises';

/** Reads and writes settings; the tests' stand-in keeps the same contract. */
export interface Sysctl {
  read(name: string): Promise<string | undefined>;
  write(name: string, value: string): Promise<void>;
}

/** Of this host. */
export const kernelSysctl: Sysctl = { read: readSysctl, write: writeSysctl };

/** Reads a setting by its dotted name, such as `net.ipv4.ip_forward`; undefined where the kernel has no such setting. */
export async function readSysctl(name: string): Promise<string | undefined> {
  try {
    return (await readFile(pathOf(name), 'utf8')).trim();
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** Does nothing where the kernel has no such setting: an interface may go at any time, and its settings with it. */
export async function writeSysctl(name: string, value: string): Promise<void> {
  try {
    await writeFile(pathOf(name), `${value}\n`, { flag: 'r+' });
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}

/** Interface names may hold dots; a slash in their place keeps the path unambiguous, as sysctl(8) has it. */
function pathOf(name: string): string {
  return `/proc/sys/${name
    .split('.')
    .map((part) => part.replaceAll('/', '.'))
    .join('/')}`;
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
