// Ranges never overlap, and what is freed can be had again in one piece.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Ranges } from './ranges.ts';
import { Rows } from './rows.ts';
import { Full } from './trouble.ts';

test('any sequence of taking and freeing', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ take: fc.boolean(), length: fc.integer({ min: 1, max: 30 }) })),
      (steps) => {
        const ranges = new Ranges(100);
        const held: [number, number][] = [];
        for (const { take, length } of steps) {
          const oldest = held[0];
          if (take) {
            try {
              const first = ranges.take(length);
              expect(held.every(([other, size]) => first + length <= other || other + size <= first)).toBe(
                true,
              );
              expect(first + length).toBeLessThanOrEqual(100);
              held.push([first, length]);
            } catch (error) {
              expect(error).toBeInstanceOf(Full);
            }
          } else if (oldest !== undefined) {
            held.shift();
            ranges.free(...oldest);
          }
          expect(ranges.used).toBe(held.reduce((sum, [, size]) => sum + size, 0));
        }
        const again = new Ranges(100);
        for (const each of held) expect(again.mark(...each)).toBe(true);
        for (const each of held) expect(again.mark(...each)).toBe(false);
        ranges.publish();
        for (const each of held) ranges.free(...each);
        expect(ranges.take(100)).toBe(0);
        ranges.abort();
        expect(ranges.used).toBe(0);
      },
    ),
  );
});

test('rows are given out once, up to the last', () => {
  for (const capacity of [1, 31, 32, 33, 100]) {
    const rows = new Rows('machines', capacity);
    expect(rows.mark(capacity)).toBe(false);
    expect(new Set(Array.from({ length: capacity }, () => rows.take())).size).toBe(capacity);
    expect(() => rows.take()).toThrow(Full);
    rows.publish();
    rows.free(capacity - 1);
    expect(rows.take()).toBe(capacity - 1);
    rows.abort();
    expect(rows.used).toBe(capacity - 1);
  }
});
