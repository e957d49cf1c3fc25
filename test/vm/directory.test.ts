import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { makeDirectory } from './directory.ts';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'vm-test-directory-'));
});
afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

it('makes what is missing, also when somebody else does so at the same time', async () => {
  const path = join(directory, 'a/b/c');
  await Promise.all(Array.from({ length: 8 }, () => makeDirectory(path)));
  await makeDirectory(path);
  expect((await stat(path)).isDirectory()).toBe(true);
});

it('returns where every mkdir is answered by ENOENT, and where a file is in the way', async () => {
  await expect(makeDirectory('/proc/none/a')).rejects.toThrow('ENOENT');
  await writeFile(join(directory, 'file'), '');
  await expect(makeDirectory(join(directory, 'file/a'))).rejects.toThrow('ENOTDIR');
});
