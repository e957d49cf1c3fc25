// Entries and rings of floating addresses as elements: nothing of them in the table that conntrack's flows take.
import { describe, expect, it } from 'vitest';
import type { Entry, Ring } from '../../forwarding/table.ts';
import type { IpAddress, Port } from '../../resources/address.ts';
import { entryElements, ringElements, ringOperations } from './encode.ts';
import { numbersOf } from './encode-floating.ts';

const address = (text: string) => text as IpAddress;
const port = (number: number) => number as Port;

function ring(addresses: readonly string[], slots: readonly number[]): Ring {
  return {
    number: 7,
    family: addresses[0]?.includes(':') ? 6 : 4,
    size: 1021,
    floating: true,
    members: addresses.map((each) => ({
      id: each,
      address: address(each),
      weight: 1,
      eligible: true,
      keepsUdp: true,
    })),
    slots: Uint16Array.from(slots),
  };
}

function entry(frontendPort: number, backendPort: number, floating: 'neighbour' | 'ipip'): Entry {
  return {
    endpoint: {
      address: address('203.0.113.1'),
      transport: 'tcp',
      port: frontendPort === 0 ? 0 : port(frontendPort),
    },
    target: {
      kind: 'balanced',
      ring: 7,
      affinity: 'client-ip',
      port: backendPort === 0 ? 0 : port(backendPort),
      masquerade: false,
      floating,
    },
  };
}

describe('floating addresses as elements', () => {
  it('lead to their ring by a mark, with the port where it differs', () => {
    expect(entryElements(entry(80, 80, 'neighbour'))).toEqual([
      { set: 'float_begun4', key: ['203.0.113.1', 6, 80] },
      { set: 'float4', key: ['203.0.113.1', 6, 80], value: [0x51000007] },
    ]);
    expect(entryElements(entry(80, 8080, 'neighbour'))).toContainEqual({
      set: 'float_port4',
      key: ['203.0.113.1', 6, 80],
      value: [8080],
    });
    expect(entryElements(entry(0, 0, 'neighbour'))).toContainEqual({
      set: 'float_any4',
      key: ['203.0.113.1', 6],
      value: [0x51000007],
    });
  });

  it('say by their mark that nftables cannot encapsulate', () => {
    expect(entryElements(entry(80, 80, 'ipip'))).toContainEqual({
      set: 'float4',
      key: ['203.0.113.1', 6, 80],
      value: [0x59000007],
    });
  });

  it('remember members by numbers that stay whoever comes and goes', () => {
    const three = ring(['10.0.0.1', '10.0.0.2', '10.0.0.3'], [0, 1, 2]);
    const two = ring(['10.0.0.1', '10.0.0.3'], [0, 1, 0]);
    expect(numbersOf(three).get(address('10.0.0.3'))).toBe(0x0a000003);
    expect([...ringElements(three)].map(({ set }) => set)).not.toContain('ring4');
    expect([...ringOperations({ before: three, after: two })]).toEqual([
      ...[6, 17].flatMap((protocol) => [
        {
          verb: 'delete',
          element: { set: 'float_member4', key: [7, 0x0a000002, protocol], value: ['10.0.0.2'] },
        },
        { verb: 'delete', element: { set: 'float_live4', key: [7, 0x0a000002, protocol] } },
      ]),
      { verb: 'delete', element: { set: 'float_slot4', key: [7, 1], value: [0x0a000002] } },
      { verb: 'delete', element: { set: 'float_slot4', key: [7, 2], value: [0x0a000003] } },
      { verb: 'add', element: { set: 'float_slot4', key: [7, 1], value: [0x0a000003] } },
      { verb: 'add', element: { set: 'float_slot4', key: [7, 2], value: [0x0a000001] } },
    ]);
  });

  it('has as many numbers as members also where hashes of IPv6 addresses meet', () => {
    const many = Array.from({ length: 5000 }, (_, index) => `fd00::${index.toString(16)}`);
    expect(new Set(numbersOf(ring(many, [])).values()).size).toBe(5000);
  });
});
