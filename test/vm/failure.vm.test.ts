// What goes wrong: each is told with its remedy, and leaves nothing behind.
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cacheDirectory } from './cache.ts';
import { leavesTheHostAlone } from './testing/host.ts';
import { Runner, vm } from './testing/runner.ts';
import { find } from './tools.ts';

leavesTheHostAlone();

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'vm-test-failure-'));
});
afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

/** A directory of programs for PATH: those that a guest needs, without some, and with others that only say so. */
async function programs(
  name: string,
  without: readonly string[],
  fakes: Readonly<Record<string, string>> = {},
): Promise<string> {
  const path = join(directory, name);
  await mkdir(path);
  const needed =
    'qemu-system-x86_64 busybox cpio xz depmod modprobe setpriv flock sh cat bash apt-cache apt-get dpkg-deb';
  for (const program of needed.split(' ')) {
    const target = await find(program);
    if (target !== undefined && !without.includes(program) && !(program in fakes)) {
      await symlink(target, join(path, program));
    }
  }
  for (const [program, script] of Object.entries(fakes)) {
    await writeFile(join(path, program), `#!/bin/sh\n${script}\n`);
    await chmod(join(path, program), 0o755);
  }
  return path;
}

/** A cache or temporary directory of so many MiB, in a mount namespace that ends with the runner. */
function inSmall(path: string, mebibytes: number): readonly string[] {
  const script = `mount -t tmpfs -o size=${mebibytes}m small "$0" && exec "$@"`;
  return ['unshare', '--mount', 'sh', '-c', script, path];
}

/** Far longer than it takes, also on a busy machine. */
const patience = { timeout: 60_000 };

/** Still until it is told to run, which nobody does: hangs before its first instruction. */
const hung = ['--qemu', '-S'];

