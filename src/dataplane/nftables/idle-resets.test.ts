import { pino } from 'pino';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Idle } from '../../forwarding/idle.ts';
import { IdleResets, type IdleResetsParts } from './idle-resets.ts';
import { endpoint, nat, table } from './testing/tables.ts';
import { resetGrace } from './timeouts.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const idle: Idle = { seconds: 240, reset: true };
const entry = nat(endpoint('203.0.113.1', 'tcp', 80), '10.1.0.1', 8080);
const tended = table([{ ...entry, target: { ...entry.target, idle } }]);

/** When it looks, in ms, in a minute of being tended four times a second, where a look takes so long. */
async function looks(duration: number): Promise<readonly number[]> {
  const begun: number[] = [];
  const start = performance.now();
  const reset = async () => {
    begun.push(performance.now() - start);
    await new Promise((resolve) => setTimeout(resolve, duration));
  };
  const resets = new IdleResets({
    flows: { reset },
    logger: pino({ level: 'silent' }),
  } as unknown as IdleResetsParts);
  for (let time = 0; time < 60_000; time += 250) {
    resets.tend(tended);
    await vi.advanceTimersByTimeAsync(250);
  }
  return begun;
}

const pauses = (times: readonly number[]) => times.slice(1).map((time, at) => time - (times[at] ?? 0));

it('looks each second for idle connections', async () => {
  for (const pause of pauses(await looks(5))) expect(pause).toBeLessThanOrEqual(1_000);
});

it('looks less often where it takes long, yet while the kernel still has what shall be reset', async () => {
  for (const pause of pauses(await looks(300))) expect(pause).toBeGreaterThanOrEqual(2_500);
  const slow = 4_000;
  const all = pauses(await looks(slow));
  expect(all.length).toBeGreaterThan(4);
  for (const pause of all) expect(pause + slow).toBeLessThan(resetGrace * 1_000);
});
