import { mkdir, mkdtemp, readdir, rm, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { markUsed, removeOld } from './cache.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'vm-test-cache-'));
});
afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

async function add(name: string, days: number): Promise<void> {
  await mkdir(join(directory, name, 'boot'), { recursive: true });
  const time = new Date(Date.now() - days * 86_400_000);
  await utimes(join(directory, name), time, time);
}

it('removes kernels that are neither kept nor used within a week, and nothing else', async () => {
  await add('linux-image-6.1.0-56-amd64_6.1.192-2', 30);
  await add('linux-image-6.1.0-55-amd64_6.1.190-1', 30);
  await add('linux-image-6.1.0-54-amd64_6.1.189-1', 6);
  await add('linux-image-6.12.9+deb12-amd64_6.12.9-1', 30);
  await add('something else', 30);
  await markUsed(join(directory, 'linux-image-6.12.9+deb12-amd64_6.12.9-1'));

  await removeOld(directory, ['linux-image-6.1.0-56-amd64_6.1.192-2']);

  expect((await readdir(directory)).toSorted()).toEqual([
    'linux-image-6.1.0-54-amd64_6.1.189-1',
    'linux-image-6.1.0-56-amd64_6.1.192-2',
    'linux-image-6.12.9+deb12-amd64_6.12.9-1',
    'something else',
  ]);
});

it('lets a cache that cannot be written be', async () => {
  await markUsed(join(directory, 'none'));
  expect(await readdir(directory)).toEqual([]);
});
