import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { prepareScratch, transactionDirectory } from './scratch.ts';

describe('prepareScratch', () => {
  it('finds a place by itself, and leaves nothing there', async () => {
    const scratch = await prepareScratch(undefined);
    const directory = await transactionDirectory(scratch);
    expect((await stat(directory)).mode & 0o777).toBe(0o700);
    await rm(directory, { recursive: true });
  });

  it('takes a given one, removes leftovers of transactions, and nothing else', async () => {
    const parent = await mkdtemp(join(tmpdir(), 'penstock-test-'));
    const given = join(parent, 'scratch');
    expect(await prepareScratch(given)).toBe(given);
    expect((await stat(given)).mode & 0o777).toBe(0o700);
    await writeFile(join(await transactionDirectory(given), 'commands.json'), '');
    await writeFile(join(given, 'other.json'), '');
    await prepareScratch(given);
    expect(await readdir(given)).toEqual(['other.json']);
    await rm(parent, { recursive: true });
  });
});
