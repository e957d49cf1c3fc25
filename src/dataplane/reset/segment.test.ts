import { describe, expect, it } from 'vitest';
import { endingTableText, expectingText } from './ending-table.ts';
import { packetOf, tcpFlag } from './segment.ts';

const end = (address: string, port: number) => ({ address: Buffer.from(address, 'hex'), port });

/** What a receiver computes over header and checksum: 0 where they fit (RFC 1071). */
function remainder(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

describe('a segment', () => {
  it.each([
    ['IPv4', 20, end('0a000002', 40_000), end('cb007101', 80)],
    [
      'IPv6',
      40,
      end('fd000000000000000000000000000002', 40_000),
      end('20010db8000f0000000000000000ffff', 80),
    ],
  ] as const)('of %s says what it was asked to, with checksums that fit', (_name, length, from, to) => {
    for (let number = 0; number < 200; number += 1) {
      const sequence = (number * 0x9e3779b1) >>> 0;
      const packet = packetOf({ from, to, flags: tcpFlag.syn, sequence, acknowledgement: number });
      const tcp = packet.subarray(length);
      expect(tcp).toHaveLength(20);
      expect([tcp.readUInt16BE(0), tcp.readUInt16BE(2)]).toEqual([40_000, 80]);
      expect([tcp.readUInt32BE(4), tcp.readUInt32BE(8), tcp[13]]).toEqual([sequence, number, tcpFlag.syn]);
      const pseudo = Buffer.concat([from.address, to.address, Buffer.of(0, 6, 0, 20)]);
      expect(remainder(Buffer.concat([pseudo, tcp]))).toBe(0);
      if (length === 20) expect(remainder(packet.subarray(0, 20))).toBe(0);
      expect(packet.readUInt16BE(length === 20 ? 2 : 4)).toBe(length === 20 ? 40 : 20);
    }
  });
});

describe('the ruleset of endings', () => {
  it('is told of both ends of each connection, in lines that a session can read', () => {
    const four = {
      client: end('0a000002', 40_000),
      frontend: end('cb007101', 80),
      machine: end('0a010001', 8080),
      peer: end('0a0100fe', 1024),
    };
    const six = {
      client: end('fd000000000000000000000000000002', 1),
      frontend: end('20010db8000f00000000000000000001', 2),
      machine: end('fd010000000000000000000000000001', 3),
      peer: end('fd000000000000000000000000000002', 1),
    };
    const text = expectingText([four, six]);
    expect(text).toBe(
      'add element inet penstock_ending ends4 { 10.0.0.2 . 40000 . 203.0.113.1 . 80, ' +
        '10.1.0.1 . 8080 . 10.1.0.254 . 1024 }; add element inet penstock_ending ends6 { ' +
        'fd00:0000:0000:0000:0000:0000:0000:0002 . 1 . 2001:0db8:000f:0000:0000:0000:0000:0001 . 2, ' +
        'fd01:0000:0000:0000:0000:0000:0000:0001 . 3 . fd00:0000:0000:0000:0000:0000:0000:0002 . 1 }',
    );
    expect(endingTableText).not.toContain('\n');
  });
});
