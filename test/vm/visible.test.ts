import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { visible } from './visible.ts';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'vm-test-visible-'));
  await mkdir(join(directory, 'data'));
  await symlink(join(directory, 'data'), join(directory, 'link'));
  await symlink('/dev/shm', join(directory, 'memory'));
});
afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

it('follows symbolic links, also to what is not there yet', async () => {
  for (const name of ['link', 'data']) {
    expect(await visible('The cache', join(directory, name, 'a/b'), 'remedy')).toBe(
      join(directory, 'data/a/b'),
    );
  }
  expect(await visible('The cache', '/developer/run', 'remedy')).toBe('/developer/run');
});

it.each(['/dev/shm', '/run/none', '/proc/self', '/sys'])('refuses %s', async (path) => {
  await expect(visible('The temporary directory', path, 'set TMPDIR')).rejects.toThrow(
    /^The temporary directory \S+ (\(\S+\) )?lies in \/\w+, where a guest has files of its own; set TMPDIR\.$/,
  );
});

it('refuses a link that leads to such a place, and says where that is', async () => {
  const path = join(directory, 'memory');
  await expect(visible('The cache', path, 'remedy')).rejects.toThrow(`${path} (/dev/shm) lies in /dev`);
});
