// What the binding says where something is missing. Each host is a mount namespace that lacks it. Needs root.
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Compiled, compile } from './testing/compile.ts';

const script = join(import.meta.dirname, 'testing/try-all.ts');
let small: Compiled;

beforeAll(async () => {
  small = await compile('small.bpf.c');
});
afterAll(() => small?.[Symbol.dispose]());

/** The findings of a process that starts after `prepare`, a shell command, with `prefix` before it. */
async function findings(prepare: string, order: string, prefix: readonly string[] = []): Promise<unknown> {
  const command = [...prefix, process.execPath, script, small.object, order].map((word) => `'${word}'`);
  const { stdout } = await execa('unshare', [
    '--mount',
    '--net',
    'sh',
    '-ec',
    `${prepare}\n${command.join(' ')}`,
  ]);
  return JSON.parse(stdout);
}

const unmount = 'while umount /sys/fs/bpf 2>/dev/null; do :; done';

it('mounts the BPF file system itself', async () => {
  expect(await findings(unmount, 'pin,load')).toEqual([]);
});

it('says how to mount it where that is not allowed', async () => {
  const without = ['setpriv', '--bounding-set', '-sys_admin', '--'];
  expect(await findings(unmount, 'pin', without)).toMatchObject([
    { code: 'BPFFS_MISSING', remedy: 'mount -t bpf bpf /sys/fs/bpf' },
  ]);
});

it('says how to install libbpf', async () => {
  const hide =
    "for f in $(ldconfig -p | sed -n 's/.*libbpf.so.1 .*=> //p'); do mount --bind /dev/null $f; done";
  expect(await findings(hide, 'load')).toMatchObject([
    {
      code: 'LIBBPF_MISSING',
      message: expect.stringContaining('libbpf.so.1'),
      remedy: 'apt-get install libbpf1',
    },
  ]);
});

it('says what rights it needs', async () => {
  const without = ['setpriv', '--bounding-set', '-sys_admin,-bpf,-net_admin', '--'];
  expect(await findings(':', 'load', without)).toMatchObject([{ code: 'BPF_NOT_PERMITTED' }]);
});
