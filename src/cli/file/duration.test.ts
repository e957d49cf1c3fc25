// Durations in both directions.
import { describe, expect, it } from 'vitest';
import { formatDuration, parseDuration } from './duration.ts';

describe('parseDuration', () => {
  it.each([
    ['240s', 240, 0],
    ['4m', 240, 0],
    ['1h30m', 5400, 0],
    ['0.5s', 0, 500_000_000],
    ['1.000000001s', 1, 1],
    ['250ms', 0, 250_000_000],
    ['1.5h', 5400, 0],
    ['0s', 0, 0],
    ['315576000000s', 315_576_000_000, 0],
  ])('%s', (text, seconds, nanos) => {
    expect(parseDuration(text)).toEqual({ seconds, nanos });
  });

  it.each(['', '5', 's', '-5s', '5 s', '5d', '1e3s', '.5s', '0.0000000001s', '315576000001s'])(
    'not %j',
    (text) => {
      expect(parseDuration(text)).toBeUndefined();
    },
  );
});

describe('formatDuration', () => {
  it.each([
    [{ seconds: 240, nanos: 0 }, '240s'],
    [{ seconds: 0, nanos: 500_000_000 }, '0.500s'],
    [{ seconds: 0, nanos: 1_500_000 }, '0.001500s'],
    [{ seconds: 1, nanos: 1 }, '1.000000001s'],
    [{ seconds: -1, nanos: -500_000_000 }, '-1.500s'],
    [{}, '0s'],
  ])('%j', (duration, text) => {
    expect(formatDuration(duration)).toBe(text);
  });
});
