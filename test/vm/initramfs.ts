// The first file system of a guest: busybox and the modules that reach the host's files, and nothing else.
import { createHash } from 'node:crypto';
import {
  chmod,
  copyFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { basename, join } from 'node:path';
import { execa } from 'execa';
import { cacheRemedy, isUnused, markUsed, type Unpacked } from './cache.ts';
import { needSpace } from './space.ts';
import { find } from './tools.ts';
import { Trouble } from './trouble.ts';

const applets = ['sh', 'mount', 'mkdir', 'insmod', 'ln', 'switch_root', 'poweroff', 'sleep'];
/** Serial ports for the output; the host's files over 9p; what is written stays in the guest. */
const modules = ['virtio_pci', 'virtio_console', '9pnet_virtio', '9p', 'overlay'];

/** Makes it, or takes the one that was made from the same parts. The program is run as process 1. */
export async function initramfs(kernel: Unpacked, program: string, signal: AbortSignal): Promise<string> {
  const busybox = await find('busybox');
  if (busybox === undefined)
    throw new Trouble('busybox is missing; install the Debian package busybox-static.');
  const parts = [await readFile(program), await readFile(busybox), applets.join(), modules.join()];
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  const name = `initramfs-${hash.digest('hex').slice(0, 12)}`;
  const file = join(kernel.directory, name);
  const there = await readdir(kernel.directory);
  if (there.includes(name)) {
    await markUsed(file);
    return file;
  }

  for (const old of there.filter((entry) => /^(initramfs|making)-/.test(entry))) {
    const path = join(kernel.directory, old);
    if (await isUnused(path)) await rm(path, { recursive: true, force: true });
  }
  await needSpace(kernel.directory, 64 * 1024 * 1024, cacheRemedy);
  const work = await mkdtemp(join(kernel.directory, 'making-'));
  try {
    const tree = join(work, 'tree');
    for (const folder of ['bin', 'modules', 'proc', 'sys', 'dev', 'lower', 'upper', 'root']) {
      await mkdir(join(tree, folder), { recursive: true });
    }
    await copyFile(busybox, join(tree, 'bin/busybox'));
    for (const applet of applets) await symlink('busybox', join(tree, 'bin', applet));
    await copyFile(program, join(tree, 'init'));
    await chmod(join(tree, 'init'), 0o755);
    await copyModules(kernel, join(tree, 'modules'), signal);
    // Not compressed: an emulated processor would take longer to unpack it than to read it.
    const made = join(work, name);
    await execa({
      cancelSignal: signal,
      cwd: tree,
      shell: '/bin/bash',
    })`set -o pipefail; find . | cpio --create --format=newc --quiet > ${made}`;
    // Two at a time make the same, so the last one may win.
    await rename(made, file);
    return file;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** With all that they depend on, and a list of them in the order in which they can be loaded. */
async function copyModules(kernel: Unpacked, directory: string, signal: AbortSignal): Promise<void> {
  const order: string[] = [];
  for (const module of modules) {
    const { stdout } = await execa(
      'modprobe',
      ['-d', kernel.directory, '-S', kernel.release, '--show-depends', module],
      { cancelSignal: signal },
    );
    for (const line of stdout.split('\n')) {
      // The others are `builtin NAME`.
      const path = line.match(/^insmod (\S+)/)?.[1];
      if (path === undefined) continue;
      const name = basename(path).replace(/\.xz$/, '');
      if (order.includes(name)) continue;
      order.push(name);
      if (path.endsWith('.xz')) {
        const { stdout: plain } = await execa('xz', ['-dc', path], {
          encoding: 'buffer',
          cancelSignal: signal,
        });
        await writeFile(join(directory, name), plain);
      } else {
        await copyFile(path, join(directory, name));
      }
    }
  }
  await writeFile(join(directory, 'order'), `${order.join('\n')}\n`);
}
