import { describe, expect, it } from 'vitest';
import {
  attribute,
  attributes,
  eachAttribute,
  flags,
  messages,
  nativeU32,
  nest,
  request,
  text,
  u16,
  u32,
} from './netlink.ts';

describe('netlink', () => {
  it('lays out a request as the kernel reads it (little-endian machines)', () => {
    const bytes = request(
      0x102,
      2,
      flags.ack,
      5,
      attribute(8, u32(0x50000007)),
      attribute(21, u32(0xf0ffffff)),
    );
    expect(bytes.toString('hex')).toBe(
      [
        '24000000',
        '0201',
        '0500',
        '05000000',
        '00000000',
        '02000000',
        '0800',
        '0800',
        '50000007',
        '0800',
        '1500',
        'f0ffffff',
      ].join(''),
    );
  });

  it('pads attributes to four bytes, and reads them back', () => {
    const bytes = Buffer.concat([
      attribute(1, u16(7)),
      nest(2, attribute(1, text('abc')), attribute(1, nativeU32(9))),
    ]);
    expect(bytes.length).toBe(8 + 4 + 8 + 8);
    const found = attributes(bytes);
    expect(found.get(1)).toEqual(u16(7));
    expect([...eachAttribute(found.get(2))].map(({ value }) => value.length)).toEqual([4, 4]);
  });

  it('reads acknowledgements and refusals, and stops at what is cut off', () => {
    const refusal = Buffer.concat([
      nativeU32(20),
      Buffer.of(2, 0, 0, 0),
      nativeU32(5),
      nativeU32(0),
      nativeU32(-17),
    ]);
    expect([...messages(Buffer.concat([refusal, refusal.subarray(0, 18)]))]).toMatchObject([
      { type: 2, sequence: 5, errno: 17 },
    ]);
    expect([...eachAttribute(Buffer.of(9, 0, 1, 0, 1))]).toEqual([]);
    expect(attributes(undefined).size).toBe(0);
  });
});
