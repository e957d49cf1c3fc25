// The kernels that are unpacked on this host: downloaded once by package name, never installed.
import { mkdtemp, readdir, readFile, rename, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { ExecaError, execa } from 'execa';
import { makeDirectory } from './directory.ts';
import { type Kernel, kernels } from './kernels.ts';
import { locked } from './lock.ts';
import { namesFound, newest, type Package, parsePackage } from './packages.ts';
import { needSpace } from './space.ts';
import { Trouble } from './trouble.ts';

/** A kernel that a guest can boot. */
export interface Unpacked {
  /** `linux-image-6.1.0-56-amd64`. */
  readonly package: string;
  readonly version: string;
  /** What uname(1) will say. */
  readonly release: string;
  readonly directory: string;
  readonly image: string;
  /** Its folder below /lib/modules, with modules.dep. */
  readonly modules: string;
}

export const cacheDirectory = resolve(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'penstock');
const kernelDirectory = join(cacheDirectory, 'kernels');
export const cacheRemedy = 'set XDG_CACHE_HOME to a directory on another file system';

/** A directory in the cache. */
export async function makeCache(directory: string): Promise<void> {
  await makeDirectory(directory).catch((error: Error) => {
    throw new Trouble(`The cache ${directory} cannot be made (${error.message}); ${cacheRemedy}.`);
  });
}

/** The newest package of a kernel; downloaded and unpacked when that has not been done. */
export async function obtain(
  kernel: Kernel,
  say: (text: string) => void,
  signal: AbortSignal,
): Promise<Unpacked> {
  const found = await find(kernel, say, signal);
  await markUsed(found.directory);
  return found;
}

async function find(kernel: Kernel, say: (text: string) => void, signal: AbortSignal): Promise<Unpacked> {
  const known = await remembered(kernel);
  if (known !== undefined) return known;
  await makeCache(kernelDirectory);
  return await locked(join(kernelDirectory, 'lock'), signal, async () => {
    const wanted = await newestPackage(kernel, say, signal);
    // Without an answer of apt, one that is there serves as well.
    if (wanted === undefined) {
      const there = await cached(kernel);
      if (there !== undefined) return there;
      throw new Trouble(
        `No Debian package matches ${kernel.packages.source} (kernel ${kernel.name}), and none is cached. ` +
          `It is a kernel of ${kernel.debian}: is the host's network up, and are that release's packages among those ` +
          'of apt (see "apt-cache search linux-image")?',
      );
    }
    const entry = `${wanted.name}_${wanted.version}`;
    const unpacked = describe(entry);
    if (unpacked === undefined) throw new Error(`The package name ${wanted.name} is not understood.`);
    const isNew = !(await readdir(kernelDirectory)).includes(entry);
    if (isNew) await unpack(wanted, unpacked, say, signal);
    await writeFile(`${memory(kernel)}.new`, `${await listsTime()} ${entry}`);
    await rename(`${memory(kernel)}.new`, memory(kernel));
    if (isNew) {
      const newestOnes = await Promise.all(kernels.map(cached));
      await removeOld(kernelDirectory, [entry, ...newestOnes.flatMap((one) => one?.directory ?? [])]);
    }
    return unpacked;
  });
}

/** Days; a guest that may have booted it has ended long before. */
const disuse = 7;

/** Nobody has marked it as used for a week. */
export async function isUnused(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found !== undefined && Date.now() - found.mtimeMs > disuse * 86_400_000;
}

/** A cache that cannot be written serves as well. */
export async function markUsed(path: string): Promise<void> {
  const now = new Date();
  await utimes(path, now, now).catch(() => {});
}

/** Removes the kernels in this directory that are not used any more, but for these. The lock must be ours. */
export async function removeOld(directory: string, keep: readonly string[]): Promise<void> {
  const names = keep.map((path) => basename(path));
  for (const entry of await readdir(directory)) {
    if (describe(entry) === undefined || names.includes(entry)) continue;
    if (!(await isUnused(join(directory, entry)))) continue;
    // Under a name first that nobody takes for a whole one, and that the next to unpack removes.
    const away = join(directory, `unpacking-${entry}`);
    await rename(join(directory, entry), away)
      .then(() => rm(away, { recursive: true, force: true }))
      .catch(() => {});
  }
}

/** apt takes seconds to answer, and answers the same while its lists are. */
async function remembered(kernel: Kernel): Promise<Unpacked | undefined> {
  const [time, entry = ''] = (await readFile(memory(kernel), 'utf8').catch(() => '')).split(' ');
  if (time !== (await listsTime())) return undefined;
  const there = (await readdir(kernelDirectory)).includes(entry);
  return there ? describe(entry) : undefined;
}

function memory(kernel: Kernel): string {
  return join(kernelDirectory, `newest-${kernel.name}`);
}

async function listsTime(): Promise<string> {
  const lists = await stat('/var/lib/apt/lists').catch(() => undefined);
  return `${lists?.mtimeMs ?? 0}`;
}

/** The newest that is unpacked already, or undefined. */
export async function cached(kernel: Kernel): Promise<Unpacked | undefined> {
  const all = (await readdir(kernelDirectory).catch(() => []))
    .map(describe)
    .filter((one) => one !== undefined);
  const name = newest(
    all.map((one) => one.package),
    kernel.packages,
  );
  const versions = all.filter((one) => one.package === name).map((one) => one.version);
  return all.find((one) => one.package === name && one.version === newest(versions, /./));
}

function describe(entry: string): Unpacked | undefined {
  const [name = '', version] = entry.split('_');
  if (!name.startsWith('linux-image-') || version === undefined) return undefined;
  const release = name.slice('linux-image-'.length);
  const directory = join(kernelDirectory, entry);
  const image = join(directory, `boot/vmlinuz-${release}`);
  return {
    package: name,
    version,
    release,
    directory,
    image,
    modules: join(directory, 'lib/modules', release),
  };
}

async function newestPackage(
  kernel: Kernel,
  say: (text: string) => void,
  signal: AbortSignal,
): Promise<Package | undefined> {
  const ask = async () => {
    const search = await execa('apt-cache', ['search', '--names-only', kernel.packages.source], {
      cancelSignal: signal,
      reject: false,
    });
    const name = newest(namesFound(search.stdout ?? ''), kernel.packages);
    if (name === undefined) return undefined;
    const { stdout } = await execa('apt-cache', ['show', '--no-all-versions', name], {
      cancelSignal: signal,
    });
    return parsePackage(stdout);
  };
  const found = await ask();
  if (found !== undefined || (await cached(kernel)) !== undefined) return found;
  await update(say, signal);
  return await ask();
}

/** Only root may; anyone else goes on with the lists that there are. */
async function update(say: (text: string) => void, signal: AbortSignal): Promise<void> {
  if (process.getuid?.() !== 0) return;
  say('asking for the lists of Debian packages (apt-get update)');
  await execa('apt-get', ['update', '-qq'], { cancelSignal: signal, reject: false });
}

/** Under another name first: what bears its own name is complete. */
async function unpack(
  wanted: Package,
  { directory, release }: Unpacked,
  say: (text: string) => void,
  signal: AbortSignal,
): Promise<void> {
  // What a killed run left; the lock is ours, so no one works on it.
  for (const entry of await readdir(kernelDirectory)) {
    if (entry.startsWith('unpacking-')) await rm(join(kernelDirectory, entry), { recursive: true });
  }
  await needSpace(kernelDirectory, wanted.size + wanted.installedSize + 64 * 1024 * 1024, cacheRemedy);
  const work = await mkdtemp(join(kernelDirectory, 'unpacking-'));
  try {
    say(`downloading ${wanted.name} ${wanted.version}, ${Math.ceil(wanted.size / 1_000_000)} MB`);
    const file = await download(wanted, work, say, signal);
    const tree = join(work, 'tree');
    await execa('dpkg-deb', ['-x', file, tree], { cancelSignal: signal });
    await linkLib(tree);
    await execa('depmod', ['-b', tree, release], { cancelSignal: signal });
    await rename(tree, directory);
  } catch (error) {
    if (!(error instanceof ExecaError) || error.isCanceled) throw error;
    throw new Trouble(`${wanted.name} cannot be had: ${error.stderr || error.shortMessage}`);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Debian 13 packs modules below usr/lib, which is not sought there; Debian 12 below lib. */
async function linkLib(tree: string): Promise<void> {
  await symlink('usr/lib', join(tree, 'lib')).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
}

async function download(
  wanted: Package,
  work: string,
  say: (text: string) => void,
  signal: AbortSignal,
): Promise<string> {
  // As root apt would change to a user who may not write here, and complain about it.
  const args = ['-q', '-o', 'APT::Sandbox::User=root', 'download', `${wanted.name}=${wanted.version}`];
  const options = { cwd: work, cancelSignal: signal } as const;
  const { failed, isCanceled } = await execa('apt-get', args, { ...options, reject: false });
  if (failed && !isCanceled) {
    // The lists may be older than the archive.
    await update(say, signal);
    await execa('apt-get', args, options);
  }
  signal.throwIfAborted();
  const file = (await readdir(work)).find((name) => name.endsWith('.deb'));
  if (file === undefined) throw new Trouble(`apt-get downloaded no file for ${wanted.name}.`);
  return join(work, file);
}
