import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addressBytes } from '../conntrack/address.ts';
import { nextSequence, readStamp, stampElement } from './stamp.ts';
import { address } from './testing/tables.ts';

describe('the stamp', () => {
  it('comes back as it was written', () => {
    const instances = fc
      .bigInt({ min: 0n, max: 2n ** 64n - 1n })
      .map((value) => value.toString(16).padStart(16, '0'));
    fc.assert(
      fc.property(
        instances,
        fc.nat({ max: 2 ** 48 - 1 }),
        fc.integer({ min: 1, max: 65535 }),
        (instance, revision, sequence) => {
          const { value } = stampElement({ stamp: { instance, revision }, sequence });
          const text = Array.isArray(value) ? String(value[0]) : '';
          expect(readStamp(addressBytes(address(text)))).toEqual({ stamp: { instance, revision }, sequence });
        },
      ),
    );
  });

  it('refuses what it cannot hold', () => {
    expect(() => stampElement({ stamp: { instance: 'A1', revision: 0 }, sequence: 1 })).toThrow(RangeError);
    expect(() =>
      stampElement({ stamp: { instance: '00000000000000a1', revision: 2 ** 48 }, sequence: 1 }),
    ).toThrow(RangeError);
  });

  it('counts transactions round and round, never 0', () => {
    expect(nextSequence(0)).toBe(1);
    expect(nextSequence(65534)).toBe(65535);
    expect(nextSequence(65535)).toBe(1);
  });
});
