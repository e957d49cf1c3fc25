import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { SerialQueue } from './queue.ts';

it('runs one task at a time, in order, also after a failure', async () => {
  const queue = new SerialQueue();
  const log: string[] = [];
  const task =
    (name: string, milliseconds: number, fail = false) =>
    async () => {
      log.push(`${name} begins`);
      await delay(milliseconds);
      log.push(`${name} ends`);
      if (fail) throw new Error(name);
      return name;
    };
  const first = queue.run(task('first', 5, true));
  const second = queue.run(task('second', 1));
  await expect(first).rejects.toThrow('first');
  expect(await second).toBe('second');
  expect(log).toEqual(['first begins', 'first ends', 'second begins', 'second ends']);
});
