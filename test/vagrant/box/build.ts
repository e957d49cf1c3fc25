// Vagrant's box for machines without the internet: Debian packages, a kernel, and what Vagrant expects. Kept, and built
// anew when what it is made of changes.
import { createHash } from 'node:crypto';
import { access, copyFile, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { ExecaError, execa } from 'execa';
import { cacheDirectory, cacheRemedy } from '../../vm/cache.ts';
import { locked } from '../../vm/lock.ts';
import { needSpace } from '../../vm/space.ts';
import { Trouble } from '../../vm/trouble.ts';
import { type Release, release } from './release.ts';

export interface Box {
  /** Holds what it is made of: boxes of one name are the same. */
  readonly name: string;
  readonly file: string;
}

const boxDirectory = join(cacheDirectory, 'boxes');
const checkout = join(import.meta.dirname, '../../..');
const parts = [
  ...['early', 'late', 'Vagrantfile', 'vagrant.pub'].map((name) => join('test/vagrant/box', name)),
  ...['test/vagrant/not-shared', 'package-lock.json'],
];

/** Beside what scripts/setup installs for the lab: a system that starts, and what Vagrant needs in it. */
const system = [
  ...['systemd', 'systemd-sysv', 'dbus', 'udev', 'kmod', 'openssh-server', 'sudo', 'rsync', 'iputils-ping'],
  ...['initramfs-tools', 'linux-image-cloud-amd64', 'ca-certificates'],
];
/** A sparse file: what a machine writes beyond what is in it. */
const gibibytes = 4;
const needed = 4 * 1024 ** 3;

export async function box(say: (text: string) => void, signal: AbortSignal): Promise<Box> {
  const [debian, packages] = await Promise.all([release(), labPackages()]);
  const wanted = await describe(debian, [...system, ...packages]);
  if (await exists(wanted.file)) return wanted;
  await mkdir(boxDirectory, { recursive: true });
  return await locked(join(boxDirectory, 'lock'), signal, async () => {
    if (await exists(wanted.file)) return wanted;
    await clear((entry) => entry.startsWith('building-'));
    await needSpace(boxDirectory, needed, cacheRemedy);
    await build(wanted, debian, [...system, ...packages], say, signal);
    // Those that nobody asks for any more, now that there is another.
    await clear((entry) => entry.endsWith('.box') && entry !== basename(wanted.file));
    return wanted;
  });
}

/** The lock is ours. */
async function clear(unwanted: (entry: string) => boolean): Promise<void> {
  for (const entry of (await readdir(boxDirectory)).filter(unwanted)) {
    await rm(join(boxDirectory, entry), { recursive: true, force: true });
  }
}

async function describe(debian: Release, packages: readonly string[]): Promise<Box> {
  const hash = createHash('sha256').update(JSON.stringify([debian, packages, gibibytes]));
  for (const part of parts) hash.update(await readFile(join(checkout, part)));
  const key = hash.digest('hex').slice(0, 12);
  return {
    name: `penstock/${debian.codename}-${key}`,
    file: join(boxDirectory, `${debian.codename}-${key}.box`),
  };
}

/** Under another name first: what bears its own name is complete. */
async function build(
  wanted: Box,
  debian: Release,
  packages: readonly string[],
  say: (text: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const work = await mkdtemp(join(boxDirectory, 'building-'));
  const root = join(work, 'root');
  const content = join(work, 'box');
  const run = async (file: string, ...args: readonly string[]) =>
    await execa(file, args, {
      cancelSignal: signal,
      // unshare(1) is deaf to others while it waits.
      killSignal: 'SIGKILL',
      env: { TMPDIR: work },
      stdin: 'ignore',
    });
  try {
    await mkdir(content);
    say(`building a box of Debian ${debian.codename}; this takes some two minutes, once`);
    const hooks = [
      `--essential-hook='${import.meta.dirname}/early' "$1"`,
      `--customize-hook='${import.meta.dirname}/late' '${checkout}' "$1"`,
    ];
    await run(
      // In namespaces of its own, so that nothing stays mounted or runs on, however it or we end.
      ...([
        'setpriv',
        '--pdeathsig',
        'KILL',
        '--',
        'unshare',
        '--mount',
        '--pid',
        '--fork',
        '--kill-child=SIGKILL',
        '--mount-proc',
        '--',
      ] as const),
      ...['mmdebstrap', '--mode=root', '--variant=minbase', ...hooks, `--include=${packages.join(',')}`],
      ...[debian.codename, root, ...debian.sources],
    );
    say('packing the box');
    for (const name of ['vmlinuz', 'initrd.img']) {
      const [file] = (await readdir(join(root, 'boot'))).filter((entry) => entry.startsWith(`${name}-`));
      if (file === undefined) throw new Error(`The box has no ${name}.`);
      await copyFile(join(root, 'boot', file), join(content, name === 'vmlinuz' ? name : 'initrd'));
    }
    const disk = join(work, 'disk');
    await run('truncate', '--size', `${gibibytes}G`, disk);
    await run('mke2fs', '-q', '-t', 'ext4', '-E', 'lazy_itable_init=1', '-d', root, disk);
    await run('qemu-img', 'convert', '-O', 'qcow2', disk, join(content, 'box.img'));
    const metadata = { provider: 'libvirt', format: 'qcow2', virtual_size: gibibytes };
    await writeFile(join(content, 'metadata.json'), JSON.stringify(metadata));
    await copyFile(join(import.meta.dirname, 'Vagrantfile'), join(content, 'Vagrantfile'));
    await run('tar', '-C', content, '-I', 'gzip -1', '-cf', join(work, 'done'), '.');
    await rename(join(work, 'done'), wanted.file);
  } catch (error) {
    if (!(error instanceof ExecaError) || error.isCanceled) throw error;
    const said = String(error.stderr).split('\n').slice(-12).join('\n');
    throw new Trouble(`The box cannot be built: ${error.shortMessage}\n${said}`);
  } finally {
    // What was killed may need a moment to be gone.
    await rm(work, { recursive: true, force: true, maxRetries: 20 });
  }
}

/** As scripts/setup has it, so that the machines need nothing from the internet. */
async function labPackages(): Promise<readonly string[]> {
  return (await execa(join(checkout, 'scripts/setup'), ['--print-run'])).stdout.split(/\s+/);
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}
