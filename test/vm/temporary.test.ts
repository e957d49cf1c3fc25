import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { inTemporary } from './temporary.ts';

const module = new URL('temporary.ts', import.meta.url).pathname;

let parent: string;
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'vm-test-temporary-'));
});
afterEach(async () => {
  await rm(parent, { recursive: true, force: true });
});

it('removes the directory whatever comes of the work', async () => {
  await inTemporary(parent, 'work', async (directory) => await writeFile(join(directory, 'file'), ''));
  await expect(inTemporary(parent, 'work', async () => Promise.reject(new Error('no')))).rejects.toThrow(
    'no',
  );
  expect(await readdir(parent)).toEqual([]);
});

it('removes what a killed process has left, and nothing else', async () => {
  const script = `const { inTemporary } = await import('${module}');
    await inTemporary('${parent}', 'work', async () => { console.log('there'); await new Promise(() => setInterval(() => {}, 1e6)); });`;
  const child = execa(process.execPath, ['--input-type=module', '--eval', script], { reject: false });
  await once(child.stdout, 'data');
  const [other] = await readdir(parent);
  // One that has no sign yet, and one of another kind.
  await mkdir(join(parent, 'work-fresh'));
  await mkdir(join(parent, 'otherwork-1'));

  const beside = await inTemporary(parent, 'work', async () => await readdir(parent));
  expect(beside).toContain(other);
  expect(beside).toHaveLength(4);

  child.kill('SIGKILL');
  await child;
  expect(await readdir(parent)).toContain(other);
  await inTemporary(parent, 'work', async () => {});
  expect((await readdir(parent)).toSorted()).toEqual(['otherwork-1', 'work-fresh']);
});
