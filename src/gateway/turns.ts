// Turns for other work while a large change is under way.
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ConfigurationChange } from '../resources/change.ts';

/** Lets other work have a turn between the stages of a large change. */
export async function breathe(proposed: ConfigurationChange): Promise<void> {
  if (isLarge(proposed)) await nextTurn();
}

/** Where a stage may take some milliseconds: by what is looked at, which is whole load balancers. */
function isLarge({ changed }: ConfigurationChange): boolean {
  if (changed.size > 1) return true;
  for (const { before, after } of changed.values()) {
    const members = (after ?? before)?.backendPools.reduce((sum, pool) => sum + pool.members.length, 0) ?? 0;
    if (members > 1_000) return true;
  }
  return false;
}

/** Milliseconds. */
const turn = 20;

/** Runs steps to their end, with a turn for other work whenever they have taken a while. */
export async function stepByStep<Result>(steps: Generator<void, Result, void>): Promise<Result> {
  for (let begun = performance.now(); ; ) {
    const { done, value } = steps.next();
    if (done) return value;
    if (performance.now() - begun < turn) continue;
    await nextTurn();
    begun = performance.now();
  }
}
