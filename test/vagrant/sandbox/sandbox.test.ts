import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { placeAmong } from './sandbox.ts';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'place-test-'));
  for (const name of ['var/cache', 'variable']) await mkdir(join(directory, name), { recursive: true });
  await symlink(join(directory, 'var/cache'), join(directory, 'link'));
});
afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

describe('a directory', () => {
  it.each([
    ['var', true],
    ['var/cache', true],
    ['link', true],
    ['variable', false],
    ['', false],
  ])('%s lies in /var: %s', async (name, within) => {
    const place = join(directory, 'var');
    expect(await placeAmong(join(directory, name), [place])).toBe(within ? place : undefined);
  });
});
