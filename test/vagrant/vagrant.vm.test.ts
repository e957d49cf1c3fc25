// Vagrant from up to destroy, for real and emulated: what a person sees, and what the host keeps of it, which is nothing.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { beforeAll, describe, expect, it } from 'vitest';
import { cacheDirectory } from '../vm/cache.ts';
import { snapshot } from '../vm/testing/host.ts';

const vm = join(import.meta.dirname, '../../scripts/vm');
/** Milliseconds; several times what it takes on a host that is busy with something else besides. */
const patience = 3_600_000;

/** What Vagrant and libvirt could leave on a host. */
async function host() {
  const listing = async (path: string): Promise<string> => (await readdir(path).catch(() => [])).join(' ');
  const { stdout } = await execa('ps', ['-e', '-o', 'args=']);
  const { mounts, ...network } = await snapshot();
  return {
    ...network,
    // Those of other guests come and go.
    mounts: mounts.split('\n').filter((line) => /libvirt|sandbox|penstock\/vagrant/.test(line)),
    processes: stdout
      .split('\n')
      .filter((line) => /libvirtd|virtlogd|dnsmasq.*libvirt|guest=|test\/vagrant\/sandbox/.test(line)),
    users: await readFile('/etc/passwd', 'utf8'),
    run: await listing('/run/libvirt'),
    libvirt: `${await listing('/var/lib/libvirt')} ${await listing('/etc/libvirt')} ${await listing('/var/log/libvirt')}`,
    home: await listing('/root/.vagrant.d'),
    cache: await listing(join(cacheDirectory, 'vagrant')),
  };
}

function vagrant(...args: readonly string[]) {
  return execa(vm, ['vagrant', ...args], { all: true, reject: false, forceKillAfterDelay: false });
}

/** Resolves when it has said this; rejects with what it said instead. */
async function untilItSays(words: string, { all }: ReturnType<typeof vagrant>): Promise<void> {
  let said = '';
  await new Promise<void>((resolve, reject) => {
    all.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      if (said.includes(words)) resolve();
    });
    all.once('end', () => reject(new Error(`It never said "${words}":\n${said}`)));
  });
}

describe('scripts/vm vagrant', () => {
  beforeAll(async () => {
    // What it installs and caches is there before anything is compared.
    await execa(vm, ['box']);
    await execa(vm, ['vagrant', '--version']);
  }, patience);

  it.each([
    { form: 'one machine', args: ['--single'], sums: { story: 2, more: 0 } },
    { form: 'four machines', args: [], sums: { story: 2, more: 2 } },
  ])(
    'shows the demo on $form and both data planes, and leaves nothing',
    {
      timeout: patience,
    },
    async ({ args, sums }) => {
      const before = await host();
      const { all, exitCode } = await vagrant(...args);
      expect(exitCode, all).toBe(0);
      expect(all.match(/, 0 by a wrong one, 0 lost/g) ?? []).toHaveLength(sums.story);
      expect(all.match(/, 0 by a wrong one, 0 by none/g) ?? []).toHaveLength(sums.more);
      expect(await host()).toEqual(before);
    },
  );

  it('leaves nothing when it is interrupted', { timeout: patience }, async () => {
    const before = await host();
    const circle = vagrant('--single');
    // The machine is being made; libvirt, Vagrant and soon QEMU run.
    await untilItSays('Creating domain', circle);
    circle.kill('SIGINT');
    const { all, exitCode } = await circle;
    expect(exitCode, all).toBe(130);
    expect(all).not.toContain('vagrant up: ');
    expect(await host()).toEqual(before);
  });

  it('starts one sandbox for two commands that come at once', { timeout: patience }, async () => {
    const before = await host();
    for (const { all, exitCode } of await Promise.all([vagrant('--version'), vagrant('--version')])) {
      expect(exitCode, all).toBe(0);
      expect(all).toMatch(/Vagrant \d/);
    }
    expect(await host()).toEqual(before);
  });

  it('lets a command make a machine while another one sees none, and ends it by SIGTERM', {
    timeout: patience,
  }, async () => {
    const before = await host();
    const up = vagrant('up', '--no-tty', 'single');
    // No machine is known to libvirt until that is done.
    await untilItSays('Uploading base box image', up);
    const status = await vagrant('status', 'single');
    expect(status.exitCode, status.all).toBe(0);
    expect(up.exitCode).toBeNull();
    up.kill('SIGTERM');
    const { all, exitCode } = await up;
    expect(exitCode, all).toBe(143);
    // Where it came so far as to make one.
    const destroyed = await vagrant('destroy', '--force');
    expect(destroyed.exitCode, destroyed.all).toBe(0);
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
