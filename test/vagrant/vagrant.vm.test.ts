// Vagrant from up to destroy, for real and emulated: what a person sees, and what the host keeps of it, which is nothing.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { beforeAll, describe, expect, it } from 'vitest';
import { cacheDirectory } from '../vm/cache.ts';

const vm = join(import.meta.dirname, '../../scripts/vm');
/** Milliseconds; several times what it takes on a host that is busy with something else besides. */
const patience = 2_400_000;

/** What Vagrant and libvirt could leave on a host. */
async function host(): Promise<Readonly<Record<string, string>>> {
  const ask = async (file: string, ...args: readonly string[]): Promise<string> =>
    (await execa(file, args)).stdout;
  const listing = async (path: string): Promise<string> => (await readdir(path).catch(() => [])).join(' ');
  const text = await ask('ps', '-e', '-o', 'args=');
  return {
    links: await ask('ip', '-brief', 'link'),
    routes: await ask('ip', 'route', 'show', 'table', 'all'),
    ruleset: await ask('nft', 'list', 'ruleset'),
    forwarding: await ask('sysctl', 'net.ipv4.ip_forward', 'net.ipv6.conf.all.forwarding'),
    // Those of other guests come and go.
    mounts: (await readFile('/proc/self/mounts', 'utf8'))
      .split('\n')
      .filter((line) => /libvirt|sandbox|penstock\/vagrant/.test(line))
      .join('\n'),
    processes: text
      .split('\n')
      .filter((line) => /libvirtd|virtlogd|dnsmasq.*libvirt|guest=|test\/vagrant\/sandbox/.test(line))
      .join('\n'),
    users: await readFile('/etc/passwd', 'utf8'),
    run: await listing('/run/libvirt'),
    libvirt: `${await listing('/var/lib/libvirt')} ${await listing('/etc/libvirt')} ${await listing('/var/log/libvirt')}`,
    home: await listing('/root/.vagrant.d'),
    cache: await listing(join(cacheDirectory, 'vagrant')),
  };
}

describe('scripts/vm vagrant', () => {
  beforeAll(async () => {
    // What it installs and caches is there before anything is compared.
    await execa(vm, ['box']);
    await execa(vm, ['vagrant', '--version']);
  }, patience);

  it('shows the demo on both data planes, and leaves nothing', { timeout: patience }, async () => {
    const before = await host();
    const { all, exitCode } = await execa(vm, ['vagrant', '--single'], { all: true, reject: false });
    expect(exitCode, all).toBe(0);
    expect(all.match(/ 0 by a wrong one, 0 lost/g)).toHaveLength(2);
    expect(await host()).toEqual(before);
  });

  it('leaves nothing when it is interrupted', { timeout: patience }, async () => {
    const before = await host();
    const child = execa(vm, ['vagrant', '--single'], {
      all: true,
      reject: false,
      forceKillAfterDelay: false,
    });
    for await (const line of child.iterable({ from: 'all' })) {
      // The machine is being made; libvirt, Vagrant and soon QEMU run.
      if (String(line).includes('Creating domain')) break;
    }
    child.kill('SIGINT');
    expect((await child).exitCode).toBe(130);
    expect(await host()).toEqual(before);
  });

  it('says what is wrong with a command of Vagrant in its words, and ends as it does', {
    timeout: patience,
  }, async () => {
    const before = await host();
    const { exitCode, stderr } = await execa(vm, ['vagrant', 'up', 'nobody'], { reject: false });
    expect(exitCode).toBe(1);
    expect(stderr).toContain("'nobody'");
    expect(await host()).toEqual(before);
  });
});