describe('no guest can be made', () => {
  it('because there is no QEMU', async () => {
    const result = await vm(['run', '--', 'true'], {
      env: { PATH: await programs('no-qemu', ['qemu-system-x86_64', 'cpio']) },
    });
    expect(result.stderr).toMatch(/needs qemu-system-x86_64, cpio/);
    expect(result.stderr).toMatch(/apt-get install --no-install-recommends --yes qemu-system-x86 cpio\n/);
    expect(result).toMatchObject({ exitCode: 125, stdout: '', leftovers: [] });
  });

  it.each([
    ['--kernel', '2.6', 'The kernels are 6.1, 6.12'],
    ['--nics', '17', 'cards from 0 to 16'],
    ['--nics', 'two', 'cards from 0 to 16'],
    ['--memory', '64', 'MiB from 512 to'],
    ['--cpus', '0', 'processors from 1 to'],
    ['--timeout', '0', 'seconds from 1 to'],
    ['--output', '', 'the path of a directory'],
  ])('because of %s %s', async (option, value, expected) => {
    const result = await vm(['run', option, value, '--', 'true']);
    expect(result.stderr).toContain(option);
    expect(result.stderr).toContain(`'${value}'`);
    expect(result.stderr).toContain(expected);
    expect(result).toMatchObject({ exitCode: 125, leftovers: [] });
  });

  it('because QEMU refuses an argument', async () => {
    const result = await vm(['run', '--qemu', '-device no-such-device', '--', 'true']);
    expect(result.stderr).toMatch(/QEMU ended with status 1: .*'no-such-device' is not a valid device model/);
    expect(result).toMatchObject({ exitCode: 125, leftovers: [] });
  });

  it('because no package of the kernel is found', async () => {
    // Neither is one cached, nor do lists or network have one.
    const path = await programs('no-packages', [], { 'apt-cache': 'true', 'apt-get': 'exit 100' });
    const result = await vm(['run', '--', 'true'], {
      env: { PATH: path, XDG_CACHE_HOME: join(directory, 'empty') },
    });
    expect(result.stderr).toMatch(/No Debian package matches .+ \(kernel 6\.1\).* of Debian 12: .*network/);
    expect(result).toMatchObject({ exitCode: 125, leftovers: [] });
  });

  it('because the package cannot be downloaded', async () => {
    const path = await programs('no-download', [], {
      'apt-cache': `case $1 in
        search) echo 'linux-image-6.1.0-1-amd64 - Linux' ;;
        show) printf 'Package: linux-image-6.1.0-1-amd64\\nVersion: 6.1.1-1\\nSize: 10\\nInstalled-Size: 1\\n' ;;
      esac`,
      'apt-get': 'echo "E: Failed to fetch it: no route to host" >&2; exit 100',
    });
    const result = await vm(['run', '--', 'true'], {
      env: { PATH: path, XDG_CACHE_HOME: join(directory, 'none') },
    });
    expect(result.stderr).toContain(
      'linux-image-6.1.0-1-amd64 cannot be had: E: Failed to fetch it: no route to host',
    );
    expect(result).toMatchObject({ exitCode: 125, leftovers: [] });
  });

  it('because the cache has no space for a kernel', async () => {
    const cache = join(directory, 'small-cache');
    await mkdir(cache);
    const result = await vm(['run', '--', 'true'], {
      env: { XDG_CACHE_HOME: cache },
      through: inSmall(cache, 16),
    });
    expect(result.stderr).toMatch(
      /small-cache\S* has 1\d MiB free, and \d{3} MiB are needed.*XDG_CACHE_HOME/,
    );
    expect(result).toMatchObject({ exitCode: 125, leftovers: [] });
  });

  it.each([
    ['the temporary directory', 'TMPDIR', '/dev/shm'],
    ['the cache', 'XDG_CACHE_HOME', '/proc/none'],
  ])('because a guest cannot see %s', async (_, name, path) => {
    const result = await vm(['run', '--', 'true'], { env: { [name]: path } });
    expect(result.stderr).toMatch(new RegExp(`${path}\\S* lies in /\\w+, .*${name}`));
    expect(result).toMatchObject({ exitCode: 125, leftovers: [] });
  });

  it('because its output directory cannot be made', async () => {
    const result = await vm(['run', '--output', '/proc/none/here', '--', 'true']);
    expect(result.stderr).toContain('The output directory /proc/none/here cannot be made');
    expect(result).toMatchObject({ exitCode: 125, leftovers: [] });
  });

  it('because the temporary directory has no space', async () => {
    const temporary = join(directory, 'small-temporary');
    await mkdir(temporary);
    const result = await vm(['run', '--', 'true'], {
      env: { TMPDIR: temporary },
      through: inSmall(temporary, 8),
    });
    expect(result.stderr).toMatch(/small-temporary has \d MiB free, and 32 MiB are needed.*TMPDIR/);
    expect(result).toMatchObject({ exitCode: 125, leftovers: [] });
  });
});

describe('a guest fails', () => {
  it('by a panic: its kernel log is shown and kept', async () => {
    const result = await vm(['run', '--', 'sh', '-c', 'echo before; echo c >/proc/sysrq-trigger; sleep 60']);
    expect(result.stderr).toContain('The guest (kernel 6.1) panicked.');
    expect(result.stderr).toContain('Kernel panic - not syncing: sysrq triggered crash');
    expect(result.stderr).toMatch(/which is kept in \S+\.log:\n/);
    expect(result).toMatchObject({ exitCode: 125, stdout: 'before\n', leftovers: [] });
  });

  it('by power-off in the middle of the command', async () => {
    const result = await vm(['run', '--', 'sh', '-c', 'echo o >/proc/sysrq-trigger; sleep 60']);
    expect(result.stderr).toContain('The guest (kernel 6.1) ended without an exit status of its command.');
    expect(result).toMatchObject({ exitCode: 125, leftovers: [] });
  });

  it('by a hang before it has started', async () => {
    const result = await vm(['run', '--timeout', '1', ...hung, '--', 'true']);
    expect(result.stderr).toContain('did not get so far as to run its command within 1 s');
    expect(result.stderr).toContain('--timeout');
    expect(result).toMatchObject({ exitCode: 124, leftovers: [] });
  });

  it('beside a cache that keeps no kernel log: the exit status is the command’s all the same', async () => {
    // Something is where the directory of logs would be made.
    const cache = join(directory, 'cache-without-logs');
    await mkdir(join(cache, 'penstock'), { recursive: true });
    for (const name of ['kernels', 'accelerator']) {
      await symlink(join(cacheDirectory, name), join(cache, 'penstock', name));
    }
    await writeFile(join(cache, 'penstock/logs'), '');
    const result = await vm(['run', '--', 'sh', '-c', 'exit 37'], { env: { XDG_CACHE_HOME: cache } });
    expect(result.stderr).toMatch(/exit status 37; kernel log: could not be kept: ENOTDIR/);
    expect(result).toMatchObject({ exitCode: 37, leftovers: [] });
  });

  it('by a command that is not there, which is the command’s own status', async () => {
    const result = await vm(['run', '--', 'no-such-command']);
    expect(result.stderr).toContain('no-such-command: not found');
    expect(result).toMatchObject({ exitCode: 127, leftovers: [] });
  });
});

