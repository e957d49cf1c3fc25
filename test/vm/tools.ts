// The programs of the host that a guest is made with.
import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { Trouble } from './trouble.ts';

/** Program and Debian package. */
const needed = [
  ['qemu-system-x86_64', 'qemu-system-x86'],
  ['busybox', 'busybox-static'],
  ['cpio', 'cpio'],
  ['xz', 'xz-utils'],
  ['depmod', 'kmod'],
  ['modprobe', 'kmod'],
  ['setpriv', 'util-linux'],
  ['flock', 'util-linux'],
] as const;

/** Fails naming what is missing, and the command that installs it. */
export async function needTools(): Promise<void> {
  if (process.arch !== 'x64') {
    throw new Trouble(
      `The guests are x86-64 machines, and this host is ${process.arch}: use an x86-64 host.`,
    );
  }
  const missing: (typeof needed)[number][] = [];
  for (const tool of needed) {
    if ((await find(tool[0])) === undefined) missing.push(tool);
  }
  if (missing.length === 0) return;
  const programs = missing.map(([program]) => program).join(', ');
  const packages = [...new Set(missing.map(([, name]) => name))].join(' ');
  throw new Trouble(
    `A guest needs ${programs}, which this host lacks. Install by\n` +
      `  sudo apt-get install --no-install-recommends --yes ${packages}`,
  );
}

/** Where a program is, as a shell would find it. */
export async function find(program: string): Promise<string | undefined> {
  for (const directory of (process.env.PATH ?? '').split(delimiter)) {
    const path = join(directory, program);
    if (
      await access(path, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return path;
  }
  return undefined;
}
