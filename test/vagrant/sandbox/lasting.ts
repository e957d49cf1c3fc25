// The sandbox whose machines stay from one command to the next. It is started by the first command that comes, and ended
// by the last one that leaves it without a machine; several may be in it at a time.
import { join } from 'node:path';
import { hold, holdUnlessTaken, locked } from '../../vm/lock.ts';
import { home, Sandbox } from './sandbox.ts';

const name = 'sandbox';
/** Who comes or leaves does so alone. */
const door = join(home, `${name}.door`);
/** Shared by those who are inside. */
const inside = join(home, `${name}.inside`);

export async function inLasting<Result>(
  signal: AbortSignal,
  work: (sandbox: Sandbox) => Promise<Result>,
): Promise<Result> {
  const { sandbox, leave } = await locked(door, signal, async () => {
    const there = (await Sandbox.find(name, signal)) ?? (await Sandbox.start(name, false, signal));
    const here = await hold(inside, undefined, 'shared');
    return { sandbox: there, leave: async () => await here[Symbol.asyncDispose]() };
  });
  try {
    return await work(sandbox);
  } finally {
    await leave();
    await endUnlessUsed(sandbox);
  }
}

async function endUnlessUsed(sandbox: Sandbox): Promise<void> {
  await using _door = await hold(door);
  await using last = await holdUnlessTaken(inside);
  if (last === undefined || !(await sandbox.isRunning())) return;
  if ((await sandbox.machines()).length === 0) await sandbox.end();
}