describe('the reader goes', () => {
  it('before the command ends: its exit status comes all the same, and nothing stays', async () => {
    const runner = await Runner.start(['run', '--', 'sh', '-c', 'seq 100000; seq 100000 >&2; exit 37']);
    const { stdout, stderr } = runner.process;
    await once(stdout, 'data');
    stdout.destroy();
    stderr.destroy();
    expect((await runner.process).exitCode).toBe(37);
    expect(await runner.leftovers()).toEqual([]);
  });
});

describe('the runner is ended', () => {
  it('by Ctrl-C in the middle of a command, and a second guest by its time limit', async () => {
    const begin = performance.now();
    const runner = await Runner.start(['run', '--', 'sh', '-c', 'echo ready; exec sleep infinity']);
    await once(runner.process.stdout, 'data');
    const seconds = (performance.now() - begin) / 1000;
    runner.process.kill('SIGINT');
    expect((await runner.process).exitCode).toBe(130);
    expect(await runner.leftovers()).toEqual([]);

    // Several times what the first one needed to come so far.
    const limit = Math.ceil(seconds * 2.5);
    const result = await vm([
      'run',
      '--timeout',
      `${limit}`,
      '--',
      'sh',
      '-c',
      'echo ready; exec sleep infinity',
    ]);
    expect(result.stderr).toContain(`did not finish its command within ${limit} s`);
    expect(result).toMatchObject({ exitCode: 124, stdout: 'ready\n', leftovers: [] });
  });

  it.each([
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('by %s while the guest hangs', async (name, status) => {
    const runner = await Runner.start(['run', ...hung, '--', 'true']);
    await expect.poll(() => runner.processes(), patience).not.toEqual([]);
    runner.process.kill(name);
    expect((await runner.process).exitCode).toBe(status);
    expect(await runner.leftovers()).toEqual([]);
  });

  it('by SIGKILL: the guest ends with it, though nobody is left to end it', async () => {
    const runner = await Runner.start(['run', ...hung, '--', 'true']);
    await expect.poll(() => runner.processes(), patience).not.toEqual([]);
    runner.process.kill('SIGKILL');
    await runner.process;
    await expect.poll(() => runner.processes(), patience).toEqual([]);
    // Its files are all that is left.
    expect(await runner.leftovers()).toHaveLength(1);
  });

  it.each([
    ['SIGINT', 130, 0],
    // Its files are all that is left.
    ['SIGKILL', undefined, 1],
  ] as const)('by %s while a guest with a network of its own hangs', async (name, status, files) => {
    const runner = await Runner.start(['run', '--nics', '2', '--queues', '2', ...hung, '--', 'true']);
    const machines = async () =>
      (await runner.processes()).filter(({ command }) => command.startsWith('qemu-system')).length;
    // With its taps, bridges and namespace.
    await expect.poll(machines, patience).toBe(1);
    runner.process.kill(name);
    expect((await runner.process).exitCode).toBe(status);
    await expect.poll(() => runner.processes(), patience).toEqual([]);
    expect(await runner.leftovers()).toHaveLength(files);
  });
});
