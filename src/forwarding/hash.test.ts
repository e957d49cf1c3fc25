import { describe, expect, test } from 'vitest';
import type { Transport } from '../resources/address.ts';
import { flowHashSeed, jenkinsHash, slotOf } from './hash.ts';
import { ip } from './testing/declare.ts';

// Both tables were made with another program, which in turn was checked against slots that the kernel chose.

describe('jenkinsHash', () => {
  test.each([
    [0, 789785954, 3735928559],
    [1, 1168124653, 3965393265],
    [2, 1345786801, 496900784],
    [3, 952848443, 4135741307],
    [4, 4015170739, 1383925864],
    [5, 2738266491, 712027060],
    [6, 1019905325, 358753462],
    [7, 1472462559, 2562189830],
    [11, 3867804207, 871877699],
  ])('of %i words', (length, seeded, unseeded) => {
    const words = Array.from({ length }, (_, index) => (index * 0x9e3779b1 + 0x01020304) >>> 0);
    expect(jenkinsHash(words, flowHashSeed)).toBe(seeded);
    expect(jenkinsHash(words, 0)).toBe(unseeded);
  });
});

type Row = readonly [string, number, string, number, Transport, readonly number[]];

const rows: readonly Row[] = [
  ['198.51.100.7', 40000, '203.0.113.1', 80, 'tcp', [418, 503, 911, 6709, 8070, 14618, 26843, 32290, 58487]],
  [
    '192.0.2.200',
    1,
    '203.0.113.255',
    65535,
    'udp',
    [789, 907, 678, 12665, 14566, 10880, 50672, 58278, 43531],
  ],
  ['255.255.255.255', 65535, '0.0.0.1', 256, 'tcp', [383, 967, 470, 6159, 15528, 7551, 24644, 62125, 30213]],
  ['2001:db8::7', 40000, '2001:db8:1::1', 443, 'tcp', [48, 1010, 739, 778, 16207, 11864, 3114, 64843, 47467]],
  ['::1', 53, 'fe80::1:2:3:4', 53, 'udp', [995, 229, 335, 15971, 3687, 5389, 63899, 14751, 21560]],
  ['2001:db8:1:2:3:4:5:6', 1024, '::', 255, 'tcp', [738, 557, 257, 11853, 8937, 4124, 47424, 35755, 16501]],
];

describe('slotOf', () => {
  test.each(rows)(
    '%s %i to %s %i %s',
    (source, sourcePort, destination, destinationPort, transport, slots) => {
      const flow = {
        sourceAddress: ip(source),
        sourcePort,
        destinationAddress: ip(destination),
        destinationPort,
        transport,
      };
      const sizes = [1021, 16381, 65537] as const;
      const affinities = ['five-tuple', 'client-ip', 'client-ip-protocol'] as const;
      expect(sizes.flatMap((size) => affinities.map((affinity) => slotOf(size, affinity, flow)))).toEqual(
        slots,
      );
    },
  );
});
