// Frames that are cut off anywhere, that contradict themselves, or that are of any length: no length is special.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { differences } from './frame/dissect.ts';
import { encode } from './frame/encode.ts';
import { bytes, type End, error, tcp, udp } from './frame/packet.ts';
import { malformed, sound } from './rows/malformed.ts';
import { type Becomes, forwarded, from, type Sent } from './rows/row.ts';
import { Gateway } from './world/gateway.ts';
import type { DeviceName } from './world/places.ts';
import { any6, doors, front, front6 } from './world/rules.ts';

const client: End = ['198.51.100.10', 40000];
const client6: End = ['2001:db8:1::a', 40000];
const machine: End = ['10.1.0.1', 8080];
const machine6: End = ['fd01::1', 8080];
const door: End = [front, doors.machine];
const door6: End = [front6, doors.machine];
const extension = { type: 60, body: [1, 4, 0, 0, 0, 0] };

let gateway: Gateway;
beforeAll(async () => {
  gateway = await Gateway.open();
});
afterAll(() => {
  gateway?.close();
});
beforeEach(async () => {
  await gateway.reset(false);
});

const programs = ['penstock', 'penstock_frags'] as const;

describe('cut off after any byte', () => {
  const good: Readonly<Record<string, Sent>> = {
    'IPv4 TCP': from(tcp(client, door, { tcpOptions: [1, 1, 1, 1] })),
    'IPv4 UDP': from(udp(client, door)),
    'IPv4 TCP with options': from(tcp(client, door, { ipOptions: [1, 1, 1, 1] })),
    'IPv6 TCP': from(tcp(client6, door6)),
    'IPv6 UDP to every port': from(udp(client6, [any6, 53])),
    'IPv6 UDP with an extension header': from(udp(client6, door6, { extensions: [extension] })),
    'IPv4 TCP, one tag': from(tcp(['198.51.109.10', 40000], door)),
    'IPv4 UDP, two tags': from(udp(['198.51.110.10', 40000], door)),
    'IPv4 TCP, way back': from(tcp(machine, client)),
    'IPv6 TCP, way back': from(tcp(machine6, client6)),
    'ICMP error': from(
      error('198.51.100.254', front, tcp(door, client, { payload: bytes(8) }), { type: 11 }),
    ),
    'ICMPv6 error': from(error('2001:db8:1::fe', front6, tcp(door6, client6), { type: 3 })),
    'ICMP error, way back': from(error('10.1.0.200', client[0], udp(client, machine), { type: 11 })),
    'ICMPv6 error, way back': from(error('fd01::c8', client6[0], udp(client6, machine6), { type: 3 })),
    'last fragment, way back': from(
      udp(machine, client, { payload: bytes(64), slice: { from: 32, to: 72 } }),
    ),
  };
  it.each(Object.entries(good))('%s', (_, { packet, device }) => {
    const whole = encode(packet);
    // Whoever is known already may take a shorter way.
    for (const program of programs) gateway.receive(whole, device, program);
    for (let length = 14; length < whole.length; length += 1)
      passes(device, whole.slice(0, length), `${length} bytes`);
  });
});

describe('that contradict themselves', () => {
  it.each(malformed.map((each) => [each.name, each] as const))('%s', (_, { device, frame }) => {
    for (const each of sound) gateway.receive(each, device);
    passes(device, frame, 'malformed');
  });
});

describe('of any length', () => {
  it.each([
    ['IPv4 TCP', (payload: readonly number[]) => tcp(client, door, { payload }), forwarded({ to: machine })],
    ['IPv4 UDP', (payload: readonly number[]) => udp(client, door, { payload }), forwarded({ to: machine })],
    [
      'IPv6 TCP',
      (payload: readonly number[]) => tcp(client6, door6, { payload }),
      forwarded({ to: machine6 }),
    ],
    [
      'IPv6 UDP',
      (payload: readonly number[]) => udp(client6, door6, { payload }),
      forwarded({ to: machine6 }),
    ],
    [
      'way back',
      (payload: readonly number[]) => tcp(machine, client, { payload }),
      forwarded({ from: door }),
    ],
  ] as const)('%s', (_, make, becomes) => {
    for (let length = 0; length <= 1440; length += length < 100 ? 1 : 67)
      goes(from(make(bytes(length))), becomes, programs);
  });
});

describe('in several buffers', () => {
  it.each([
    [
      'TCP',
      tcp(client, [front, doors.wide], { payload: bytes(8000) }),
      forwarded({ to: ['10.13.0.1', 8080] }),
    ],
    [
      'UDP',
      udp(client, [front, doors.wide], { payload: bytes(8500) }),
      forwarded({ to: ['10.13.0.1', 8080] }),
    ],
    [
      'way back',
      tcp(['10.13.0.1', 8080], ['10.13.0.2', 4000], { payload: bytes(8000) }),
      forwarded({ from: [front, doors.wide] }),
    ],
    [
      'with two tags',
      tcp(['198.51.110.10', 40000], [front, doors.wide], { payload: bytes(7777) }),
      forwarded({ to: ['10.13.0.1', 8080] }),
    ],
  ] as const)('%s', (_, packet, becomes) => {
    goes(from(packet), becomes, ['penstock_frags']);
  });

  it('and cut off', () => {
    const whole = encode(from(tcp(client, [front, doors.wide], { payload: bytes(8000) })).packet);
    for (const length of [3000, 4096, 4500, 8000, whole.length - 1]) {
      const frame = whole.slice(0, length);
      const { verdict, frame: after } = gateway.receive(frame, 'wan', 'penstock_frags');
      expect([length, verdict, Buffer.compare(after, frame)]).toEqual([length, 'XDP_PASS', 0]);
    }
  });
});

function passes(device: DeviceName, frame: Uint8Array, what: string): void {
  for (const program of programs) {
    const { verdict, frame: after } = gateway.receive(frame, device, program);
    expect([program, what, verdict, differences(after, frame)]).toEqual([program, what, 'XDP_PASS', '']);
    expect(Buffer.compare(after, frame)).toBe(0);
  }
}

function goes(sent: Sent, becomes: Becomes, through: readonly string[]): void {
  for (const program of through) {
    const { verdict, frame } = gateway.send(sent, program);
    const expected = encode(becomes(sent).packet);
    expect([program, verdict, differences(frame, expected)]).toEqual([program, verdict, '']);
    expect(verdict).not.toBe('XDP_PASS');
    expect(Buffer.compare(frame, expected)).toBe(0);
  }
}
