import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hold, holdUnlessTaken, locked } from './lock.ts';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'lock-test-'));
});
afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

const never = new AbortController().signal;

describe('a lock', () => {
  it('lets one work at a time', async () => {
    const file = join(directory, 'one');
    let inside = 0;
    const most = await Promise.all(
      [1, 2, 3].map(() =>
        locked(file, never, async () => {
          inside += 1;
          await new Promise((resolve) => setTimeout(resolve, 20));
          return inside--;
        }),
      ),
    );
    expect(most).toEqual([1, 1, 1]);
  });

  it('is shared by those who want that, and then nobody has it alone', async () => {
    const file = join(directory, 'shared');
    const first = await hold(file, never, 'shared');
    const second = await hold(file, never, 'shared');
    await first[Symbol.asyncDispose]();
    expect(await holdUnlessTaken(file)).toBeUndefined();
    await second[Symbol.asyncDispose]();
    const alone = await holdUnlessTaken(file);
    expect(alone).toBeDefined();
    await alone?.[Symbol.asyncDispose]();
  });

  it('is waited for until the signal comes', async () => {
    const file = join(directory, 'waiting');
    await using _lock = await hold(file);
    const waiting = new AbortController();
    const waited = locked(file, waiting.signal, async () => 'never');
    setTimeout(() => waiting.abort(new Error('interrupted')), 50);
    await expect(waited).rejects.toThrow('interrupted');
  });

  it('is held until the work has ended, also when the signal comes', async () => {
    const file = join(directory, 'working');
    const working = new AbortController();
    const seen = await locked(file, working.signal, async () => {
      working.abort();
      await new Promise((resolve) => setTimeout(resolve, 50));
      return await holdUnlessTaken(file);
    });
    expect(seen).toBeUndefined();
  });

  it('that cannot be made says so', async () => {
    await expect(hold(join(directory, 'no/such'))).rejects.toThrow('could not be had');
  });
});
