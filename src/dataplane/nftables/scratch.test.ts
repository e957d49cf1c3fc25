import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { prepareScratch } from './scratch.ts';

describe('prepareScratch', () => {
  it('makes a private directory and removes it', async () => {
    const scratch = await prepareScratch(undefined);
    expect((await stat(scratch.directory)).mode & 0o777).toBe(0o700);
    await scratch.remove();
    await expect(stat(scratch.directory)).rejects.toThrow('ENOENT');
  });

  it('takes a given one, removes leftovers of nft transactions, and nothing else', async () => {
    const parent = await mkdtemp(join(tmpdir(), 'penstock-test-'));
    const given = join(parent, 'scratch');
    await (await prepareScratch(given)).remove();
    for (const name of ['17-1.json', '17-2.nft', 'other.json']) await writeFile(join(given, name), '');
    await (await prepareScratch(given)).remove();
    expect(await readdir(given)).toEqual(['other.json']);
    await rm(parent, { recursive: true });
  });
});
