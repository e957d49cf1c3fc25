import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { firstDue, nextDue, tick, Wheel } from './schedule.ts';

const keys = (count: number) =>
  Array.from({ length: count }, (_, index) => `10.0.${index >> 8}.${index & 255} tcp 80`);

/** How many are due in each part of a time. */
function spread(dues: readonly number[], length: number, parts: number): readonly number[] {
  const counts = new Array<number>(parts).fill(0);
  for (const due of dues) {
    const part = Math.floor((due / length) * parts);
    counts[part] = (counts[part] ?? 0) + 1;
  }
  return counts;
}

describe('turns', () => {
  test('of 10,000 targets are spread over the interval: no tenth of a second has twice its share', () => {
    const dues = keys(10_000).map((key) => nextDue(key, 5_000, 0));
    for (const count of spread(dues, 5_001, 50)) expect(count).toBeLessThan(2 * (10_000 / 50));
  });

  test('of those that nothing is known of begin within a second, and are spread as well', () => {
    const dues = keys(5_000).map((key) => firstDue(key, 60_000, false, 0));
    expect(Math.max(...dues)).toBeLessThan(1_000);
    for (const count of spread(dues, 1_000, 10)) expect(count).toBeLessThan(2 * (5_000 / 10));
  });

  test('keep their place: of those that something is known of the first, too', () => {
    const [key = ''] = keys(1);
    expect(firstDue(key, 5_000, true, 12_345)).toBe(nextDue(key, 5_000, 12_345));
  });

  test('come one interval after the other, whenever it is asked', () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.integer({ min: 1_000, max: 3_600_000 }),
        fc.double({ min: 0, max: 1e9, noNaN: true }),
        (key, interval, now) => {
          const due = nextDue(key, interval, now);
          expect(due).toBeGreaterThan(now);
          expect(due).toBeLessThanOrEqual(now + interval);
          expect(nextDue(key, interval, due)).toBe(due + interval);
        },
      ),
    );
  });
});

test('a wheel gives everything out once, not before it is due, and with the first turn after it is', () => {
  const step = fc.record({
    add: fc.array(fc.integer({ min: -100, max: 40_000 })),
    pass: fc.integer({ min: 0, max: 30_000 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      let now = 1_000;
      const wheel = new Wheel<{ due: number }>(now);
      const held = new Set<{ due: number }>();
      for (const { add, pass } of steps) {
        for (const delay of add) {
          const thing = { due: now + delay };
          held.add(thing);
          wheel.add(thing);
        }
        now += pass;
        for (const thing of wheel.take(now)) {
          expect(held.delete(thing)).toBe(true);
          expect(thing.due).toBeLessThan(now + tick);
        }
        expect(wheel.size).toBe(held.size);
      }
      now += 100_000;
      for (const thing of wheel.take(now)) held.delete(thing);
      expect(held.size).toBe(0);
    }),
  );
});
