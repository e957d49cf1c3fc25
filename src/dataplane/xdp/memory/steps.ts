// Work in steps, so that other calls get their turn in between.
import { setImmediate } from 'node:timers/promises';

/** Milliseconds that others may wait. */
const turn = 20;

/** Runs to the end; `yield` marks where others may have a turn. */
export async function inSteps<T>(work: Generator<void, T, void>): Promise<T> {
  let began = performance.now();
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
    if (performance.now() - began < turn) continue;
    await setImmediate();
    began = performance.now();
  }
}
