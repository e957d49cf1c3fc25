// Next hops: remembered where that is allowed, for as long as that is, and never another one's.
import { execa } from 'execa';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import * as layout from '../../src/dataplane/xdp/memory/layout.ts';
import { addressBytes, macBytes, macText } from './frame/address.ts';
import { type Packet, tcp, udp } from './frame/packet.ts';
import { from } from './rows/row.ts';
import { Gateway } from './world/gateway.ts';
import { macOf } from './world/places.ts';
import { doors, front, front6 } from './world/rules.ts';

const elsewhere = '02:00:00:77:77:77';
const toMachine = tcp(['198.51.100.10', 40000], [front, doors.machine]);
const toMachine6 = udp(['2001:db8:1::a', 40000], [front6, doors.machine]);
const farBack = tcp(['10.1.0.1', 8080], ['192.0.2.77', 1024]);
const farBack6 = tcp(['fd01::1', 8080], ['2001:db8:77::1', 1024]);
const nearBack = tcp(['10.1.0.1', 8080], ['198.51.100.10', 40000]);

let gateway: Gateway;
beforeAll(async () => {
  gateway = await Gateway.open();
});
afterAll(() => {
  gateway?.close();
});
beforeEach(async () => {
  await gateway.reset(true);
});

/** Whom a packet is sent to. */
function receiver(packet: Packet): string {
  return macText(gateway.send(from(packet)).frame.subarray(0, 6));
}

interface Memory {
  readonly view: DataView;
  readonly fresh: number;
  readonly hops: number;
}

/** A machine's remembered next hop. */
function ofMachine(address: string): Memory {
  const { buffer } = gateway.program.memory('machines');
  const bytes = addressBytes(address);
  const wanted = bytes.length === 4 ? Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, ...bytes) : bytes;
  for (let at = 0; at < buffer.byteLength; at += layout.machine.size) {
    if (Buffer.compare(new Uint8Array(buffer, at, 16), wanted) !== 0) continue;
    return { view: new DataView(buffer), fresh: at + layout.machine.fresh, hops: at + layout.machine.hops };
  }
  throw new Error(`no machine ${address}`);
}

/** That of the default route, IPv4's or IPv6's. */
function ofRoute(family: 4 | 6): Memory {
  const view = new DataView(gateway.program.memory('routes').buffer);
  const at = (family === 4 ? 5 : 6) * layout.route.size;
  return { view, fresh: at + layout.route.fresh, hops: at + layout.route.hops };
}

function fresh({ view, fresh: at }: Memory): bigint {
  return view.getBigUint64(at, true);
}

/** Puts another receiver in place of the one that is remembered, and moves the end of its time by so many nanoseconds. */
function poison({ view, fresh: at, hops }: Memory, later = 0n): void {
  const known = view.getBigUint64(at, true);
  const hop = hops + Number(known & 1n) * layout.nextHop.size;
  new Uint8Array(view.buffer).set(macBytes(elsewhere), hop + layout.nextHop.destination);
  view.setBigUint64(at, known + (later << 1n), true);
}

const cases = [
  ['to a machine', toMachine, () => ofMachine('10.1.0.1'), macOf('10.1.0.1')],
  ['to a machine, IPv6', toMachine6, () => ofMachine('fd01::1'), macOf('fd01::1')],
  ['to a client behind the router', farBack, () => ofRoute(4), macOf('198.51.100.254')],
  ['to a client behind the router, IPv6', farBack6, () => ofRoute(6), macOf('2001:db8:1::fe')],
] as const;

describe.each(cases)('%s', (_, packet, memory, right) => {
  it('is remembered', () => {
    expect(fresh(memory())).toBe(0n);
    expect(receiver(packet)).toBe(right);
    expect(fresh(memory())).not.toBe(0n);
  });

  it('is taken from memory', () => {
    // Several times, since what is remembered may come to its end meanwhile.
    const seen = new Set<string>();
    for (let times = 0; times < 50 && !seen.has(elsewhere); times += 1) {
      seen.add(receiver(packet));
      poison(memory());
      seen.add(receiver(packet));
    }
    expect([...seen]).toEqual([right, elsewhere]);
  });

  it('is asked for again when its time is over', () => {
    expect(receiver(packet)).toBe(right);
    poison(memory(), -200_000_000n);
    expect(receiver(packet)).toBe(right);
  });

  it('is asked for again when its end is beyond what anybody writes', () => {
    expect(receiver(packet)).toBe(right);
    poison(memory(), 3_600_000_000_000n);
    expect(receiver(packet)).toBe(right);
  });

  it('is neither remembered nor taken from memory where that is not allowed', async () => {
    await gateway.reset(false);
    expect(receiver(packet)).toBe(right);
    expect(fresh(memory())).toBe(0n);
    await gateway.reset(true);
    expect(receiver(packet)).toBe(right);
    poison(memory());
    gateway.rememberHops(false);
    expect(receiver(packet)).toBe(right);
  });
});

it('a client on the link is asked for each time', () => {
  expect(receiver(nearBack)).toBe(macOf('198.51.100.10'));
  expect([fresh(ofRoute(4)), fresh(ofRoute(6))]).toEqual([0n, 0n]);
});

it('is not remembered for all where the host knows a better route for one', async () => {
  await execa('ip', ['route', 'add', '192.0.2.128/25', 'via', '198.51.100.11']);
  try {
    expect(receiver(tcp(['10.1.0.1', 8080], ['192.0.2.200', 1024]))).toBe(macOf('198.51.100.11'));
    expect(fresh(ofRoute(4))).toBe(0n);
    expect(receiver(farBack)).toBe(macOf('198.51.100.254'));
  } finally {
    await execa('ip', ['route', 'del', '192.0.2.128/25']);
  }
});
